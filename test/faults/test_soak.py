# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The soak's arithmetic on streams whose truth is known, and half a minute of the thing itself."""
from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

PATH = Path(__file__).parents[2] / "benchmarks" / "soak.py"


@pytest.fixture(scope="module")
def soak() -> Any:
    spec = importlib.util.spec_from_file_location("soak_benchmark", PATH)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look themselves up there
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


def hour(soak: Any, mb_per_h: float = 0.0, drift: float = 0.0, start_mb: float = 50.0) -> dict:
    """An hour's report of nodes that grow for ten minutes by `start_mb`, and then by so much per hour."""
    rng = np.random.default_rng(0)
    ends = np.arange(60, 3601, 60.0)
    windows = [
        soak.Window(end, 600, 10.0, 20.0, 30.0, {
            name: 500 + min(end / 600, 1) * start_mb + mb_per_h * end / 3600 + float(rng.normal(0, 0.05)) for name in soak.NODES
        }, 0) for end in ends
    ]  # fmt: skip
    latencies = [(at, float(20 * (1 + drift * at / 3600) * rng.uniform(0.9, 1.1))) for at in np.arange(0, 3600, 0.1)]
    return soak.summary(windows, latencies, warm_up_s=720)


def test_warming_up_is_no_growth(soak: Any) -> None:
    report = hour(soak)
    assert report["broken"] == [] and abs(report["predictor_node_mb_per_h"]) < 0.3 and report["per_s"] == 10


def test_a_leak_is_found(soak: Any) -> None:
    report = hour(soak, mb_per_h=2.0)
    assert report["broken"] == ["predictor_node grows", "decoder_node grows"]
    assert abs(report["decoder_node_mb_per_h"] - 2.0) < 3 * report["decoder_node_mb_per_h_error"] + 0.05


def test_latency_that_drifts_is_found(soak: Any) -> None:
    report = hour(soak, drift=0.5)
    assert report["broken"] == ["p99 drifts"] and 0.15 < report["p99_drift"] < 0.4


def test_too_short_a_soak_is_refused(soak: Any, capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit):
        soak.main(["--hours", "0.001"])
    assert "three lines" in capsys.readouterr().err


def test_it_runs(tmp_path: Path) -> None:
    """A few seconds of it, as `make soak` starts it. What they measure is not looked at: that they are measured is."""
    out = tmp_path / "soak.json"
    command = [sys.executable, PATH, "--hours", str(6 / 3600), "--every", "2", "--json", out]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=280)
    assert done.returncode in (0, 1) and "per s" in done.stdout, done.stdout + done.stderr
    report = json.loads(out.read_text())
    assert len(report["lines"]) == 3 and sum(one["embeddings"] for one in report["lines"]) > 0
    assert all(mb > 100 for one in report["lines"] for mb in one["rss_mb"].values())
