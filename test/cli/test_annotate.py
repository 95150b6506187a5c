# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`vljepa annotate`: what it writes is what `vljepa replay --truth` reads."""
from __future__ import annotations

import json

import yaml

from vljepa_ros.cli.main import main


def test_what_it_writes_is_a_truth_that_the_model_meets(make_bag, tiny_checkpoint, tmp_path, capsys):
    bag = make_bag(tmp_path / "bag", seconds=8.0, fps=15.0, truth=False)
    file, where = tmp_path / "segments.yaml", ["--checkpoint", str(tiny_checkpoint)]
    assert main(["annotate", str(bag), *where, "--out", str(file)]) == 0
    assert "segments to look at" in capsys.readouterr().out
    segments = yaml.safe_load(file.read_text())["segments"]
    assert segments[0]["start_s"] == 0.0 and segments[0]["event"] == "start" and segments[0]["state"]
    assert "sure" in file.read_text()
    assert main(["replay", str(bag), *where, "--truth", str(file), "--bag", "none", "--out", str(tmp_path / "out")]) == 0
    stream = json.loads((tmp_path / "out/report.json").read_text())["streams"][0]
    assert stream["summary"]["boundary_f1"] == 1.0 and stream["summary"]["true_segments"] == len(segments)


def test_what_somebody_has_corrected_is_not_written_over(make_bag, tiny_checkpoint, tmp_path, capsys):
    bag, file = make_bag(tmp_path / "bag", seconds=4.0), tmp_path / "segments.yaml"
    file.write_text("segments: [{start_s: 0}]  # by hand\n")
    options = ["annotate", str(bag), "--checkpoint", str(tiny_checkpoint), "--out", str(file)]
    assert main(options) == 2
    assert "there already" in capsys.readouterr().err and "by hand" in file.read_text()
    assert main([*options, "--force"]) == 0 and "by hand" not in file.read_text()


def test_a_bag_that_cannot_be_read_ends_in_one_line(tiny_checkpoint, tmp_path, capsys):
    file = tmp_path / "segments.yaml"
    assert main(["annotate", str(tmp_path / "gone"), "--checkpoint", str(tiny_checkpoint), "--out", str(file)]) == 2
    said = capsys.readouterr().err
    assert said.startswith("vljepa annotate: ") and "no such bag" in said and said.count("\n") == 1 and not file.exists()


def test_times_are_those_of_the_report_also_where_the_clock_jumps(make_bag, tiny_checkpoint, tmp_path):
    stamps = [1000.0 + k / 15 for k in range(60)] + [500.0 + k / 15 for k in range(60)]
    bag = make_bag(tmp_path / "jump", seconds=8.0, fps=15.0, stamps_s=stamps, truth=False)
    file, where = tmp_path / "segments.yaml", ["--checkpoint", str(tiny_checkpoint)]
    assert main(["annotate", str(bag), *where, "--out", str(file)]) == 0
    written = [one["start_s"] for one in yaml.safe_load(file.read_text())["segments"]]
    assert main(["replay", str(bag), *where, "--truth", str(file), "--bag", "none", "--out", str(tmp_path / "out")]) == 0
    stream = json.loads((tmp_path / "out/report.json").read_text())["streams"][0]
    assert [one["truth"]["start_s"] for one in stream["segments"] if "truth" in one] == written
    assert written == sorted(written) and written[-1] > 4.0
