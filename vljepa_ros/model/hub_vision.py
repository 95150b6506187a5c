# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`VisionEncoder.from_pretrained`: V-JEPA 2 from a hub folder, V-JEPA 2.1 from its published .pt file.

V-JEPA 2.1 turns both members of a rotary pair by one angle and stretches positions to the grid it was first trained with
(`VisionConfig.rotary`). Its video embedding is the same for all tokens and becomes part of the patch bias; what serves single
images (a patch embedding of one frame) and the norms of inner layers are no part of this encoder: an image is a repeated
frame here.
"""
from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from .checkpoint import CheckpointError
from .config import VisionConfig
from .hub import account, check_shapes, read_config, read_pickle, read_weights
from .rotary import halves_order
from .vision_encoder import VisionEncoder, vision_state_from_hf

OTHER_PARTS = ("predictor.", "pooler.", "classifier.")  # V-JEPA 2's own predictor, and heads of its classifiers
HEAD_DIM = 64  # of every V-JEPA 2.1 published
HUB_KEYS = {
    "patch_size": "patch_size", "tubelet_size": "tubelet_size", "hidden_size": "hidden_size", "layers": "num_hidden_layers",
    "heads": "num_attention_heads", "mlp_ratio": "mlp_ratio", "layer_norm_eps": "layer_norm_eps",
}  # fmt: skip


def load_vision(folder: Path | str, frames: int | None, image_size: int | None, heads: int | None) -> VisionEncoder:
    """See `VisionEncoder.from_pretrained`."""
    folder = Path(folder).expanduser()
    return _from_pt(folder, frames, image_size, heads) if folder.is_file() else _from_folder(folder, frames, image_size)


def _from_folder(folder: Path, frames: int | None, image_size: int | None) -> VisionEncoder:
    hub = read_config(folder, "vjepa2")
    for key, only in (("hidden_act", "gelu"), ("qkv_bias", True), ("in_chans", 3)):
        if hub.get(key, only) != only:
            raise CheckpointError(folder / "config.json", f"has {key} {hub[key]!r}, only {only!r} is known", "give a V-JEPA 2")
    if absent := [key for key in HUB_KEYS.values() if key not in hub]:
        raise CheckpointError(folder / "config.json", f"lacks {absent[0]}", "download it again")
    size, count = image_size or hub.get("crop_size", 256), frames or hub.get("frames_per_clip", 64)
    cfg = VisionConfig(image_size=size, frames=count, **{ours: hub[theirs] for ours, theirs in HUB_KEYS.items()})
    model = _empty(cfg)
    state, _ = read_weights(folder, lambda name: not name.removeprefix("vjepa2.").startswith(OTHER_PARTS))
    state = {name.removeprefix("vjepa2.").removeprefix("encoder."): tensor for name, tensor in state.items()}
    account(folder, hub_names(cfg), state)
    return _filled(folder, model, vision_state_from_hf(state, cfg))


def hub_names(cfg: VisionConfig) -> list[str]:
    """The names of an encoder's weights in a hub folder, "encoder." left out."""
    inner = ["norm1", "attention.query", "attention.key", "attention.value", "attention.proj", "norm2", "mlp.fc1", "mlp.fc2"]
    modules = [f"layer.{i}.{name}" for i in range(cfg.layers) for name in inner]
    modules = ["embeddings.patch_embeddings.proj", *modules, "layernorm"]
    return [f"{name}.{kind}" for name in modules for kind in ("weight", "bias")]


def _from_pt(path: Path, frames: int | None, image_size: int | None, heads: int | None) -> VisionEncoder:
    content = read_pickle(path)
    part = next((name for name in ("ema_encoder", "target_encoder") if isinstance(content.get(name), dict)), None)
    if part is None:
        raise CheckpointError(path, f"has no ema_encoder or target_encoder, but {', '.join(map(str, content))}",
                              "give a file of V-JEPA 2.1 as published")  # fmt: skip
    state = {name.removeprefix("module.").removeprefix("backbone."): tensor for name, tensor in content[part].items()}
    patch = state.get("patch_embed.proj.weight")
    if patch is None or "video_mod_embed" not in state:
        raise CheckpointError(path, "is no V-JEPA 2.1 (it lacks patch_embed.proj.weight or video_mod_embed)",
                              "for V-JEPA 2 give the hub's folder facebook/vjepa2-*")  # fmt: skip
    width, _, tubelet, patch_size, _ = patch.shape
    numbers = [int(found[1]) for name in state if (found := re.match(r"blocks\.(\d+)\.", name))]
    layers = max(numbers, default=-1) + 1
    inner = state.get("blocks.0.mlp.fc1.weight", patch).shape[0]
    heads = heads or width // HEAD_DIM
    if layers == 0 or heads == 0 or width % (2 * heads):
        raise CheckpointError(path, f"has {layers} layers of width {width}, which {heads} heads do not fit", "say heads=")
    ratio = inner / width
    cfg = VisionConfig(
        image_size=image_size or 384,
        patch_size=patch_size,
        tubelet_size=tubelet,
        frames=frames or 64,
        hidden_size=width,
        layers=layers,
        heads=heads,
        mlp_ratio=ratio if int(width * ratio) == inner else math.nextafter(ratio, math.inf),
        rotary="vjepa2.1",
    )
    norms = [int(found[1]) for name in state if (found := re.match(r"norms_block\.(\d+)\.", name))]
    last = max(norms, default=0)  # the last one follows the last layer
    images = ("patch_embed_img.", "img_mod_embed")
    inner_norms = tuple(f"norms_block.{i}." for i in range(last))
    account(path, pt_names(cfg, last), state, lambda name: name.startswith(images + inner_norms))
    return _filled(path, _empty(cfg), _state_from_pt(state, cfg, last))


def pt_names(cfg: VisionConfig, last: int) -> list[str]:
    """The names of the weights of a V-JEPA 2.1 for video, `norms_block.<last>` being its final norm."""
    inner = ("norm1", "attn.qkv", "attn.proj", "norm2", "mlp.fc1", "mlp.fc2")
    modules = ["patch_embed.proj", *(f"blocks.{i}.{name}" for i in range(cfg.layers) for name in inner), f"norms_block.{last}"]
    return ["video_mod_embed", *(f"{name}.{kind}" for name in modules for kind in ("weight", "bias"))]


def _state_from_pt(state: Mapping[str, Tensor], cfg: VisionConfig, last: int) -> dict[str, Tensor]:
    order = halves_order(cfg.hidden_size // cfg.heads)

    def halves(rows: Tensor) -> Tensor:
        """Query and key rows with neighbouring pairs apart, as `rotate` wants them; values as they are."""
        q, k, v = (part.unflatten(0, (cfg.heads, -1)) for part in rows.chunk(3))
        return torch.cat([x.flatten(0, 1) for x in (q[:, order], k[:, order], v)])

    patch = state["patch_embed.proj.weight"].float()
    out = {
        "patch.weight": patch.permute(0, 2, 3, 4, 1).flatten(1),
        "patch.bias": state["patch_embed.proj.bias"].float() + state["video_mod_embed"].float().view(-1),
    }
    pairs = {"norm1": "norm1", "attn.proj": "out", "norm2": "norm2", "mlp.fc1": "up", "mlp.fc2": "down"}
    for kind in ("weight", "bias"):
        for i in range(cfg.layers):
            out[f"blocks.{i}.qkv.{kind}"] = halves(state[f"blocks.{i}.attn.qkv.{kind}"].float())
            for theirs, ours in pairs.items():
                out[f"blocks.{i}.{ours}.{kind}"] = state[f"blocks.{i}.{theirs}.{kind}"].float()
        out[f"norm.{kind}"] = state[f"norms_block.{last}.{kind}"].float()
    return out


def _empty(cfg: VisionConfig) -> VisionEncoder:
    with torch.device("meta"):
        return VisionEncoder(cfg)


def _filled(path: Path, model: VisionEncoder, state: dict[str, Tensor]) -> VisionEncoder:
    check_shapes(path, model.state_dict(), state)
    model.load_state_dict({name: tensor.contiguous() for name, tensor in state.items()}, assign=True)
    return model.requires_grad_(True).eval()
