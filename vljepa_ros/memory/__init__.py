# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What the camera saw, on disk, and found again by meaning and time. Knows no ROS.

tracker (what is to be written) -> recorder -> store (SQLite, the truth) and index (vectors, for search) -> recall.
"""

from vljepa_ros.memory.database import StoreError
from vljepa_ros.memory.index import VectorIndex
from vljepa_ros.memory.reader import SegmentReader
from vljepa_ros.memory.recall import Answer, Mode, Question, Recalled, ask, recall
from vljepa_ros.memory.recorder import Recorder
from vljepa_ros.memory.segment import MemoryParams, Segment
from vljepa_ros.memory.store import SegmentStore
from vljepa_ros.memory.tracker import Entry, SegmentTracker, Stray

__all__ = [
    "Answer",
    "Entry",
    "MemoryParams",
    "Mode",
    "Question",
    "Recalled",
    "Recorder",
    "Segment",
    "SegmentReader",
    "SegmentStore",
    "SegmentTracker",
    "StoreError",
    "Stray",
    "VectorIndex",
    "ask",
    "recall",
]
