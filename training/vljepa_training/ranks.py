# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Which of several processes this is (torchrun), and what all of them know: rows of every rank, the mean over ranks.

Where no process group runs there is one rank, and everything here leaves its argument as it is.

Shapes: B rows of this rank, W ranks; ranks may have different numbers of rows.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor

# Of a rank for another one: they wait while rank 0 writes a checkpoint and looks through clips for it, or while the slowest one
# caches its features. NCCL's own is ten minutes. A rank that is dead is no reason: torchrun sees that at once.
PATIENCE = timedelta(hours=12)


def rank() -> int:
    return dist.get_rank() if dist.is_initialized() else 0


def world() -> int:
    """The number of ranks."""
    return dist.get_world_size() if dist.is_initialized() else 1


@contextmanager
def joined() -> Iterator[torch.device]:
    """The process group that torchrun has set up the environment for, as long as the context lasts; the device of this rank.

    NCCL where there is a GPU for every local rank, else gloo on the CPU. Without torchrun there is one rank and no group.
    """
    local, local_world = int(os.environ.get("LOCAL_RANK", 0)), int(os.environ.get("LOCAL_WORLD_SIZE", 1))
    on_gpu = torch.cuda.is_available() and torch.cuda.device_count() >= local_world
    device = torch.device("cuda", local) if on_gpu else torch.device("cpu")
    if on_gpu:
        torch.cuda.set_device(device)
    if "WORLD_SIZE" not in os.environ:
        yield device
        return
    store, own, number = next(dist.rendezvous("env://"))
    if os.environ.get("GROUP_WORLD_SIZE") == "1":  # nodes do not count restarts alike
        # One store outlives a restart, and with it the addresses of ranks that are dead: each start has names of its own.
        store = dist.PrefixStore(f"start {os.environ.get('TORCHELASTIC_RESTART_COUNT', 0)}", store)
    backend = "nccl" if on_gpu else "gloo"
    dist.init_process_group(backend, store=store, rank=own, world_size=number, timeout=PATIENCE)
    yield device  # a rank that fails goes as it is: with NCCL, ending the group would wait for the others, who wait for this one
    dist.barrier()  # who ends first would take its connections from those that still talk
    dist.destroy_process_group()


def gather_rows(x_BD: Tensor) -> Tensor:
    """The rows of all ranks, in the order of ranks, on every rank; differentiable.

    Backward sums over ranks what each of their losses wants of this rank's rows. A backward that keeps a rank's own part only
    looks as if it trained, but its gradient is another one than that of one process with the whole batch.
    """
    if world() == 1:
        return x_BD
    return _Gather.apply(x_BD, row_counts(x_BD))


def row_counts(x_BD: Tensor) -> list[int]:
    """How many rows each rank has."""
    if world() == 1:
        return [len(x_BD)]
    counts = [torch.zeros(1, dtype=torch.long, device=x_BD.device) for _ in range(world())]
    dist.all_gather(counts, torch.tensor([len(x_BD)], device=x_BD.device))
    return [int(n) for n in counts]


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x_BD: Tensor, counts: list[int]) -> Tensor:
        ctx.counts = counts
        even = _padded(x_BD, max(counts))  # collectives want the same shape of every rank
        parts = [torch.empty_like(even) for _ in counts]
        dist.all_gather(parts, even)
        return torch.cat([part[:n] for part, n in zip(parts, counts)])

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor, None]:
        most = max(ctx.counts)
        parts = [_padded(part, most) for part in grad.split(ctx.counts)]
        return summed_part(parts)[: ctx.counts[rank()]], None


def _padded(x_BD: Tensor, rows: int) -> Tensor:
    return torch.cat([x_BD, x_BD.new_zeros(rows - len(x_BD), *x_BD.shape[1:])]) if rows > len(x_BD) else x_BD.contiguous()


def summed_part(parts: list[Tensor]) -> Tensor:
    """Of the sums over ranks of each of `parts` (one for every rank), the one that is this rank's."""
    out = torch.empty_like(parts[0])
    dist.reduce_scatter(out, parts)
    return out


def averaged(figures: Mapping[str, float]) -> dict[str, float]:
    """Means over ranks. All ranks must have the same names."""
    if world() == 1:
        return dict(figures)
    names = sorted(figures)
    values = torch.tensor([figures[name] for name in names], dtype=torch.float64)
    values = values.cuda() if dist.get_backend() == "nccl" else values
    dist.all_reduce(values)
    return dict(zip(names, (values / world()).tolist()))


def everybodys(value):
    """[value of rank 0, value of rank 1, ...] on every rank. Anything that can be pickled."""
    if world() == 1:
        return [value]
    values = [None] * world()
    dist.all_gather_object(values, value)
    return values


def mine(rows: list, number: int | None = None, of: int | None = None) -> list:
    """This rank's part of a batch that all ranks know: neighbouring rows, as even as can be."""
    number, of = rank() if number is None else number, world() if of is None else of
    return rows[len(rows) * number // of : len(rows) * (number + 1) // of]
