# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Cached gradients: a contrastive batch larger than memory, with the gradient of the whole (Gao et al., arXiv 2101.06983).

A loss that holds all rows against each other cannot be summed over parts of a batch. But it knows the network by its vectors
alone: all vectors are computed without a graph, the loss gives each of them a gradient, and part by part the vectors are computed
again and pulled along theirs. It costs a second forward, and memory of one part.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from .parallel import Single


class CacheableTask(Protocol):
    """What a task needs beside `trainer.Task`. Its loss is `contrast(vectors(batch), batch)`."""

    def parts(self, batch: Any, rows: int) -> list[Any]:
        """The batch in order, in parts of at most `rows` rows. Every rank must come to the same number of parts."""

    def vectors(self, part: Any) -> tuple[Tensor, ...]:
        """Vectors, each (rows, D). Those without a graph get no gradient."""

    def contrast(self, vectors: tuple[Tensor, ...], batch: Any) -> tuple[Tensor, dict[str, float]]:
        """Loss and metrics of a whole batch of vectors. May use parameters without dimensions, and no others."""


def cached_backward(
    task: CacheableTask, batch: Any, rows: int, trained: list[nn.Parameter], engine: Single, autocast=nullcontext
) -> tuple[Tensor, dict[str, float]]:
    """Adds the gradients of the whole batch's loss to those of `trained`, `rows` rows at a time. Returns loss and metrics.

    `autocast`: makes the context in which vectors and loss are computed. Dropout is that of the first pass in the second too.
    """
    parts = task.parts(batch, rows)
    states, computed = [], []
    for part in parts:
        states.append(_Random())
        with autocast(), torch.no_grad():
            computed.append(engine.run(task.vectors, part))
    columns = [torch.cat(column).requires_grad_() for column in zip(*computed)]
    with autocast():
        loss, metrics = task.contrast(tuple(columns), batch)
    gradients = torch.autograd.grad(loss, [*columns, *trained], allow_unused=True)
    pulls, direct = gradients[: len(columns)], list(zip(trained, gradients[len(columns) :]))
    pieces = zip(*(_split(pull, column, computed, k) for k, (pull, column) in enumerate(zip(pulls, columns))))

    def along(part: Any, pull: tuple[Tensor, ...], last: bool) -> Tensor:
        """A number whose gradient is the loss's share of this part."""
        with autocast():
            vectors = task.vectors(part)
        total = sum((v.float() * g).sum() for v, g in zip(vectors, pull) if v.requires_grad)
        if last:  # what the loss owes to parameters of its own
            total = total + sum((p * g).sum() for p, g in direct if g is not None)
        return total

    for i, (part, pull, state) in enumerate(zip(parts, pieces, states)):
        last = i == len(parts) - 1
        with engine.accumulating(last), state.again():
            engine.run(along, part, pull, last).backward()
    return loss.detach(), metrics


def _split(pull: Tensor | None, column: Tensor, computed: list[tuple[Tensor, ...]], k: int) -> tuple[Tensor, ...]:
    pull = torch.zeros_like(column) if pull is None else pull
    return pull.float().split([len(vectors[k]) for vectors in computed])


class _Random:
    """The state of torch's generators when it was made."""

    def __init__(self) -> None:
        self._cpu = torch.get_rng_state()
        self._cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else None

    @contextmanager
    def again(self) -> Iterator[None]:
        """From that state on inside, as if nothing had been outside."""
        after = _Random()
        self._set()
        try:
            yield
        finally:
            after._set()

    def _set(self) -> None:
        torch.set_rng_state(self._cpu)
        if self._cuda is not None:
            torch.cuda.set_rng_state_all(self._cuda)
