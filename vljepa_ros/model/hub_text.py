# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`TextEncoder.from_pretrained`: EmbeddingGemma (Gemma 3 text, bidirectional), BERT, MiniLM and their like from hub folders.

sentence-transformers' layout (modules.json) says what follows the Transformer: its pooling must be the mean, which is ours too,
and its dense layers without activation (EmbeddingGemma has two) are one matrix, which becomes the start of the projection.
"""
from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .checkpoint import CheckpointError
from .config import TextEncoderConfig
from .hub import account, check_shapes, read_config, read_json, read_tokenizer, read_weights
from .text_encoder import TextEncoder

log = logging.getLogger(__name__)

NO_FACTS = {"architectures", "torch_dtype", "dtype", "transformers_version", "_name_or_path", "auto_map", "use_cache"}
DROPOUTS = {"hidden_dropout_prob", "attention_probs_dropout_prob", "attention_dropout", "dropout", "classifier_dropout"}
PREFIXES = ("", "model.", "bert.", "roberta.", "distilbert.")
# Heads over the Transformer, and buffers that old files carry: no part of a Y-Encoder.
LEFT_OUT = ("pooler.", "cls.", "lm_head.", "classifier.", "embeddings.position_ids")


def load_text(folder: Path | str, dim: int | None, max_tokens: int, dense: bool) -> TextEncoder:
    """See `TextEncoder.from_pretrained`."""
    folder = Path(folder).expanduser()
    # As it stands there: transformers derives values of its own from it (half of a bidirectional Gemma's window).
    hub = {key: value for key, value in read_config(folder).items() if key not in NO_FACTS and value is not None}
    hub |= {key: 0.0 for key in DROPOUTS & hub.keys()}  # cached-gradient training runs each text twice and needs one answer
    _, bos, eos = read_tokenizer(folder)
    room = min(max_tokens, hub.get("max_position_embeddings", max_tokens))
    cfg = TextEncoderConfig(hub=hub, max_tokens=room, bos=bos, eos=eos)
    head_DC = _dense(folder) if dense else None
    width = hub.get("hidden_size")
    published = width if head_DC is None else head_DC.shape[0]
    try:
        model = TextEncoder(cfg, dim or published)
    except (ValueError, KeyError, TypeError, OSError) as error:
        raise CheckpointError(folder / "config.json", f"is no text encoder that transformers can build ({error})",
                              "give a text model's folder") from error  # fmt: skip
    state, names = read_weights(folder)
    expected = model.model.state_dict()
    prefix = max(PREFIXES, key=lambda p: sum(p + name in names for name in expected))
    state = {name.removeprefix(prefix): tensor for name, tensor in state.items()}
    account(folder, expected, state, lambda name: name.startswith(LEFT_OUT))
    check_shapes(folder, expected, state)
    model.model.load_state_dict({name: state[name] for name in expected})
    with torch.no_grad():
        if dim in (None, published):  # the published vector itself
            model.proj.weight.copy_(torch.eye(published, width) if head_DC is None else head_DC)
        elif head_DC is not None:
            start_PD = torch.empty(model.proj.out_features, published).normal_(std=published**-0.5)
            model.proj.weight.copy_(start_PD @ head_DC)  # a random projection keeps similarities
    used = "the mean of its tokens" + ("" if head_DC is None else f", dense layers ({width} to {published}) in the projection")
    log.info("%s: %s, %d tokens at most, %s", folder, hub["model_type"], room, used)
    return model.eval()


def _dense(folder: Path) -> Tensor | None:
    """The matrix of all dense layers that modules.json lists, None without any. CheckpointError for what it cannot express."""
    path = folder / "modules.json"
    if not path.is_file():
        return None
    try:
        modules = json.loads(path.read_text(encoding="utf-8"))
        kinds = [(module["type"].rpartition(".")[2], folder / module["path"]) for module in modules]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise CheckpointError(path, f"cannot be read ({error})", "download it again") from error
    product: Tensor | None = None
    for kind, where in kinds:
        if kind == "Pooling":
            _check_pooling(where / "config.json", read_json(where / "config.json"))
        elif kind == "Dense":
            facts = read_json(where / "config.json")
            activation = str(facts.get("activation_function", "")).rpartition(".")[2]
            layer, _ = read_weights(where)
            if activation != "Identity" or layer.keys() != {"linear.weight"}:
                raise CheckpointError(where, f"has activation {activation} and {', '.join(sorted(layer))}, no plain matrix",
                                      "load with dense=False")  # fmt: skip
            product = layer["linear.weight"] if product is None else layer["linear.weight"] @ product
        elif kind not in ("Transformer", "Normalize"):
            raise CheckpointError(path, f"has the module {kind}, which is not known", "load with dense=False")
    return product


def _check_pooling(path: Path, facts: dict[str, Any]) -> None:
    modes = [key.removeprefix("pooling_mode_") for key, on in facts.items() if key.startswith("pooling_mode_") and on is True]
    modes += [facts["pooling_mode"]] if isinstance(facts.get("pooling_mode"), str) else []
    if not set(modes) <= {"mean_tokens", "mean"} or not modes:
        raise CheckpointError(path, f"pools by {', '.join(modes) or 'nothing'}, a Y-Encoder by the mean", "load with dense=False")
