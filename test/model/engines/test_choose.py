# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Engine "auto": what is tried, what is refused, what wins, what is said of it."""
from __future__ import annotations

import logging
import time

import numpy as np
import pytest

from vljepa_ros.model import VLJEPA, checkpoint
from vljepa_ros.model.engine import make_engine
from vljepa_ros.model.engines import choose
from vljepa_ros.model.engines.choose import CLEARLY, agreement, candidates, decide, fastest, probe
from vljepa_ros.model.engines.graphs import ENV


class Slowed:
    """A model that takes longer, or says something else, and is otherwise itself."""

    def __init__(self, model: VLJEPA, seconds: float = 0.0, wrong: bool = False) -> None:
        self._model, self._seconds, self._wrong = model, seconds, wrong
        self.config = model.config

    def embed(self, *args) -> np.ndarray:
        time.sleep(self._seconds)
        vector = self._model.embed(*args)
        return -vector if self._wrong else vector


@pytest.fixture
def manifest(tiny_checkpoint):
    return checkpoint.read_manifest(tiny_checkpoint)


def test_auto_names_an_engine_that_agrees_and_says_why(exact, tiny_checkpoint, exported, clip, caplog):
    with caplog.at_level(logging.INFO, "vljepa_ros"):
        model = VLJEPA.from_pretrained(tiny_checkpoint, device="cpu", graphs=exported)
    said = [record.getMessage() for record in caplog.records if record.name == choose.__name__]
    assert said[-1].startswith(f"engine: {model.engine.name} (torch ")
    assert all(name in said[-1] for name in ("onnx ", "onnx-int8 "))
    assert float(model.embed(clip) @ exact.embed(clip)) > 0.995


def test_the_fastest_of_those_that_agree_wins_and_the_others_are_named(exact, manifest, exported, caplog):
    made = {
        "torch": Slowed(exact, 0.05), "torch-bf16": Slowed(exact, 0.05), "onnx": Slowed(exact, 0.01),
        "onnx-int8": Slowed(exact, wrong=True),
    }  # fmt: skip
    with caplog.at_level(logging.INFO, "vljepa_ros"):
        assert fastest(manifest, "cpu", made.__getitem__, exported) == "onnx"
    assert any("onnx-int8 refused: cosine -1.0000" in record.getMessage() for record in caplog.records)


def test_damaged_graphs_are_refused_by_name_and_torch_runs(tiny_checkpoint, graphs, caplog):
    (graphs / "predictor.int8.onnx").write_bytes(b"")
    with caplog.at_level(logging.WARNING, "vljepa_ros"):
        model = VLJEPA.from_pretrained(tiny_checkpoint, device="cpu", graphs=graphs)
    assert model.engine.name != "onnx-int8"
    assert any("engine onnx-int8 refused" in record.getMessage() for record in caplog.records)


def test_a_model_too_large_to_be_held_twice_is_not_measured(manifest, exported, monkeypatch, caplog):
    monkeypatch.setattr(choose, "LARGEST", 1000)
    with caplog.at_level(logging.INFO, "vljepa_ros"):
        assert fastest(manifest, "cpu", lambda name: pytest.fail(f"{name} was loaded"), exported).startswith("torch")
    assert any("too many to try others" in record.getMessage() for record in caplog.records)


def test_without_graphs_nothing_is_measured_and_every_start_is_alike(manifest, tmp_path, monkeypatch):
    monkeypatch.setenv(ENV, str(tmp_path))
    suggested = make_engine("cpu", "auto").name
    assert fastest(manifest, "cpu", lambda name: pytest.fail(f"{name} was loaded")) == suggested


def test_without_graphs_only_torch_is_tried(manifest, tmp_path, monkeypatch, caplog):
    monkeypatch.setenv(ENV, str(tmp_path))
    with caplog.at_level(logging.WARNING, "vljepa_ros"):
        assert candidates(manifest, "torch-bf16", tmp_path) == ["torch", "torch-bf16"]
    assert any("vljepa export" in record.getMessage() for record in caplog.records), "a folder that was named is missed aloud"
    caplog.clear()
    assert candidates(manifest, "torch", None) == ["torch"] and caplog.records == [], "never exported is no news"


@pytest.mark.parametrize(
    ("seconds", "suggested", "wins"),
    [
        ({"torch": 3.0, "torch-bf16": 1.0, "onnx": 2.0}, "torch-bf16", "torch-bf16"),
        ({"torch": 3.0, "torch-bf16": 2.0, "onnx": 1.0}, "torch-bf16", "onnx"),
        ({"torch": 3.0, "torch-bf16": 1.0, "onnx": 1.0 / (CLEARLY - 0.01)}, "torch-bf16", "torch-bf16"),
        ({"torch": 1.0, "onnx": 2.0}, "torch-bf16", "torch"),  # bf16 was refused
        ({"torch": 3.0, "onnx": 1.0}, "torch", "onnx"),
    ],
)
def test_the_suggested_engine_stays_unless_another_is_clearly_faster(seconds, suggested, wins):
    assert decide(seconds, suggested) == wins


def test_probes_are_pictures_that_differ_and_repeat(exact):
    a, b = probe(exact, 0), probe(exact, 1)
    assert a.shape == (4, 32, 32, 3) and a.dtype == np.uint8
    assert np.array_equal(a, probe(exact, 0)) and not np.array_equal(a, b)
    assert not np.array_equal(a[0], a[-1]), "nothing moves"
    assert agreement(exact, exact).difference == 0.0 and agreement(exact, Slowed(exact, wrong=True)).cosine < -0.99
