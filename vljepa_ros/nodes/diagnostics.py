# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""/diagnostics: once a second, what runs and what is wrong, in words and in numbers.

A part of a node adds a report under a name; its status is called `<node>: <name>`. The message holds the problems, worst first,
or one sentence of how it goes. Keys of the values, for programs: measures end in their unit (`_per_s`, `_ms_p50`, `_ms_p99`),
counts since the node's start stand by themselves (`frames`, `embeddings`, `texts`, `transitions`), `drops.<cause>` counts what
was lost and why, `epochs.<cause>` why epochs began.
"""
from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.clock import Clock, ClockType
from rclpy.node import Node

from vljepa_ros.nodes import qos

PERIOD_S = 1.0


class Status:
    """One part's report, while it is being written."""

    def __init__(self, name: str, hardware_id: str = "") -> None:
        self.name = name
        self.hardware_id = hardware_id
        self.summary = "ok"
        self._level = DiagnosticStatus.OK
        self._problems: list[tuple[bytes, str]] = []
        self._values: dict[str, str] = {}

    def warn(self, problem: str) -> None:
        self._problems.append((DiagnosticStatus.WARN, problem))

    def error(self, problem: str) -> None:
        self._problems.append((DiagnosticStatus.ERROR, problem))

    def value(self, key: str, value: Any) -> None:
        """Floats with three decimals; NaN means that nothing was measured yet."""
        self._values[key] = f"{value:.3f}" if isinstance(value, float) else str(value)

    def counts(self, prefix: str, counts: Mapping[str, int]) -> None:
        for cause, count in counts.items():
            self.value(f"{prefix}.{cause}", count)

    def message(self) -> DiagnosticStatus:
        worst_first = sorted(self._problems, key=lambda problem: problem[0], reverse=True)
        return DiagnosticStatus(
            level=worst_first[0][0] if worst_first else DiagnosticStatus.OK, name=self.name, hardware_id=self.hardware_id,
            message="; ".join(text for _, text in worst_first) or self.summary,
            values=[KeyValue(key=key, value=value) for key, value in self._values.items()],
        )


class Diagnostics:
    """Publishes the reports of one node, in every lifecycle state. Reports are written in the executor's thread."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._prefix = node.get_fully_qualified_name().lstrip("/")
        self._reports: dict[str, Callable[[Status], None]] = {}
        self._publisher = node.create_publisher(DiagnosticArray, "/diagnostics", qos.copy(qos.RESULTS))
        # A steady clock: simulated time may stand still, and that is when somebody looks here.
        self._timer = node.create_timer(PERIOD_S, self.publish, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def add(self, name: str, report: Callable[[Status], None]) -> None:
        self._reports[name] = report

    def remove(self, name: str) -> None:
        self._reports.pop(name, None)

    def publish(self) -> None:
        array = DiagnosticArray(status=[self._write(name, report).message() for name, report in self._reports.items()])
        array.header.stamp = self._node.get_clock().now().to_msg()
        self._publisher.publish(array)

    def _write(self, name: str, report: Callable[[Status], None]) -> Status:
        status = Status(f"{self._prefix}: {name}")
        try:
            report(status)
        except Exception as error:  # whoever asks what is wrong must get an answer
            status.error(f"this report failed: {type(error).__name__}: {error}")
        return status
