# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The segments' vectors in memory, for search; made from the file when it is opened and never saved.

What could be saved beside the file would have to be proved equal to it after every power cut. Reading a million vectors takes
seconds (docs/results.md), once per start, and what is made anew cannot be stale.

Vectors stay fp16, as on disk: two bytes per number. A search turns them to fp32 block by block, a block at a time in the cache,
which costs less than reading twice as much memory would, and its scores are exact.

Knows one space. Segments of others are counted, never compared.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch

from vljepa_ros.memory.reader import Vectors
from vljepa_ros.memory.segment import Segment

BLOCK = 4096  # vectors turned to fp32 at a time: 4 MiB at 256 numbers


@dataclass(frozen=True, eq=False)
class Rows:
    """What is known of some segments beside their vectors; equal indices belong together."""

    ids_N: np.ndarray  # int64, ascending
    starts_N: np.ndarray  # int64, nanoseconds
    ends_N: np.ndarray
    linked_N: np.ndarray  # bool: the row before is the segment that came before this one, of the same camera and space


@dataclass(frozen=True, eq=False)
class View:
    """The index at one moment. Later additions do not change it; it may be searched by any thread."""

    rows: Rows
    blocks: tuple[np.ndarray, ...]  # (BLOCK, D) fp16
    offset: int  # place of the first row in the first block
    running_D: np.ndarray | None  # the vector of the last row, where that segment goes on and lies in no block
    foreign: Rows  # of other spaces

    def scores(self, first: int, last: int, query_D: np.ndarray) -> np.ndarray:
        """Dot products of the rows from `first` to before `last` with the query, float32."""
        scores_N = np.empty(last - first, np.float32)
        out, query = torch.from_numpy(scores_N), torch.from_numpy(np.ascontiguousarray(query_D, np.float32))
        wide_BD = torch.empty(BLOCK, len(query_D))
        settled = len(self.rows.ids_N) - (self.running_D is not None)
        at = first
        while at < min(last, settled):
            block, place = divmod(at + self.offset, BLOCK)
            count = min(BLOCK - place, min(last, settled) - at)
            wide_BD[:count].copy_(torch.from_numpy(self.blocks[block][place : place + count]))
            torch.mv(wide_BD[:count], query, out=out[at - first : at - first + count])
            at += count
        if last > settled and self.running_D is not None:
            scores_N[-1] = self.running_D @ query_D
        return scores_N


class _Columns:
    """Growing columns. What was handed out stays as it was: rows are only added behind it, or copied elsewhere."""

    KINDS = {"ids": np.int64, "starts": np.int64, "ends": np.int64, "linked": np.bool_}

    def __init__(self) -> None:
        self.count = 0
        self._columns = {name: np.empty(1024, kind) for name, kind in self.KINDS.items()}

    def add(self, **columns: np.ndarray) -> None:
        count = self.count + len(columns["ids"])
        for name, old in self._columns.items():
            if count > len(old):
                self._columns[name] = np.empty(max(count, 2 * len(old)), old.dtype)
                self._columns[name][: self.count] = old[: self.count]
            self._columns[name][self.count : count] = columns[name]
        self.count = count

    def forget(self, count: int) -> None:
        """The first ones."""
        self._columns = {name: old[count:].copy() for name, old in self._columns.items()}
        self.count -= count

    def rows(self) -> Rows:
        return Rows(*(self._columns[name][: self.count] for name in self.KINDS))


class VectorIndex:
    """One writer adds, any thread looks: `view` waits for no search, and a search for no writer."""

    def __init__(self, space_id: str, dim: int) -> None:
        self.space_id, self.dim = space_id, dim
        self._lock = threading.Lock()  # held for moments: nothing is computed under it
        self._own, self._foreign = _Columns(), _Columns()
        self._blocks: list[np.ndarray] = []
        self._offset = 0  # place of the first row in the first block
        self._last_frame_id: str | None = None  # camera of the newest row, None where that is of another space
        self._running: tuple[int, Segment] | None = None

    def __len__(self) -> int:
        return self._own.count

    def load(self, chunks: Iterable[Vectors]) -> None:
        """All that a file holds (`SegmentReader.vectors`). A vector of another length than the space's is foreign."""
        for chunk in chunks:
            own_N = np.array([
                space_id == self.space_id and len(blob) == 2 * self.dim for space_id, blob in zip(chunk.space_ids, chunk.blobs)
            ])  # fmt: skip
            before = [self._last_frame_id, *(frame if own else None for frame, own in zip(chunk.frame_ids, own_N))]
            linked_N = np.array([own and a == b for own, a, b in zip(own_N, before, chunk.frame_ids)])
            blob = b"".join(blob for blob, own in zip(chunk.blobs, own_N) if own)
            with self._lock:
                self._append(chunk.ids_N, chunk.starts_N, chunk.ends_N, own_N, linked_N, np.frombuffer(blob, np.float16))
                self._last_frame_id = chunk.frame_ids[-1] if own_N[-1] else None

    def add(self, id_: int, segment: Segment) -> None:
        """A segment that has ended, in the order of ids. Its vector and times do not change any more."""
        numbers = (np.array([one], np.int64) for one in (id_, segment.start_ns, segment.end_ns))
        own = self._is_own(segment)
        vector_D = np.ascontiguousarray(segment.vector_D if own else (), np.float16)
        with self._lock:
            linked = own and segment.frame_id == self._last_frame_id
            self._append(*numbers, np.array([own]), np.array([linked]), vector_D)
            self._last_frame_id = segment.frame_id if own else None
            if self._running is not None and self._running[0] <= id_:
                self._running = None

    def update(self, id_: int, segment: Segment) -> None:
        """The segment that goes on, as it is by now."""
        with self._lock:
            self._running = (id_, segment) if self._is_own(segment) else None

    def forget(self, through_id: int) -> None:
        """What the file has dropped: all up to this id."""
        with self._lock:
            for columns in (self._own, self._foreign):
                count = int(np.searchsorted(columns.rows().ids_N, through_id, side="right"))
                if not count:
                    continue
                columns.forget(count)
                if columns is self._own:
                    gone, self._offset = divmod(self._offset + count, BLOCK)
                    self._blocks = self._blocks[gone:]
                    # nothing is known of what came before the first row that is left
                    self._own.rows().linked_N[:1] = False

    def view(self) -> View:
        with self._lock:
            rows, foreign, blocks, offset = self._own.rows(), self._foreign.rows(), tuple(self._blocks), self._offset
            running, last_frame_id = self._running, self._last_frame_id
        if running is None:
            return View(rows, blocks, offset, None, foreign)
        id_, segment = running
        linked = len(rows.ids_N) > 0 and segment.frame_id == last_frame_id
        rows = Rows(
            np.append(rows.ids_N, id_), np.append(rows.starts_N, segment.start_ns), np.append(rows.ends_N, segment.end_ns),
            np.append(rows.linked_N, linked),
        )  # fmt: skip
        return View(rows, blocks, offset, segment.vector_D.astype(np.float16).astype(np.float32), foreign)

    def _is_own(self, segment: Segment) -> bool:
        return segment.space_id == self.space_id and len(segment.vector_D) == self.dim

    def _append(
        self, ids_N: np.ndarray, starts_N: np.ndarray, ends_N: np.ndarray, own_N: np.ndarray, linked_N: np.ndarray,
        vectors: np.ndarray,
    ) -> None:  # fmt: skip
        """With the lock. `vectors`: fp16 numbers of the own rows, one after the other."""
        vectors_MD = vectors.reshape(-1, self.dim)
        at, done = self._offset + self._own.count, 0
        while done < len(vectors_MD):
            block, place = divmod(at + done, BLOCK)
            if block == len(self._blocks):
                self._blocks.append(np.empty((BLOCK, self.dim), np.float16))
            count = min(BLOCK - place, len(vectors_MD) - done)
            self._blocks[block][place : place + count] = vectors_MD[done : done + count]
            done += count
        for columns, mine_N in ((self._own, own_N), (self._foreign, ~own_N)):
            columns.add(ids=ids_N[mine_N], starts=starts_N[mine_N], ends=ends_N[mine_N], linked=linked_N[mine_N])
