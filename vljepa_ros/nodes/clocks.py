# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The clock by which a stream is late or silent."""
from __future__ import annotations

import time
from collections.abc import Callable

from rclpy.node import Node


def stream_clock(node: Node) -> Callable[[], float]:
    """Seconds that pass with the stream: simulated time where the node lives in it, which runs as fast as a bag is played and
    stands still while it is paused; else a steady clock, for the system's may be set. For differences alone."""
    clock = node.get_clock()
    return lambda: clock.now().nanoseconds / 1e9 if clock.ros_time_is_active else time.monotonic()


def waits_for_clock(node: Node) -> bool:
    """Whether the node lives in simulated time and nothing has come on /clock yet."""
    clock = node.get_clock()
    return bool(clock.ros_time_is_active) and clock.now().nanoseconds == 0
