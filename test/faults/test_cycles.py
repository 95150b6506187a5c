# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Configure, activate, deactivate, clean up, again and again: nothing is left over."""
from __future__ import annotations

import gc
import threading
from collections.abc import Callable
from typing import Any

import psutil
import pytest
from rclpy.lifecycle import TransitionCallbackReturn

MOST_GROWTH = 0.01  # of the memory after the first cycles


@pytest.mark.parametrize("name", ["predictor", "decoder"])
def test_cycles(bench: Any, name: str, size: Callable[[int, int], int], figures: dict) -> None:
    node, process = getattr(bench, name)(active=False), psutil.Process()
    cycles, settled = size(24, 200), size(12, 20)

    def entities() -> dict[str, int]:
        return {kind: len(list(getattr(node, kind))) for kind in ("subscriptions", "publishers", "services", "clients", "timers")}

    def cycle() -> None:
        for step in ("configure", "activate", "deactivate", "cleanup"):
            assert getattr(node, f"trigger_{step}")() == TransitionCallbackReturn.SUCCESS, node.fault
            bench.spin()

    def memory() -> int:
        gc.collect()
        return process.memory_info().rss

    for _ in range(settled):
        cycle()
    began, threads, left = memory(), threading.active_count(), entities()
    for _ in range(cycles - settled):
        cycle()
    grown = memory() / began - 1
    figures |= {"cycles": cycles, "rss_mb": round(began / 1e6, 1), "grown_percent": round(100 * grown, 3)}
    assert threading.active_count() == threads and entities() == left
    assert grown < MOST_GROWTH, f"{grown:.2%} of {began / 1e6:.0f} MB"
