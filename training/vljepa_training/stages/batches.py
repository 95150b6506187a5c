"""Where a task's batches come from: rows that can be asked for in any order, or a stream that goes on from a state.

Both give the batch of a step whatever was asked before or after a resume; the trainer keeps `state` beside the weights.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from torch import Tensor

from ..order import Order
from ..ranks import mine

Batch = dict[str, Tensor]


class Stream(Protocol):
    """`sources.loader.Loader`, say."""

    def next(self) -> Batch: ...

    def state_dict(self) -> dict: ...

    def report(self) -> str: ...

    def close(self) -> None: ...


class Rows:
    """Batches of `rows` in an order that (seed, step) decides; every rank knows all rows and collates its part of a batch."""

    def __init__(self, rows: Sequence, collate: Callable[[list], Batch], batch: int, seed: int = 0) -> None:
        self._rows, self._collate = rows, collate
        self._order = Order(len(rows), batch, seed)

    def at(self, step: int) -> Batch:
        return self._collate([self._rows[i] for i in mine(self._order.at(step))])

    def state(self, step: int) -> None:
        return None

    def resume(self, step: int, state: None) -> None:
        pass

    def report(self) -> str:
        return ""

    def close(self) -> None:
        pass


class Streamed:
    """Batches of a stream that is begun by `start(step, state)`; state None: from the stream's beginning."""

    def __init__(self, start: Callable[[int, dict | None], Stream]) -> None:
        self._start, self._stream, self._next = start, None, 0
        self._states: dict[int, Any] = {}  # by the step whose batch comes next; batches are made ahead of those trained on

    def at(self, step: int) -> Batch:
        """In order, from the step of `resume` (without it, from 0). RuntimeError for any other step."""
        if self._stream is None:
            self.resume(step, None)
        if step != self._next:
            raise RuntimeError(f"a stream gives its batches in order: {self._next} comes next, not {step}")
        batch = self._stream.next()
        self._states[step + 1] = self._stream.state_dict()
        self._next = step + 1
        return batch

    def state(self, step: int) -> Any:
        """What `resume` wants so that the next batch is that of `step`; forgets the states of steps before."""
        for old in [known for known in self._states if known < step]:
            del self._states[old]
        return self._states.get(step)

    def resume(self, step: int, state: dict | None) -> None:
        self.close()
        self._stream, self._next, self._states = self._start(step, state), step, {step: state}

    def report(self) -> str:
        return self._stream.report() if self._stream else ""

    def close(self) -> None:
        if self._stream:
            self._stream.close()
            self._stream = None
