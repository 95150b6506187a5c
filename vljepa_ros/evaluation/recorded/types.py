# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a recorded source is told in. Knows nothing of bags."""
from __future__ import annotations

from dataclasses import dataclass

TRUTH_TOPIC = "/truth/segment"
# Pictures that are not what a person would call the camera's: taken only when there is nothing else, or when asked for.
UNUSUAL = ("depth", "disparity", "mask", "infra", "thermal", "theora", "heatmap", "confidence")


class SourceError(Exception):
    """A source that cannot be played: one line that names it and what to do."""


@dataclass(frozen=True)
class TrueSegment:
    """What a source knows of itself: from `start_ns` on, the world is in this state. The first begins with the stream."""

    start_ns: int  # the source's clock
    event: str  # what completed at start_ns ("start" for the first)
    caption: str
    state: str = ""
