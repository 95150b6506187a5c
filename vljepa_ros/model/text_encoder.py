# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The Y-Encoder: any Hugging Face text encoder, mean over its non-padding tokens, one linear layer into the shared space.

Built from a configuration alone: no network, no remote code. transformers is imported only when one is built, because it takes
seconds and a predictor node never needs it.
"""
from __future__ import annotations

import inspect
from pathlib import Path

import torch
from torch import Tensor, nn

from .config import TextEncoderConfig
from .initialise import init_linears


class TextEncoder(nn.Module):
    """Token ids to raw vectors; normalisation happens in `VLJEPA` and in the losses."""

    def __init__(self, cfg: TextEncoderConfig, dim: int) -> None:
        super().__init__()
        from transformers import AutoConfig, AutoModel
        from transformers.models.auto.modeling_auto import MODEL_MAPPING

        self.cfg = cfg
        hub = dict(cfg.hub)
        hub_config = AutoConfig.for_model(hub.pop("model_type"), **hub)
        # A BERT-like pooler is unused here: its weights would travel in every checkpoint and never get a gradient.
        takes_pooling = "add_pooling_layer" in inspect.signature(MODEL_MAPPING[type(hub_config)].__init__).parameters
        options = {"add_pooling_layer": False} if takes_pooling else {}
        # On a CPU the fused attention's bf16 backward is slow: 64 texts of 20 tokens train in 160 ms with it, in 80 ms without.
        attention = "sdpa" if torch.cuda.is_available() else "eager"
        model = AutoModel.from_config(hub_config, trust_remote_code=False, attn_implementation=attention, **options)
        self.model = model.train()
        self.proj = nn.Linear(hub_config.hidden_size, dim)
        init_linears(self.proj, 1)

    @classmethod
    def from_pretrained(
        cls, folder: Path | str, dim: int | None = None, max_tokens: int = 512, dense: bool = True
    ) -> TextEncoder:
        """A hub folder: EmbeddingGemma, BERT, MiniLM and their like; fp32, CPU, in evaluation mode, dropout off.

        `dim`: of the space; the projection starts at random, over sentence-transformers' dense layers where the folder has them
        and `dense` is true. None: the published vector's own (raw, of norm other than 1). Every weight is used, or belongs to a
        head above the Transformer; CheckpointError names all that are missing or unexpected. `hub.read_tokenizer` reads the
        tokenizer.
        """
        from .hub_text import load_text

        return load_text(folder, dim, max_tokens, dense)

    def forward(self, ids_BL: Tensor, mask_BL: Tensor) -> Tensor:
        """ids_BL int64, mask_BL bool (True = token; each row needs one) -> vectors_BD float32, not normalised."""
        hidden_BLC = self.model(input_ids=ids_BL, attention_mask=mask_BL.long()).last_hidden_state.float()
        weight_BL1 = mask_BL.unsqueeze(-1).to(hidden_BLC.dtype)
        pooled_BC = (hidden_BLC * weight_BL1).sum(1) / weight_BL1.sum(1).clamp(min=1.0)
        return self.proj(pooled_BC).float()
