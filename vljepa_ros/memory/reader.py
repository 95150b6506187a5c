# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Reads a memory's file beside whoever writes it. Never changes it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vljepa_ros.memory.database import StoreError, open_to_read, told
from vljepa_ros.memory.segment import Segment
from vljepa_ros.memory.store import COLUMNS

CHUNK = 4096  # rows read at a time
ASK = 500  # ids per statement; SQLite allows 999 in its older versions


@dataclass(frozen=True, eq=False)
class Vectors:
    """What an index is made of, of some neighbouring rows."""

    ids_N: np.ndarray  # int64, ascending
    starts_N: np.ndarray  # int64, nanoseconds
    ends_N: np.ndarray
    space_ids: list[str]
    frame_ids: list[str]
    blobs: list[bytes]  # fp16


class SegmentReader:
    """To be used by one thread at a time."""

    def __init__(self, path: Path | str) -> None:
        """Raises StoreError."""
        self.path = Path(path).expanduser()
        self._db = open_to_read(self.path)

    def close(self) -> None:
        self._db.close()

    def vectors(self) -> Iterator[Vectors]:
        """All segments in the order of the stream, without words and pictures. StoreError, where damage shows too."""
        with told(self.path, "read"):
            rows = self._db.execute("SELECT id, start_ns, end_ns, space_id, frame_id, vector FROM segments ORDER BY id")
            while chunk := rows.fetchmany(CHUNK):
                ids, starts, ends, spaces, frames, blobs = zip(*chunk)
                numbers = (self._whole(one) for one in (ids, starts, ends))
                yield Vectors(*numbers, list(spaces), list(frames), list(blobs))

    def segments(self, ids: Sequence[int], thumbnails: bool = False) -> dict[int, Segment]:
        """Segments by id; those that were dropped meanwhile are not among them. Raises StoreError."""
        found: dict[int, Segment] = {}
        picture = "(SELECT jpeg FROM thumbnails WHERE thumbnails.id = segments.id)" if thumbnails else "NULL"
        with told(self.path, "read"):
            for k in range(0, len(ids), ASK):
                some = [int(one) for one in ids[k : k + ASK]]
                marks = ", ".join("?" * len(some))
                for row in self._db.execute(f"SELECT id, {COLUMNS}, {picture} FROM segments WHERE id IN ({marks})", some):
                    found[row[0]] = self._segment(*row[1:])
        return found

    def space_ids(self) -> dict[str, int]:
        """Space -> segments in it. Raises StoreError."""
        with told(self.path, "read"):
            return dict(self._db.execute("SELECT space_id, COUNT(*) FROM segments GROUP BY space_id ORDER BY COUNT(*) DESC"))

    def _whole(self, numbers: Sequence[int]) -> np.ndarray:
        try:
            return np.array(numbers, np.int64)
        except (TypeError, ValueError, OverflowError) as error:
            raise StoreError(self.path, f"holds times that are none ({error})", "move it away; it was changed by hand") from error

    @staticmethod
    def _segment(
        start_ns: int, end_ns: int, epoch: int, segment: int, space_id: str, query: str, frame_id: str, vector: bytes, text: str,
        confidence: float, familiar: int, label: str, thumbnail: bytes | None,
    ) -> Segment:  # fmt: skip
        return Segment(
            start_ns=start_ns, end_ns=end_ns, epoch=epoch, segment=segment, space_id=space_id, query=query, frame_id=frame_id,
            vector_D=np.frombuffer(vector, np.float16, len(vector) // 2).astype(np.float32), text=text, confidence=confidence,
            familiar=bool(familiar), label=label, thumbnail=thumbnail or b"",
        )  # fmt: skip
