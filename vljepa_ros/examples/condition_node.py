# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A condition for a behaviour tree: is it so? `~/check`, a std_srvs/Trigger, and `~/holds`, a latched std_msgs/Bool.

    ros2 run vljepa_ros condition_node --ros-args -p question:="Is the drawer open or closed?" \\
        -p true_if:="The drawer is open." -p false_if:="The drawer is closed."

`success` says whether the condition holds; `message` says why, in scores, or what to do where nobody can tell. What cannot be
told does not hold. With `period_s` above 0 it is asked by itself as well; `~/holds` always has the latest that could be told.
"""
from __future__ import annotations

from rclpy.node import Node
from rclpy.qos import QoSDurabilityPolicy, QoSProfile
from std_msgs.msg import Bool
from std_srvs.srv import Trigger

from vljepa_ros.client import Answer, ClientError, VLJEPAClient
from vljepa_ros.examples.running import run


class ConditionNode(Node):
    """The service's callback asks and waits: the client has a thread of its own for it."""

    def __init__(self, **kwargs) -> None:
        super().__init__("condition_node", **kwargs)
        self._question = self.declare_parameter("question", "Is the drawer open or closed?").value
        self._true_if = self.declare_parameter("true_if", "The drawer is open.").value
        self._false_if = self.declare_parameter("false_if", "The drawer is closed.").value
        self._margin = self.declare_parameter("margin", 0.0).value  # cosine by which `true_if` must be ahead
        self._timeout_s = self.declare_parameter("timeout_s", 2.0).value
        period_s = self.declare_parameter("period_s", 0.0).value
        latched = QoSProfile(depth=1, durability=QoSDurabilityPolicy.TRANSIENT_LOCAL)
        self._publisher = self.create_publisher(Bool, "~/holds", latched)
        self.vljepa = VLJEPAClient(self)
        self.create_service(Trigger, "~/check", self._on_check)
        if period_s > 0:
            self.create_timer(period_s, self.check)

    def check(self) -> tuple[bool, str]:
        """Whether the condition holds, and why."""
        try:
            answer = self.vljepa.ask(self._question, [self._true_if, self._false_if], self._timeout_s)
        except ClientError as error:
            self.get_logger().warning(str(error), throttle_duration_sec=5.0)
            return False, str(error)
        if not answer.seen.familiar:
            return False, f"the camera shows what the checkpoint does not know (novelty {answer.seen.novelty:.2f})"
        holds = self._ahead(answer) > self._margin
        self._publisher.publish(Bool(data=holds))
        return holds, ", ".join(f"{text} {score:.3f}" for text, score in answer.scores.items())

    def _ahead(self, answer: Answer) -> float:
        return answer.scores[self._true_if] - answer.scores[self._false_if]

    def _on_check(self, _: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        response.success, response.message = self.check()
        return response

    def destroy_node(self) -> None:
        self.vljepa.close()
        super().destroy_node()


def main() -> None:
    run(ConditionNode)


if __name__ == "__main__":
    main()
