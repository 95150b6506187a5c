# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a module costs, measured by running it on tensors without memory: FLOPs, bytes kept for backward, bytes at the peak.

Every operation of the real forward and backward is dispatched with its real shapes and dtypes, and nothing is computed: a model
of any size, a batch of any size, on any machine in seconds. What is measured is what a GPU with fused attention does; a kernel's
own workspace and what an allocator loses to fragments do not show.
"""

from __future__ import annotations

import contextlib
import weakref
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple
from unittest import mock

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode, sdpa_backward_flop_count, sdpa_flop_count

from vljepa_ros.model import attention

# The CPU's fused attention, which the counter does not know, does the arithmetic of the GPU's.
_FUSED = {
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: lambda q, k, v, *_, **__: sdpa_flop_count(q, k, v),
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward: (
        lambda out, q, k, v, *_, **__: sdpa_backward_flop_count(out, q, k, v)
    ),
}


class Footprint(NamedTuple):
    """Of one forward, and one backward where the module is trained."""

    forward: int  # FLOPs, of matrix products: a multiplication and an addition are two
    backward: int
    saved: int  # bytes kept between forward and backward: activations, and parameters cast by autocast
    peak: int  # bytes at most at one time, beside parameters, their gradients and the inputs


_MODE = FakeTensorMode(allow_non_fake_inputs=True)  # one for all: a tensor of another mode would be taken for a new one


@contextlib.contextmanager
def unreal() -> Iterator[None]:
    """Inside, tensors that are made take no memory, and attention does as on a GPU."""
    with _MODE, mock.patch.multiple(attention, PLAIN_SCORES=0, GROUPED_AND_MASKED=()):
        yield


def build(make: Callable[[], nn.Module]) -> nn.Module:
    """The module that `make` makes, without memory. To be run inside `unreal()` only."""
    with torch.device("meta"):
        module = make()
    with unreal():
        return module.to_empty(device="cpu")


def measure(module: nn.Module, inputs: tuple[Tensor, ...], train: bool, bf16: bool = True) -> Footprint:
    """Of `module(*inputs)`: without a graph, or with its backward. `train` wants a parameter that is trained.

    Works on real tensors too, and finds the same where the same kernels run.
    """
    own = {_key(t) for t in (*module.parameters(), *module.buffers(), *tree_leaves(inputs)) if isinstance(t, Tensor)}
    for parameter in module.parameters():  # gradients of earlier parts of a batch are there already
        parameter.grad = torch.zeros_like(parameter) if train and parameter.requires_grad else None
    saved: dict[int, torch.UntypedStorage] = {}

    def keep(x: Tensor) -> Tensor:
        if _key(x) not in own:
            saved[_key(x)] = x.untyped_storage()
        return x

    forward, backward = flop_counter(), flop_counter()
    with _Live() as live:
        hooks = torch.autograd.graph.saved_tensors_hooks(keep, lambda x: x)
        with forward, hooks, torch.set_grad_enabled(train), torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            out = module(*inputs)
        kept = sum(storage.nbytes() for storage in saved.values())
        saved.clear()
        if train:
            with backward:
                out.backward(torch.ones_like(out))
    for parameter in module.parameters():
        parameter.grad = None
    return Footprint(forward.get_total_flops(), backward.get_total_flops() if train else 0, kept, live.peak)


def flop_counter() -> FlopCounterMode:
    """Counts what is run inside, of no matter which module: its own way of knowing modules fails under `torch.autograd.grad`."""
    counter = FlopCounterMode(display=False, custom_mapping=_FUSED)
    counter.mod_tracker = contextlib.nullcontext()
    counter.mod_tracker.parents = {"Global"}
    return counter


def _key(tensor: Tensor) -> int:
    return tensor.untyped_storage()._cdata


class _Live(TorchDispatchMode):
    """How many bytes of what has been made inside are alive, and were at most."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.peak = 0
        self._known: weakref.WeakSet = weakref.WeakSet()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None) -> Any:
        outs = func(*args, **(kwargs or {}))
        before = {_key(t) for t in tree_leaves((args, kwargs)) if isinstance(t, Tensor)}
        for tensor in tree_leaves(outs):
            if isinstance(tensor, Tensor) and _key(tensor) not in before:  # neither a view nor written in place
                storage = tensor.untyped_storage()
                if storage not in self._known:
                    self._known.add(storage)
                    self.now += storage.nbytes()
                    weakref.finalize(storage, self._gone, storage.nbytes())
        self.peak = max(self.peak, self.now)
        return outs

    def _gone(self, size: int) -> None:
        self.now -= size
