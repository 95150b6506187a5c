# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Activation checkpointing: each Transformer layer keeps its input alone and is computed again in backward."""

from __future__ import annotations

from functools import partial

from torch import nn
from torch.utils.checkpoint import checkpoint

from vljepa_ros.model import TextEncoder


def recompute(module: nn.Module) -> None:
    """Every layer of our own stacks in `module`, and of a hub's text encoder in it. Changes `module`; gradients stay what they
    were, and memory is that of one layer and all layers' inputs, for a second forward."""
    for part in module.modules():
        if isinstance(part, TextEncoder):
            hub = part.model  # the name of it is another before transformers 5
            enable = getattr(hub, "activation_checkpointing_enable", hub.gradient_checkpointing_enable)
            enable({"use_reentrant": False})
        blocks = getattr(part, "blocks", None)
        if isinstance(blocks, nn.ModuleList):
            for block in blocks:
                block.forward = partial(checkpoint, block.forward, use_reentrant=False)
