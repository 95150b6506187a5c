# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""An example's process: spun until a signal ends it, then closed in order, with exit status 0."""
from __future__ import annotations

from collections.abc import Callable

import rclpy
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node


def run(make: Callable[[], Node]) -> None:
    rclpy.init()
    node = None
    try:
        node = make()
        rclpy.spin(node)
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    finally:
        if node is not None:
            node.destroy_node()
        rclpy.try_shutdown()
