# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Nodes on exported graphs: the predictor publishes what torch says; what is missing is told on configure."""
from __future__ import annotations

import numpy as np
import pytest

from vljepa_ros.model import VLJEPA


def near_torch(node, checkpoint) -> float:
    """Least cosine with full precision of what the node's model says of a clip."""
    clip = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3), dtype=np.uint8)
    wanted = VLJEPA.from_pretrained(checkpoint, device="cpu", engine="torch").embed(clip)
    return float(node._model.embed(clip) @ wanted)


@pytest.mark.parametrize(("engine", "least"), [("onnx", 0.99999), ("onnx-int8", 0.995)])
def test_the_predictor_runs_on_graphs(bench, exported, engine, least):
    predictor = bench.predictor(engine=engine, graphs=str(exported))
    assert near_torch(predictor, bench.checkpoint) > least
    bench.until(lambda: bench.values("predictor_node: model").get("engine") == engine, "the engine in /diagnostics")


def test_the_decoder_needs_no_graphs(bench):
    assert bench.decoder(engine="onnx").state == "active"


def test_missing_graphs_are_told_on_configure(bench, tmp_path):
    predictor = bench.predictor(engine="onnx", graphs=str(tmp_path), active=False)
    predictor.trigger_configure()
    assert predictor.state == "unconfigured"
    assert "vljepa export" in str(predictor.fault)
