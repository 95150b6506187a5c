# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The Predictor: visual tokens and a query in, the predicted embedding of the answer out.

Llama layers without a causal mask over visual tokens first, query tokens after them. The output is raw: normalisation to norm 1
happens in `VLJEPA` and in the losses. Knows nothing of tokenization.

Shapes: B clips or queries, N visual tokens, L query tokens, C hidden size, D shared dimension.
"""
from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from .config import PredictorConfig
from .initialise import init_linears
from .llama import LlamaStack, stack_from_hf


class Predictor(nn.Module):
    """The token table is frozen (as published); everything else is trained."""

    def __init__(self, cfg: PredictorConfig, vision_dim: int, dim: int) -> None:
        super().__init__()
        self.cfg = cfg
        self.vis_proj = nn.Linear(vision_dim * cfg.merges, cfg.hidden_size)
        if cfg.visual_positions:
            self.positions = nn.Parameter(torch.zeros(cfg.visual_positions, cfg.hidden_size))
        self.embed_tokens = nn.Embedding(cfg.vocab_size, cfg.hidden_size)
        self.embed_tokens.requires_grad_(False)
        self.query_proj = nn.Linear(cfg.hidden_size, cfg.hidden_size)
        self.stack = LlamaStack(cfg, cfg.rope_scaling)
        self.out_proj = nn.Linear(cfg.hidden_size, dim)
        init_linears(self, cfg.layers)
        nn.init.eye_(self.query_proj.weight)  # the query starts as Llama's own tokens

    @classmethod
    def from_pretrained(
        cls, folder: Path | str, last_layers: int = 8, vision_dim: int = 1024, dim: int = 1536, **facts: Any
    ) -> Predictor:
        """The last layers, token table and final norm of a Llama 3 from a hub folder; projections start at random.

        fp32, CPU, in evaluation mode. `facts`: further fields of PredictorConfig (merge, max_query_tokens, ...). CheckpointError
        names all weights that are missing or unexpected. `hub.read_tokenizer` reads the tokenizer.
        """
        from .hub_llama import load_predictor

        return load_predictor(folder, last_layers, vision_dim, dim, facts)

    def forward(self, visual_BND: Tensor, query_ids_BL: Tensor, query_mask_BL: Tensor | None = None) -> Tensor:
        """Vectors_BD, float32, not normalised.

        visual_BND: VisionEncoder tokens; query_ids_BL: int64, padded at the right; query_mask_BL: bool, True = token, None = no
        padding. L = 0 is the empty query. A batch of 1 on either side serves every row of the other: one clip with Q queries, or
        one prompt for B clips. Padding changes nothing: it is hidden from attention and pool. Raises ValueError for batches that
        do not fit.
        """
        visual_BNC = self._project(visual_BND)
        B, L = max(visual_BND.shape[0], query_ids_BL.shape[0]), query_ids_BL.shape[1]
        if visual_BND.shape[0] not in (1, B) or query_ids_BL.shape[0] not in (1, B):
            raise ValueError(f"{visual_BND.shape[0]} clips do not fit {query_ids_BL.shape[0]} queries; one of them must be 1")
        tokens = [visual_BNC.expand(B, -1, -1)]
        if L:
            tokens.append(self.query_proj(self.embed_tokens(query_ids_BL)).expand(B, -1, -1))
        visible_BN = None
        if L and query_mask_BL is not None:
            visual_mask = query_mask_BL.new_ones(B, visual_BNC.shape[1], dtype=torch.bool)
            visible_BN = torch.cat([visual_mask, query_mask_BL.bool().expand(B, -1)], dim=1)
        hidden_BNC = self.stack(torch.cat(tokens, dim=1), visible_BN)
        if visible_BN is None:
            pooled_BC = hidden_BNC.mean(1)
        else:
            weight_BN1 = visible_BN.unsqueeze(-1).to(hidden_BNC.dtype)
            pooled_BC = (hidden_BNC * weight_BN1).sum(1) / weight_BN1.sum(1)
        return self.out_proj(pooled_BC).float()

    def _project(self, visual_BND: Tensor) -> Tensor:
        """Merged, projected, and told where they are."""
        visual_BNC = self.vis_proj(self._merge(visual_BND))
        if not self.cfg.visual_positions:
            return visual_BNC
        if visual_BNC.shape[1] != self.cfg.visual_positions:
            raise ValueError(f"{visual_BNC.shape[1]} visual tokens, {self.cfg.visual_positions} positions; one each is needed")
        return visual_BNC + self.positions

    def _merge(self, visual_BND: Tensor) -> Tensor:
        """Each block of merge_time x merge x merge neighbouring tokens becomes one token, their vectors one after the other."""
        m, t, g = self.cfg.merge, self.cfg.merge_time, self.cfg.visual_grid
        if self.cfg.merges == 1:
            return visual_BND
        B, N, D = visual_BND.shape
        if N % (g * g * t):
            raise ValueError(f"{N} visual tokens are no whole number of {t} x {g} x {g} grids")
        x = visual_BND.reshape(B, N // (g * g * t), t, g // m, m, g // m, m, D)
        return x.permute(0, 1, 3, 5, 2, 4, 6, 7).reshape(B, N // self.cfg.merges, self.cfg.merges * D)

    def load_llama(self, state: Mapping[str, Tensor], first_layer: int = 0) -> None:
        """Token table, layers from `first_layer` on, final norm from Hugging Face Llama weights; ValueError names what lacks."""
        state = {name.removeprefix("model."): tensor for name, tensor in state.items()}
        self.stack.load_state_dict(stack_from_hf(state, self.cfg.layers, first_layer))
        self.embed_tokens.load_state_dict({"weight": state["embed_tokens.weight"]})
