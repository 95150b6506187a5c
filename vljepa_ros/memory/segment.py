# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""One segment of the stream as it is remembered."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vljepa_ros.streaming.parameters import check, parameter


@dataclass(frozen=True)
class MemoryParams:
    """What is kept, where, and for how long."""

    path: str = parameter("~/.ros/vljepa_ros/memory.sqlite", "the memory's file (SQLite); only one node may write it")
    max_mib: int = parameter(1024, "MiB that the file may take; beyond it the oldest segments are dropped", (1, 16_777_216))
    max_days: float = parameter(0.0, "days after which segments are dropped, in the camera's clock; 0: never", (0.0, 36500.0))
    thumbnail_width: int = parameter(160, "width of the picture kept of every segment, pixels; 0: none", (0, 1920))
    update_s: float = parameter(5.0, "seconds between writes of the segment that goes on; a power cut costs these", (0.1, 3600.0))

    def __post_init__(self) -> None:
        check(self, "memory")


@dataclass(frozen=True, eq=False)
class Segment:
    """A stretch of the stream in which the state of the world was one. Stamps are the camera's, integer nanoseconds."""

    start_ns: int
    end_ns: int  # the next segment's start; of an epoch's last one, and of one that goes on, the newest embedding's stamp
    epoch: int
    segment: int  # index, as in `Transition`
    space_id: str
    vector_D: np.ndarray  # mean embedding, norm 1; fp16 on disk
    query: str = ""  # the standing query that the vector answers
    frame_id: str = ""  # of the camera
    text: str = ""  # "" until words come, and for ever where none do
    confidence: float = 0.0  # 0..1, of the text
    familiar: bool = True  # False: most of the clips were foreign to the checkpoint, or the text is: trust neither
    label: str = ""
    thumbnail: bytes = b""  # JPEG; b"" where there is none
