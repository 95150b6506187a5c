# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A loader as the trainer wants a task's data: batches by step, asked for ahead, and the state of the step that is saved."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from .loader import Loader

T = TypeVar("T")


class Feed(Generic[T]):
    """What a `trainer.Task` hands on: batch, data_state, resume_data, report."""

    def __init__(self, make: Callable[[int, dict | None], Loader[T]]) -> None:
        """`make(step, state)`: a loader whose first batch is that of `step`. Made anew by `resume_data`."""
        self._make = make
        self._loader: Loader[T] | None = None
        self._next = 0
        self._states: dict[int, dict] = {}  # by step, what goes on with it; from the one that was saved last on

    def resume_data(self, step: int, state: dict | None) -> None:
        self.close()
        self._loader = self._make(step, state)
        self._next, self._states = step, {step: self._loader.state_dict()}

    def batch(self, step: int) -> T:
        """Steps must come one after the other, from that of `resume_data` (0 where it was not called) on."""
        if self._loader is None:
            self.resume_data(0, None)
        if step != self._next:
            raise ValueError(f"data is read in its order: the next batch is that of step {self._next}, asked was {step}")
        batch = self._loader.next()
        self._next += 1
        self._states[self._next] = self._loader.state_dict()
        return batch

    def data_state(self, step: int) -> dict:
        """As it was after the batch before `step`, whatever has been made since."""
        for earlier in [one for one in list(self._states) if one < step]:
            del self._states[earlier]
        return self._states[step]

    def report(self) -> str:
        return self._loader.report() if self._loader else "no batch was made"

    def close(self) -> None:
        if self._loader is not None:
            self._loader.close()
