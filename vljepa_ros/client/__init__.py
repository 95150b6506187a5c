# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""For planners: a thin rclpy helper around the two nodes' topics and services. Needs no torch."""
from .answers import Answer, Match, Seen, Words
from .client import VLJEPAClient
from .errors import ClientError, Ended, NoAnswer, NotStanding, NotThere, Refused, SpaceMismatch

__all__ = [
    "Answer", "ClientError", "Ended", "Match", "NoAnswer", "NotStanding", "NotThere", "Refused", "Seen", "SpaceMismatch",
    "VLJEPAClient", "Words",
]
