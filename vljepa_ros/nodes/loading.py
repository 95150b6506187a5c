# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A checkpoint onto this machine, as a node's parameters say."""
from __future__ import annotations

import torch

from vljepa_ros.model import VLJEPA
from vljepa_ros.nodes.parameters import NodeParams


def load_model(params: NodeParams, parts: tuple[str, ...]) -> VLJEPA:
    """The checkpoint's parts, with as many threads as the node is told. Raises CheckpointError."""
    if params.threads:
        torch.set_num_threads(params.threads)
    return VLJEPA.from_pretrained(
        params.checkpoint, device=params.device, engine=params.engine, parts=parts, graphs=params.graphs or None
    )
