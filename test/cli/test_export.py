# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`vljepa export`: graphs that the engines then run; what it refuses."""
from __future__ import annotations

import numpy as np

from vljepa_ros.cli.main import main
from vljepa_ros.model import VLJEPA


def test_an_exported_checkpoint_runs_on_its_graphs(tiny_checkpoint, tmp_path, capsys):
    out = tmp_path / "graphs"
    assert main(["export", str(tiny_checkpoint), "--out", str(out)]) == 0
    said = capsys.readouterr().out
    assert "onnx: " in said and "onnx-int8: " in said and "cosine 1.00000" in said and str(out) in said
    clip = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3), dtype=np.uint8)
    wanted = VLJEPA.from_pretrained(tiny_checkpoint, device="cpu", engine="torch").embed(clip)
    for engine, least in (("onnx", 0.999999), ("onnx-int8", 0.995)):
        model = VLJEPA.from_pretrained(tiny_checkpoint, device="cpu", engine=engine, graphs=out)
        assert float(model.embed(clip) @ wanted) > least


def test_what_cannot_be_exported_is_said_in_one_line(tiny_checkpoint, tmp_path, capsys):
    (tmp_path / "precious.txt").write_text("x")
    for arguments, words in (
        ([str(tmp_path / "nowhere")], "no such checkpoint"),
        ([str(tiny_checkpoint), "--out", str(tmp_path)], "choose another folder"),
    ):  # fmt: skip
        assert main(["export", *arguments]) == 2
        said = capsys.readouterr().err
        assert said.startswith("vljepa export: ") and words in said and said.count("\n") == 1
