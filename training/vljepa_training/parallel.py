# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""How the trainer's one loop computes on several ranks: DDP, FSDP2, or nothing of the kind.

Whatever the engine, what is saved are whole tensors under a module's own names, so that a run goes on with another number of
ranks or another engine. Knows nothing of losses, batches and schedules.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.utils._pytree import tree_map

from .optimizers import Optimizers
from .ranks import world


class _Inside(nn.Module):
    """Everything that uses parameters runs inside a forward, for there DDP gets ready and FSDP2 gathers what it has scattered."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, function: Callable, *arguments: Any) -> Any:
        return function(*arguments)


class Single:
    """One process. The others do what this one does, and the rest of what its methods say."""

    def __init__(self, module: nn.Module) -> None:
        """`module` may be changed: its parameters are to be asked for afterwards."""
        self.module = module

    def run(self, function: Callable, *arguments: Any) -> Any:
        """`function(*arguments)`, which may use the module's parameters."""
        return function(*arguments)

    @contextmanager
    def accumulating(self, last: bool) -> Iterator[None]:
        """For forward and backward of one part of a batch. Gradients are right after the `last`."""
        yield

    def finish_gradients(self) -> None:
        """After the last backward of a step: the gradients become the mean over ranks."""

    def clip(self, parameters: list[nn.Parameter], limit: float) -> float:
        """Scales the gradients so that their norm is `limit` at most; the norm before."""
        return float(nn.utils.clip_grad_norm_(parameters, limit))

    def whole(self, state: Any) -> Any:
        """`state` with tensors that are not scattered, on the CPU where they were. All ranks must ask."""
        return state

    def load_optimizer(self, optimizer: Optimizers, state: list[dict[str, Any]]) -> None:
        optimizer.load_state_dict(state)

    def load_module(self, state: dict[str, Tensor]) -> None:
        self.module.load_state_dict(state)


class Replicated(Single):
    """DDP: every rank has the whole module; gradients are averaged as backward goes."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__(module)
        inside = _Inside(module)
        device = next(module.parameters()).device
        # What a batch does not need (a query's projection where no query is) has no gradient on any rank.
        self._inside = nn.parallel.DistributedDataParallel(
            inside,
            device_ids=[device] if device.type == "cuda" else None,
            find_unused_parameters=True,
            broadcast_buffers=False,
        )

    def run(self, function: Callable, *arguments: Any) -> Any:
        return self._inside(function, *arguments)

    @contextmanager
    def accumulating(self, last: bool) -> Iterator[None]:
        if last:
            yield
        else:
            with self._inside.no_sync():
                yield


class Sharded(Single):
    """FSDP2: every rank keeps a part of each parameter, gradient and optimizer state, block by block gathered where it is used.

    All ranks must make the same calls of the same parts of the module in the same order. Parameters without dimensions (a
    temperature) cannot be parted and are the same on all ranks; where they are used, nothing else of the module may be needed.
    """

    def __init__(self, module: nn.Module) -> None:
        super().__init__(module)
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.fsdp import fully_shard

        if any(isinstance(p, DTensor) for p in module.parameters()):
            raise ValueError("the module is sharded already: load the best weights into a new one for the next stage")
        for tensor in module.state_dict().values():  # every rank keeps a part of what rank 0 has
            dist.broadcast(tensor, 0)
        self._mesh = init_device_mesh(next(module.parameters()).device.type, (world(),))
        self._scalars = [p for p in module.parameters() if p.ndim == 0]
        self._inside = _Inside(module)
        ignored = set(self._scalars)
        for block in blocks(module):
            fully_shard(block, mesh=self._mesh, ignored_params=ignored)
        fully_shard(self._inside, mesh=self._mesh, ignored_params=ignored)

    def run(self, function: Callable, *arguments: Any) -> Any:
        out = self._inside(function, *arguments)
        if not torch.is_grad_enabled():  # no backward comes that would scatter again what the forward gathered
            self._inside.reshard()
        return out

    def finish_gradients(self) -> None:
        for scalar in self._scalars:
            if scalar.requires_grad:
                scalar.grad = torch.zeros_like(scalar) if scalar.grad is None else scalar.grad
                dist.all_reduce(scalar.grad)
                scalar.grad /= world()

    def clip(self, parameters: list[nn.Parameter], limit: float) -> float:
        scattered = [p for p in parameters if isinstance(p, DTensor)]
        plain = [p for p in parameters if not isinstance(p, DTensor)]
        norms = [nn.utils.get_total_norm([p.grad for p in part if p.grad is not None]) for part in (scattered, plain)]
        norm = torch.stack([n.full_tensor() if isinstance(n, DTensor) else n for n in norms]).norm()
        for part in (scattered, plain):
            nn.utils.clip_grads_with_norm_(part, limit, norm)
        return float(norm)

    def whole(self, state: Any) -> Any:
        return tree_map(lambda x: x.full_tensor().cpu() if isinstance(x, DTensor) else x, state)

    def load_optimizer(self, optimizer: Optimizers, state: list[dict[str, Any]]) -> None:
        for part, saved in zip(optimizer.parts, state):
            parameters = [p for group in part.param_groups for p in group["params"]]
            for index, values in saved["state"].items():
                owner = parameters[index]
                if isinstance(owner, DTensor):
                    values |= {k: self._part(v, owner) for k, v in values.items() if v.shape == owner.shape}
        optimizer.load_state_dict(state)

    def load_module(self, state: dict[str, Tensor]) -> None:
        own = self.module.state_dict()
        parts = {k: self._part(v, own[k]) if isinstance(own.get(k), DTensor) else v for k, v in state.items()}
        self.module.load_state_dict(parts)

    def _part(self, whole: Tensor, like: DTensor) -> DTensor:
        return distribute_tensor(whole.to(like.device), like.device_mesh, like.placements)


ENGINES: dict[str, type[Single]] = {"none": Single, "ddp": Replicated, "fsdp2": Sharded}


def make(kind: str, module: nn.Module, optimizer: str = "adamw") -> Single:
    """The engine of that name around `module`. ValueError says what does not fit together, and what would."""
    if kind not in ENGINES:
        raise ValueError(f"parallel must be one of {', '.join(ENGINES)}, got {kind!r}")
    if kind == "none" and world() > 1:
        raise ValueError(f"parallel is none on {world()} ranks, each of which would train a model of its own: take ddp or fsdp2")
    if kind != "none" and not dist.is_initialized():
        raise ValueError(f"parallel is {kind}, but no ranks have been started: start it with torchrun")
    if kind == "fsdp2" and optimizer == "muon":
        raise ValueError("muon needs whole matrices, which fsdp2 takes apart: take the optimizer adamw, or ddp")
    return ENGINES[kind](module)


def blocks(module: nn.Module) -> Iterator[nn.Module]:
    """The outermost members of lists of modules: the layers of Transformers."""
    for child in module.children():
        if isinstance(child, nn.ModuleList):
            yield from (block for block in child if next(block.parameters(), None) is not None)
        else:
            yield from blocks(child)
