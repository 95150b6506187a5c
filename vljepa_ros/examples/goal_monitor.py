# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""How far the world is on its way to a goal that is given in words: `~/progress`, a std_msgs/Float32 from 0 (start) to 1 (goal).

    ros2 run vljepa_ros goal_monitor --ros-args -p goal:="The drawer is open." -p start:="The drawer is closed."

The goal's text and the start are two points of the space; progress is where the embedding lies between them, as its shadow on
the line from one to the other. With a text for the start the line leads through what the two texts differ in and nothing else;
without one, the start is what the camera shows first, and everything that changes moves it. Foreign clips publish nothing.
"""
from __future__ import annotations

import numpy as np
from rclpy.node import Node
from std_msgs.msg import Float32

from vljepa_ros.client import ClientError, Seen, VLJEPAClient
from vljepa_ros.examples.running import run

STALE_S = 2.0  # seconds without an embedding after which nothing is known of the progress
TIMEOUT_S = 2.0


class GoalMonitor(Node):
    """Looks at the newest embedding now and then; the texts are asked for once."""

    def __init__(self, **kwargs) -> None:
        super().__init__("goal_monitor", **kwargs)
        self._goal = self.declare_parameter("goal", "The drawer is open.").value
        self._start = self.declare_parameter("start", "").value
        period_s = self.declare_parameter("period_s", 0.2).value
        self._start_D: np.ndarray | None = None  # what the camera showed first, where `start` is empty
        self._space_id = ""  # of _start_D
        self._seen: Seen | None = None
        self._publisher = self.create_publisher(Float32, "~/progress", 10)
        self.vljepa = VLJEPAClient(self)
        self.create_timer(period_s, self._look)

    def _look(self) -> None:
        seen = self.vljepa.latest()
        if seen is None or seen is self._seen or seen.age_s > STALE_S or not seen.familiar:
            return
        self._seen = seen
        try:
            self._publisher.publish(Float32(data=progress(seen.vector_D, *self._line(seen))))
        except ClientError as error:
            self.get_logger().warning(str(error), throttle_duration_sec=5.0)

    def _line(self, seen: Seen) -> tuple[np.ndarray, np.ndarray]:
        """Start and goal in the space of what was seen."""
        if self._start:
            start_D, goal_D = self.vljepa.encode([self._start, self._goal], seen.space_id, TIMEOUT_S)
            return start_D, goal_D
        if self._space_id != seen.space_id:
            self._start_D, self._space_id = seen.vector_D, seen.space_id
        return self._start_D, self.vljepa.encode([self._goal], seen.space_id, TIMEOUT_S)[0]

    def destroy_node(self) -> None:
        self.vljepa.close()
        super().destroy_node()


def progress(vector_D: np.ndarray, start_D: np.ndarray, goal_D: np.ndarray) -> float:
    """0 at the start and before it, 1 at the goal and beyond, in between the share of the way. 1 where both are one point."""
    way_D = goal_D - start_D
    length = float(way_D @ way_D)
    return float(np.clip((vector_D - start_D) @ way_D / length, 0.0, 1.0)) if length > 0 else 1.0


def main() -> None:
    run(GoalMonitor)


if __name__ == "__main__":
    main()
