# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Topics in and out, with what the middleware says about them: whoever gets nothing is told why."""
from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from typing import Any

from rclpy.event_handler import PublisherEventCallbacks, SubscriptionEventCallbacks, UnsupportedEventTypeError
from rclpy.lifecycle import LifecycleNode, LifecyclePublisher
from rclpy.qos import QoSProfile, qos_policy_name_from_kind
from rclpy.subscription import Subscription

from vljepa_ros.nodes import qos

log = logging.getLogger(__name__)


class Input:
    """One subscription. `counts` has qos_incompatible and lost_in_transport, over the node's life."""

    def __init__(
        self, node: LifecycleNode, message_type: type, topic: str, callback: Callable[[Any], None], profile: QoSProfile
    ) -> None:
        """`topic` as for `create_subscription`; remapping is applied to it."""
        self.topic = node.resolve_topic_name(topic)
        self.counts: Counter[str] = Counter(qos_incompatible=0, lost_in_transport=0)
        self._node = node
        self._arguments = (message_type, topic, callback)
        self._profile = profile
        self._subscription: Subscription | None = None
        self._policy = ""  # the latest one that did not fit

    @property
    def started(self) -> bool:
        return self._subscription is not None

    @property
    def publishers(self) -> int:
        return self._node.count_publishers(self.topic)

    def start(self) -> None:
        callbacks = {"incompatible_qos": self._on_incompatible_qos, "message_lost": self._on_message_lost}
        while True:
            try:
                self._subscription = self._node.create_subscription(
                    *self._arguments, qos.copy(self._profile), qos_overriding_options=qos.overrides(),
                    event_callbacks=SubscriptionEventCallbacks(**callbacks),
                )
                return
            except UnsupportedEventTypeError:  # not every middleware tells of lost messages
                if callbacks.pop("message_lost", None) is None:
                    raise

    def stop(self) -> None:
        if self._subscription is not None:
            self._node.destroy_subscription(self._subscription)
            self._subscription = None

    def why_silent(self) -> str:
        """Why no message comes at all, with the remedy, as far as it is known here; "" where publishers are there and fit."""
        if self.counts["qos_incompatible"]:
            return (
                f"QoS incompatible with {self.counts['qos_incompatible']} publisher(s), policy {self._policy}; set "
                f"qos_overrides.{self.topic}.subscription.{self._policy.lower()} to what they offer"
            )
        theirs = {info.topic_type for info in self._node.get_publishers_info_by_topic(self.topic)}
        ours = self._arguments[0].__name__
        if theirs and not any(one.endswith(f"/{ours}") for one in theirs):
            return f"the topic carries {', '.join(sorted(theirs))}, not {ours}"
        return "" if theirs else "nobody publishes there"

    def _on_incompatible_qos(self, event: Any) -> None:
        self.counts["qos_incompatible"] += event.total_count_change
        self._policy = qos_policy_name_from_kind(event.last_policy_kind)
        log.warning("%s: a publisher offers incompatible QoS (%s); nothing comes from it", self.topic, self._policy)

    def _on_message_lost(self, event: Any) -> None:
        self.counts["lost_in_transport"] += event.total_count_change


class Outputs:
    """The lifecycle publishers of a node, and the subscribers that cannot hear them."""

    def __init__(self, node: LifecycleNode) -> None:
        self.deaf: Counter[str] = Counter()  # topic and policy -> subscribers that ask for what we do not offer
        self._node = node
        self._publishers: list[LifecyclePublisher] = []

    def add(self, message_type: type, topic: str, profile: QoSProfile) -> LifecyclePublisher:
        name = self._node.resolve_topic_name(topic)

        def on_incompatible_qos(event: Any) -> None:
            policy = qos_policy_name_from_kind(event.last_policy_kind)
            self.deaf[f"{name} ({policy})"] += event.total_count_change
            log.warning("%s: a subscriber asks for incompatible QoS (%s) and gets nothing", name, policy)

        publisher = self._node.create_lifecycle_publisher(
            message_type, topic, qos.copy(profile), qos_overriding_options=qos.overrides(),
            event_callbacks=PublisherEventCallbacks(incompatible_qos=on_incompatible_qos),
        )
        self._publishers.append(publisher)
        return publisher

    def remove(self, publisher: LifecyclePublisher) -> None:
        """One of them, before the others."""
        self._publishers.remove(publisher)
        self._node.destroy_lifecycle_publisher(publisher)

    def release(self) -> None:
        while self._publishers:
            self._node.destroy_lifecycle_publisher(self._publishers.pop())
