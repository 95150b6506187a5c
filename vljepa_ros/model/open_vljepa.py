# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""best.pt of open-vljepa (github.com/dion-jy/open-vljepa), a published re-implementation, into a model of ours.

The file holds Predictor, Y-Encoder and, where there is one, the X-Encoder's projector. It says neither the X-Encoder's weights
nor the architecture of the others: those come from the same hub folders that it was trained from. Differences that this takes
away: it has no projection on the query (ours becomes the identity) and may have a linear projector behind the X-Encoder, which
together with the linear one in front of the Predictor is one matrix. It has no Y-Decoder.
"""
from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .assemble import assemble
from .checkpoint import CheckpointError
from .hub import account, check_shapes, read_pickle
from .hub_llama import LAYER
from .llama import stack_from_hf
from .predictor import Predictor
from .text_encoder import TextEncoder
from .vljepa import VLJEPA

FRAMES, IMAGE_SIZE = 8, 256  # where the file does not say: its last stage's


def import_open_vljepa(
    best: Path | str, vjepa2: Path | str, llama: Path | str, gemma: Path | str, *, frames: int | None = None, **options: Any
) -> VLJEPA:
    """The model, on the CPU in fp32. `options`: further ones of `assemble`. Every tensor is used or named in a CheckpointError.

    The pickle is read without running code; one with code in it is refused.
    """
    content = read_pickle(best)
    state = content.get("model_state_dict")
    if not isinstance(state, dict) or not all(isinstance(tensor, Tensor) for tensor in state.values()):
        raise CheckpointError(best, "has no model_state_dict of tensors", "give open-vljepa's best.pt")
    state = {name: tensor.float() for name, tensor in state.items()}
    said = content.get("config")
    data = said.get("data") if isinstance(said, dict) else None
    data = data if isinstance(data, dict) else {}
    layers = len({name.split(".")[2] for name in state if name.startswith("predictor.layers.")})
    head = state.get("predictor.out_proj.weight")
    if not layers or head is None:
        raise CheckpointError(best, f"lacks {'predictor.out_proj.weight' if layers else 'predictor.layers.*'}",
                              "give open-vljepa's best.pt")  # fmt: skip
    model = assemble(
        vjepa2,
        llama,
        gemma,
        dim=head.shape[0],
        last_layers=layers,
        frames=frames or int(data.get("num_frames", FRAMES)),
        image_size=int(data.get("image_size", IMAGE_SIZE)),
        dense=False,  # it never saw them
        **{"name": "open-vljepa"} | options,
    )
    account(best, _names(model, layers, "x_encoder.projector.weight" in state), state)
    _fill_predictor(best, model.modules["predictor"], state, layers)
    _fill_text(best, model.modules["text_encoder"], state)
    return model


def _names(model: VLJEPA, layers: int, projector: bool) -> list[str]:
    predictor = ["embed_tokens.weight", "norm.weight", *(f"layers.{i}.{name}.weight" for i in range(layers) for name in LAYER)]
    linears = ["predictor.vis_proj", "predictor.out_proj", "y_encoder.projector", *["x_encoder.projector"] * projector]
    return [
        *(f"predictor.{name}" for name in predictor),
        *(f"y_encoder.model.{name}" for name in model.modules["text_encoder"].model.state_dict()),
        *(f"{name}.{kind}" for name in linears for kind in ("weight", "bias")),
    ]


def _under(state: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}


def _fill_predictor(best: Path | str, predictor: Predictor, state: Mapping[str, Tensor], layers: int) -> None:
    theirs = _under(state, "predictor.")
    weight, bias = theirs["vis_proj.weight"], theirs["vis_proj.bias"]
    if "x_encoder.projector.weight" in state:
        inner = state["x_encoder.projector.weight"]
        if weight.shape[1] != inner.shape[0]:
            raise CheckpointError(best, f"projector of {tuple(inner.shape)} does not fit vis_proj of {tuple(weight.shape)}",
                                  "give a whole file")  # fmt: skip
        weight, bias = weight @ inner, bias + weight @ state["x_encoder.projector.bias"]
    width = predictor.cfg.hidden_size
    filled = {
        "vis_proj.weight": weight,
        "vis_proj.bias": bias,
        "embed_tokens.weight": theirs["embed_tokens.weight"],
        "query_proj.weight": torch.eye(width),
        "query_proj.bias": torch.zeros(width),
        "out_proj.weight": theirs["out_proj.weight"],
        "out_proj.bias": theirs["out_proj.bias"],
        **{f"stack.{name}": tensor for name, tensor in stack_from_hf(theirs, layers).items()},
    }
    check_shapes(best, predictor.state_dict(), filled)
    predictor.load_state_dict(filled)


def _fill_text(best: Path | str, encoder: TextEncoder, state: Mapping[str, Tensor]) -> None:
    filled = {f"model.{name}": tensor for name, tensor in _under(state, "y_encoder.model.").items()}
    filled |= {f"proj.{name}": tensor for name, tensor in _under(state, "y_encoder.projector.").items()}
    check_shapes(best, encoder.state_dict(), filled)
    encoder.load_state_dict(filled)
