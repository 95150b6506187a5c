# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Rows that can be asked for in any order (features on disk, lists in memory) as a task's data."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from ..order import Order
from ..ranks import mine

T = TypeVar("T")


class Rows(Generic[T]):
    """The same face as `feed.Feed`, with nothing to remember: (seed, step) decides. Every rank knows all rows and collates its
    part of a batch."""

    def __init__(self, rows: Sequence, collate: Callable[[list], T], batch: int, seed: int = 0) -> None:
        """`batch`: rows of all ranks."""
        self._rows, self._collate = rows, collate
        self._order = Order(len(rows), batch, seed)

    def batch(self, step: int) -> T:
        return self._collate([self._rows[i] for i in mine(self._order.at(step))])

    def data_state(self, step: int) -> None:
        return None

    def resume_data(self, step: int, state: None) -> None:
        pass

    def report(self) -> str:
        return f"{len(self._rows)} rows, all read"

    def close(self) -> None:
        pass
