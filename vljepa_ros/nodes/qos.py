# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Quality of service, by what a topic carries. All of it can be changed with the standard `qos_overrides` parameters."""
from __future__ import annotations

from rclpy.qos import QoSDurabilityPolicy, QoSHistoryPolicy, QoSPolicyKind, QoSProfile, qos_profile_sensor_data
from rclpy.qos_overriding_options import QoSOverridingOptions

IMAGES = qos_profile_sensor_data  # best effort: a late image is worth nothing
EVERY_IMAGE = QoSProfile(history=QoSHistoryPolicy.KEEP_ALL)  # reliable, and none is given up: what waits for its turn is kept
RESULTS = QoSProfile(depth=50)  # reliable; five seconds of embeddings at ten per second, should a subscriber stall
PICTURES = QoSProfile(depth=2)  # reliable, for viewers ask for that; two, so that a slow one gets new pictures and not old ones
LATCHED = QoSProfile(depth=10, durability=QoSDurabilityPolicy.TRANSIENT_LOCAL)  # reliable; a late subscriber gets what it missed
REQUESTS = QoSProfile(depth=100)  # reliable; more than may wait: what goes beyond its depth the middleware loses without a word


def overrides() -> QoSOverridingOptions:
    """What may be changed by parameter, e.g. `qos_overrides./camera/image_raw.subscription.reliability: reliable`."""
    return QoSOverridingOptions((QoSPolicyKind.HISTORY, QoSPolicyKind.DEPTH, QoSPolicyKind.RELIABILITY, QoSPolicyKind.DURABILITY))


def copy(profile: QoSProfile) -> QoSProfile:
    """rclpy writes overrides into the profile it is given: hand it one of its own."""
    return QoSProfile(**{name.lstrip("_"): getattr(profile, name.lstrip("_")) for name in QoSProfile.__slots__})
