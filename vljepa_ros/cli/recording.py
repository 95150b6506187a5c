# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What the demo heard while the source played: plain lists that summary, timeline and live view read. Knows nothing of ROS.

All stamps are nanoseconds of this machine's clock; `start_ns` is the stamp of the source's first frame, and `seconds()` counts
from there.
"""
from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from vljepa_ros.cli.sources import TrueSegment
from vljepa_ros.streaming.types import DecodedText, Transition, Trigger
from vljepa_ros.viewing.wrapping import printable

NS = 1_000_000_000
SPEAKS_OF_SEGMENT = (Trigger.START, Trigger.CHANGE)


@dataclass(frozen=True)
class Beat:
    """One embedding's arrival, and what the demo's own detector made of it."""

    stamp_ns: int
    received_ns: int
    epoch: int
    sequence: int
    distance: float  # Ward merge cost, seconds times squared distance
    threshold: float


@dataclass(frozen=True)
class Heard:
    """A transition or text, and when it arrived."""

    what: Transition | DecodedText
    received_ns: int


@dataclass(frozen=True, eq=False)
class Thumbnail:
    """What the camera showed, small: uint8 RGB (height, width, 3)."""

    stamp_ns: int
    image_HWC: np.ndarray


@dataclass
class Recording:
    """Appended to by the monitor's thread, read by others: lists only grow."""

    source: str = ""
    model: str = ""
    truth: list[TrueSegment] = field(default_factory=list)  # on this machine's clock once the source has started
    truth_known: bool = False
    start_ns: int | None = None
    end_ns: int | None = None  # stamp of the newest frame that went out
    published: int = 0
    late_ms_max: float = 0.0
    beats: list[Beat] = field(default_factory=list)
    transitions: list[Heard] = field(default_factory=list)
    texts: list[Heard] = field(default_factory=list)
    thumbnails: list[Thumbnail] = field(default_factory=list)
    diagnostics: dict[str, dict[str, str]] = field(default_factory=dict)  # the newest of each status, by its name
    levels: dict[str, tuple[int, str]] = field(default_factory=dict)  # its level (0 ok, 1 warn, 2 error, 3 stale) and message

    def seconds(self, stamp_ns: int) -> float:
        """Seconds since the first frame."""
        return 0.0 if self.start_ns is None else (stamp_ns - self.start_ns) / NS

    @property
    def duration_s(self) -> float:
        """From the first frame to the newest thing known of the stream."""
        newest = max([self.end_ns or 0, self.beats[-1].stamp_ns if self.beats else 0])
        return max(0.0, self.seconds(newest)) if newest else 0.0

    def boundaries_s(self) -> list[float]:
        return [self.seconds(heard.what.boundary_ns) for heard in list(self.transitions)]

    def true_boundaries_s(self) -> list[float]:
        """The moments at which events completed: every segment's start but the first's."""
        return [self.seconds(segment.start_ns) for segment in self.truth[1:]]

    def text_of(self, segment: int, epoch: int) -> Heard | None:
        """The first text that the decoder said of a segment."""
        for heard in list(self.texts):
            request = heard.what.request
            if (request.segment, request.epoch) == (segment, epoch) and request.trigger in SPEAKS_OF_SEGMENT:
                return heard
        return None

    def hear(self, text: DecodedText, received_ns: int) -> None:
        """A text, with whatever a terminal or a font cannot show taken out of it."""
        shown = printable(text.text) or "(nothing that can be shown)"
        self.texts.append(Heard(replace(text, text=shown), received_ns))

    def latencies_ms(self) -> list[float]:
        """From a clip's newest frame's stamp to its embedding's arrival."""
        return [(beat.received_ns - beat.stamp_ns) / 1e6 for beat in list(self.beats)]
