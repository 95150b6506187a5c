# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`vljepa demo`, the real command: four processes over DDS with a tiny checkpoint. Leaves no process."""
from __future__ import annotations

import json
import shutil
import signal

import cv2
import psutil
import pytest

from vljepa_ros.cli.main import main
from vljepa_ros.cli.summary import summarise

pytestmark = pytest.mark.timeout(300)  # a busy machine takes minutes where an idle one takes ten seconds


@pytest.fixture
def demo(start, tiny_checkpoint, tmp_path, ros_domain):
    """`demo(source, *options)`: the command as a process, plain lines, into tmp_path / "out"."""

    def begin(source, *options, checkpoint=None):
        return start(
            "vljepa_ros.cli.main", "demo", "--source", source, "--checkpoint", checkpoint or tiny_checkpoint,
            "--out", tmp_path / "out", "--domain", ros_domain, "--threads", 1, "--headless", *options,
        )  # fmt: skip

    return begin


def told(process, words: str) -> str:
    """Its lines up to the one with `words` in it."""
    lines = []
    for line in process.stdout:
        lines.append(line)
        if words in line:
            return "".join(lines)
    pytest.fail(f"{words!r} never came; it said:\n{''.join(lines)}\n{process.stderr.read()}")


def family(process) -> list[psutil.Process]:
    return psutil.Process(process.pid).children(recursive=True)


def gone(processes: list[psutil.Process]) -> bool:
    return not any(one.is_running() and one.status() != psutil.STATUS_ZOMBIE for one in processes)


def one_of(processes: list[psutil.Process], word: str) -> psutil.Process:
    return next(one for one in processes if any(word in part for part in one.cmdline()))


@pytest.mark.parametrize(("storage", "raw"), [("mcap", False), ("sqlite3", True)])
def test_a_bag_from_camera_to_text(demo, make_bag, make_recording, tmp_path, storage, raw):
    run = demo(make_bag(tmp_path / "bag", seconds=7.0, storage=storage, raw=raw, width=320, height=240))
    words = told(run, "start   ")
    assert "vljepa demo · bag bag · /camera/image_raw" in words
    assert words.split("| truth: ")[-1].rstrip().endswith("The lamp is on.")
    processes = family(run)
    assert {"predictor_node", "decoder_node", "player"} == {
        name for name in ("predictor_node", "decoder_node", "player") if any(name in " ".join(one.cmdline()) for one in processes)
    }
    out, errors = run.communicate(timeout=120)
    assert run.returncode == 0, errors
    assert gone(processes)
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert set(summary) == set(summarise(make_recording()))
    assert summary["frames_in"] == 70
    assert 30 <= summary["embeddings"] <= 70, "ten a second, once the first clip is covered"
    assert summary["embedding_hz"] >= 8
    assert 0 < summary["latency_ms_p50"] <= summary["latency_ms_p99"] < 1000
    assert summary["texts"] >= 1
    assert summary["true_segments"] == 7
    assert summary["boundary_f1_pixels"] == 1.0, "the truth is on the same clock as the frames"
    assert "unexplained" not in summary["drops"]
    assert 6.5 < summary["seconds"] < 7.5
    assert cv2.imread(str(tmp_path / "out" / "timeline.png")).shape[1] > 1000
    assert "summary.json" in out


def test_a_video_has_no_truth_and_is_played_all_the_same(demo, make_video, tmp_path):
    run = demo(make_video(tmp_path / "film.avi", seconds=8.0), "--seconds", 4.0)
    _, errors = run.communicate(timeout=120)
    assert run.returncode == 0, errors
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["frames_in"] in range(38, 46), "no more than was asked for"
    assert summary["embeddings"] > 15
    assert summary["boundary_f1"] is None
    assert summary["true_segments"] is None
    assert summary["transitions_per_minute"] is not None
    assert (tmp_path / "out" / "timeline.png").exists()


def test_ctrl_c_keeps_what_was_heard_and_no_process(demo, make_bag, tmp_path):
    run = demo(make_bag(tmp_path / "bag", seconds=60.0, fps=15.0))
    told(run, "start   ")
    processes = family(run)
    run.send_signal(signal.SIGINT)
    _, errors = run.communicate(timeout=120)
    assert run.returncode == 130, errors
    assert "Traceback" not in errors
    assert gone(processes)
    assert json.loads((tmp_path / "out" / "summary.json").read_text())["embeddings"] >= 1


def test_sigterm_while_the_models_load_leaves_nothing(demo, make_bag, tmp_path):
    run = demo(make_bag(tmp_path / "bag"))
    told(run, "waiting for")
    processes = family(run)
    assert processes
    run.send_signal(signal.SIGTERM)
    _, errors = run.communicate(timeout=120)
    assert run.returncode == 130, errors
    assert "Traceback" not in errors
    assert gone(processes)


@pytest.mark.parametrize("victim", ["predictor_node", "player"])
def test_a_process_that_dies_is_named_and_ends_the_demo(demo, make_bag, tmp_path, victim):
    run = demo(make_bag(tmp_path / "bag", seconds=60.0, fps=15.0))
    told(run, "start   ")
    processes = family(run)
    one_of(processes, victim).send_signal(signal.SIGKILL)
    _, errors = run.communicate(timeout=120)
    assert run.returncode == 1
    assert f"vljepa demo: {victim} ended (SIGKILL)" in errors
    assert "Traceback" not in errors
    assert gone(processes)


def test_a_checkpoint_that_cannot_be_loaded_is_told_in_the_node_s_words(demo, make_bag, tiny_checkpoint, tmp_path):
    broken = shutil.copytree(tiny_checkpoint, tmp_path / "broken")
    (broken / "predictor.safetensors").write_bytes(b"short")
    run = demo(make_bag(tmp_path / "bag"), checkpoint=broken)
    _, errors = run.communicate(timeout=120)
    assert run.returncode == 1
    assert "predictor.safetensors" in errors
    assert "Traceback" not in errors


@pytest.mark.parametrize("where", ["nothing.mcap", "cut.mcap"])
def test_a_bad_source_is_one_line_before_anything_starts(tmp_path, capsys, where, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if where == "cut.mcap":
        (tmp_path / where).write_bytes(b"\x89MCAP0\r\n" + b"x" * 100)
    before = signal.getsignal(signal.SIGTERM)
    try:
        assert main(["demo", "--source", str(tmp_path / where)]) == 2
    finally:
        signal.signal(signal.SIGTERM, before)
    errors = capsys.readouterr().err
    assert errors.count("\n") == 1
    assert errors.startswith("vljepa demo: ") and where in errors
    assert not (tmp_path / "build").exists()


def test_help_needs_neither_ros_nor_torch(start):
    run = start("vljepa_ros.cli.main", "demo", "--help")
    out, _ = run.communicate(timeout=30)
    assert run.returncode == 0
    assert "--source" in out
