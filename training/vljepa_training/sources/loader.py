# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Worker processes that read, decode and collate batches ahead, in an order that does not depend on which of them is quick.

The batch of step s is made by worker s % workers, from that worker's own share of every source, and travels with the state that
its share has after it: the loader's state is that of the batches handed out, whatever has been made ahead. `workers` 0 makes the
batches of 1 worker, in this process.

Torch's DataLoader runs the processes. They are started by a server that has threads of its own neither from us nor from torch
(forkserver), so that `mixture` and `collate` must be picklable. A batch travels as one block of shared memory: what goes through
the pipe is then so small that a worker which is killed leaves no half message, for whose rest its reader would wait forever.
"""

from __future__ import annotations

import io
import multiprocessing
import os
import pickle
import threading
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from .mixture import Mixture, report_of
from .sample import Sample, Share

T = TypeVar("T")
AHEAD = 2  # batches that each worker makes ahead
ALIGNED = 64  # bytes


class LoaderError(RuntimeError):
    """A worker could not make its batch, or is dead: one line that says which and why."""


class Loader(Generic[T]):
    """`next` may be called from one thread at a time, any; processes are started by its first call."""

    def __init__(
        self,
        mixture: Callable[[Share], Mixture],
        collate: Callable[[list[Sample]], T],
        rows: int,
        workers: int,
        rank: int = 0,
        ranks: int = 1,
        step: int = 0,
        state: dict | None = None,
    ) -> None:
        """`rows`: of this rank, per batch. `step`: whose batch is the first. `state`: what `state_dict` gave before it.

        Without a state, a start in the middle (`step` above 0) begins with an epoch of its own: it gives every record once, also
        those that the epoch which was broken off had given already.
        ValueError for a state of another step, rank, or number of ranks or workers: shares of others cannot be put together.
        """
        if rows < 1 or workers < 0 or step < 0:
            raise ValueError(f"rows must be at least 1, workers and step at least 0, got {rows}, {workers} and {step}")
        self._mixture, self._collate, self._rows, self._processes = mixture, collate, rows, workers
        self._workers, self._step = max(1, workers), step
        self._shares = [Share(rank, ranks, worker, self._workers) for worker in range(self._workers)]
        self._begun = step  # the epoch with which shares begin that have given nothing yet
        self._states: list[dict | None] = [None] * self._workers
        if state is not None:
            self._check(state)
            self._states, self._begun = list(state["states"]), state["begun"]
        self._batches: Iterator | None = None
        self._failed = ""

    def _check(self, state: dict) -> None:
        for name, mine in self._facts().items():
            if state[name] != mine:
                raise ValueError(
                    f"the data's saved state is of {name} {state[name]}, this is {mine}: go on with {name} {state[name]}"
                    f"{' (--workers)' if name == 'workers' else ''}"
                )

    def _facts(self) -> dict:
        share = self._shares[0]
        return {"step": self._step, "rank": share.rank, "ranks": share.ranks, "workers": self._workers}

    def next(self) -> T:
        """The batch of the next step. LoaderError where its worker has failed, with what it said, or is dead."""
        worker = self._step % self._workers
        if self._failed:
            raise LoaderError(self._failed)
        if self._batches is None:
            self._batches = self._start()
        try:
            batch, state, error = _unpacked(next(self._batches))
        except (RuntimeError, OSError, EOFError) as gone:
            state, error = None, f"it or another worker is dead ({' '.join(str(gone).split())}): go on from the last checkpoint"
        if error is not None:
            self._failed = f"worker {worker} of rank {self._shares[0].rank}, step {self._step}: {error}"
            self._batches = None  # the other workers end too
            raise LoaderError(self._failed)
        self._states[worker] = state
        self._step += 1
        return batch

    def _start(self) -> Iterator:
        dataset = _Batches(self._mixture, self._collate, self._rows, self._shares, self._states, self._step, self._begun)
        how = {}
        if self._processes:
            server = multiprocessing.get_context("forkserver")
            server.set_forkserver_preload([__name__])  # what takes seconds to import is imported once
            how = {"multiprocessing_context": server, "prefetch_factor": AHEAD}
        # A generator of its own: DataLoader draws a seed, which would otherwise move the training's random numbers.
        loader = DataLoader(
            dataset, batch_size=None, num_workers=self._processes, collate_fn=_as_it_is, generator=torch.Generator(), **how
        )
        return iter(loader)

    def state_dict(self) -> dict:
        """To go on after what `next` has given. Plain values."""
        return {**self._facts(), "begun": self._begun, "states": list(self._states)}

    def report(self) -> str:
        """A line per source: what this rank's workers skipped, by cause, as far as batches were handed out."""
        return report_of([state for state in self._states if state]) or "no batch was made"

    def close(self) -> None:
        """End the processes. The next `next` would start them anew, where `state_dict` is."""
        self._batches = None


class _Batches(IterableDataset):
    """In the worker: its batches, endless. An error becomes the last of them."""

    def __init__(self, mixture, collate, rows: int, shares: list[Share], states: list, step: int, begun: int) -> None:
        self._mixture, self._collate, self._rows = mixture, collate, rows
        self._shares, self._states, self._step, self._begun = shares, list(states), step, begun

    def __iter__(self) -> Iterator[Tensor | tuple]:
        info = get_worker_info()
        # DataLoader takes its first batch from its worker 0.
        k = (self._step + (info.id if info else 0)) % len(self._shares)
        pack = _packed if info else _as_it_is
        if info:
            cv2.setNumThreads(1)  # the other cores are other workers'
            threading.Thread(target=_end_with_the_training, daemon=True).start()
        try:
            mixture = self._mixture(self._shares[k])
            if self._states[k] is not None:
                mixture.load_state_dict(self._states[k])
            else:
                mixture.begin(self._begun)
            while True:
                batch = self._collate(mixture.batch(self._rows))
                yield pack((batch, mixture.state_dict(), None))
        except Exception as error:  # noqa: BLE001  whatever it is, the trainer must hear of it
            yield pack((None, None, f"{type(error).__name__}: {error}"))


def _end_with_the_training() -> None:
    """DataLoader watches the process that a worker was forked from, and that is the server, which waits for its workers."""
    multiprocessing.parent_process().join()
    os._exit(1)


def _as_it_is(value: T) -> T:
    return value


class _Pickler(pickle.Pickler):
    """Tensors as arrays, whose memory stays outside the pickle."""

    def reducer_override(self, value: object):
        return (torch.from_numpy, (value.numpy(),)) if isinstance(value, Tensor) else NotImplemented


def _packed(value: object) -> Tensor:
    """One block: the number of parts, their sizes, the pickle, the memory of its arrays."""
    outside: list[pickle.PickleBuffer] = []
    file = io.BytesIO()
    _Pickler(file, protocol=5, buffer_callback=outside.append).dump(value)
    parts = [np.frombuffer(part, np.uint8) for part in (file.getbuffer(), *(one.raw() for one in outside))]
    head = np.array([len(parts), *(part.size for part in parts)], np.int64).view(np.uint8)
    starts = _starts([head.size, *(part.size for part in parts)])
    block = torch.empty(starts[-1], dtype=torch.uint8).share_memory_()
    for part, start in zip((head, *parts), starts):
        block.numpy()[start : start + part.size] = part
    return block


def _unpacked(block: Tensor | tuple) -> tuple:
    """The arrays are views into the block."""
    if isinstance(block, tuple):
        return block
    memory = block.numpy()
    number = int(memory[:8].view(np.int64)[0])
    sizes = memory[8 : 8 * (number + 1)].view(np.int64).tolist()
    starts = _starts([8 * (number + 1), *sizes])[1:]
    parts = [memory[start : start + size] for start, size in zip(starts, sizes)]
    return pickle.loads(parts[0], buffers=parts[1:])


def _starts(sizes: list[int]) -> list[int]:
    """Where parts of these sizes begin, and where the last one ends."""
    padded = [-(-size // ALIGNED) * ALIGNED for size in sizes]
    return [0, *np.cumsum(padded).tolist()]
