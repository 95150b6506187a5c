# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What can go wrong between a planner and the nodes: each error is one line, problem and remedy."""
from __future__ import annotations

LAUNCH = "ros2 launch vljepa_ros vljepa.launch.py"


class ClientError(RuntimeError):
    """Every error of the client but ValueError, which is for arguments that can never be right."""

    def __init__(self, problem: str) -> None:
        super().__init__(" ".join(problem.split()))


class NotThere(ClientError):
    """A node does not run, or ended while it was asked."""


class NoAnswer(ClientError):
    """A node runs, and nothing came from it in time."""


class Refused(ClientError):
    """A node answered that it cannot; its own sentence."""


class NotStanding(ClientError):
    """Nobody embeds the stream for that query."""


class SpaceMismatch(ClientError):
    """Vectors of two spaces: their dot product means nothing."""


class Ended(ClientError):
    """The client was closed or its context shut down while somebody waited."""
