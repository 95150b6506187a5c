# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`Predictor.from_pretrained`: the last layers of a Llama 3 from a hub folder, with its token table and its final norm."""
from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from .checkpoint import CheckpointError
from .config import PredictorConfig
from .hub import account, read_config, read_tokenizer, read_weights
from .predictor import Predictor

LAYER = (
    "input_layernorm", "self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj",
    "post_attention_layernorm", "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj",
)  # fmt: skip


def llama_names(layers: int) -> list[str]:
    """The names of all weights of a Llama without its output layer, "model." left out."""
    return ["embed_tokens.weight", *(f"layers.{i}.{name}.weight" for i in range(layers) for name in LAYER), "norm.weight"]


def predictor_config(folder: Path | str, last_layers: int, **facts: Any) -> tuple[PredictorConfig, int]:
    """(config, how many layers the whole Llama has). `facts`: other fields of PredictorConfig. Raises CheckpointError."""
    path = Path(folder).expanduser() / "config.json"
    hub = read_config(folder, "llama")
    for key, only in (("hidden_act", "silu"), ("attention_bias", False), ("mlp_bias", False)):
        if hub.get(key, only) != only:
            raise CheckpointError(path, f"has {key} {hub[key]!r}, only {only!r} is known", "give a Llama 3")
    rope = dict(hub.get("rope_parameters") or hub.get("rope_scaling") or {})
    theta = rope.pop("rope_theta", hub.get("rope_theta", 10000.0))
    kind = rope.get("rope_type", rope.get("type", "default"))
    try:
        total, heads, width = hub["num_hidden_layers"], hub["num_attention_heads"], hub["hidden_size"]
        if not 1 <= last_layers <= total:
            raise CheckpointError(path, f"has {total} layers, the last {last_layers} were asked for", "choose 1 to all of them")
        cfg = PredictorConfig(
            hidden_size=width,
            layers=last_layers,
            heads=heads,
            kv_heads=hub.get("num_key_value_heads") or heads,
            head_dim=hub.get("head_dim") or width // heads,
            intermediate_size=hub["intermediate_size"],
            vocab_size=hub["vocab_size"],
            rope_theta=float(theta),
            rope_scaling=None if kind == "default" else rope,
            rms_norm_eps=hub.get("rms_norm_eps", 1e-6),
            query_bos=read_tokenizer(folder)[1],
            **facts,
        )
    except KeyError as error:
        raise CheckpointError(path, f"lacks {error}", "download it again") from None
    return cfg, total


def load_predictor(folder: Path | str, last_layers: int, vision_dim: int, dim: int, facts: dict[str, Any]) -> Predictor:
    """See `Predictor.from_pretrained`."""
    folder = Path(folder).expanduser()
    cfg, total = predictor_config(folder, last_layers, **facts)
    first = total - last_layers

    def kept(name: str) -> bool:
        name = name.removeprefix("model.")
        return not name.startswith("layers.") or int(name.split(".")[1]) >= first

    state, names = read_weights(folder, kept)
    # The output layer is not ours (Llama 3.2's is its token table anyway); old files carry rotary frequencies.
    account(
        folder,
        llama_names(total),
        {name.removeprefix("model.") for name in names},
        lambda name: name == "lm_head.weight" or name.endswith("rotary_emb.inv_freq"),
    )
    model = Predictor(cfg, vision_dim, dim)
    try:
        model.load_llama(state, first)
    except RuntimeError as error:
        raise CheckpointError(folder, f"has weights of other sizes than its config.json ({error})", "download again") from error
    with torch.no_grad():
        model.query_proj.bias.zero_()
    return model.eval()
