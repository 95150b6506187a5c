# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The Y-Decoder: a small causal language model that puts an embedding into words.

The embedding becomes `prefix_tokens` tokens in front of the text. Token table and output layer are two: shared, a decoder of this
size begins by repeating its last token and spends its training on unlearning it. Trained on (embedding of text, text) pairs after
everything else; knows nothing of images and nothing of tokenization.

Shapes: B texts, L tokens, P prefix tokens, C hidden size, D shared dimension, V vocabulary.
"""
from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from .config import TextDecoderConfig
from .initialise import init_linears
from .llama import Cache, LlamaStack


class Candidate(NamedTuple):
    """One text that a vector may stand for."""

    ids: list[int]  # without BOS and EOS
    logprob: float  # of the whole text, its end included
    mean_logprob: float  # per token of it


class TextDecoder(nn.Module):
    """Vectors of norm 1 in, logits or texts (as token ids) out."""

    def __init__(self, cfg: TextDecoderConfig, dim: int) -> None:
        super().__init__()
        self.cfg, self.dim = cfg, dim
        self.prefix = nn.Linear(dim, cfg.prefix_tokens * cfg.hidden_size)
        self.embed_tokens = nn.Embedding(cfg.vocab_size, cfg.hidden_size)
        self.stack = LlamaStack(cfg)
        self.head = nn.Linear(cfg.hidden_size, cfg.vocab_size, bias=False)
        init_linears(self, cfg.layers)  # the token table keeps PyTorch's variance of 1, the prefix's too

    def forward(self, vectors_BD: Tensor, ids_BL: Tensor, mask_BL: Tensor | None = None) -> Tensor:
        """Teacher forcing: ids_BL begin with BOS, padding is at the right; logits_BLV (float32) at i predict ids at i + 1.

        A causal model never looks at what stands to the right, so padding needs no mask; `mask_BL` marks the positions whose
        logits count in the loss and is accepted here for one interface with the other text modules.
        """
        x_BNC = torch.cat([self._prefix(vectors_BD), self._embed(ids_BL)], dim=1)
        hidden_BNC = self.stack(x_BNC, causal=True)
        return self._logits(hidden_BNC[:, self.cfg.prefix_tokens :])

    def generate(self, vectors_BD: Tensor, max_tokens: int | None = None) -> tuple[list[list[int]], Tensor]:
        """Greedy. Returns token ids without BOS and EOS, and mean_logprob_B over the tokens chosen, the EOS among them.

        A text that reaches `max_tokens` (the config's by default) ends there without an EOS.
        """
        best = [texts[0] for texts in self.candidates(vectors_BD, 1, max_tokens)]
        return [one.ids for one in best], torch.tensor([one.mean_logprob for one in best], device=vectors_BD.device)

    @torch.no_grad()
    def candidates(self, vectors_BD: Tensor, width: int, max_tokens: int | None = None) -> list[list[Candidate]]:
        """Beam search: for every vector `width` different texts (fewer where there are no more), the likeliest first.

        ValueError for a width below 1.
        """
        if width < 1:
            raise ValueError(f"width must be >= 1, got {width}")
        steps = self.cfg.max_tokens if max_tokens is None else max_tokens
        B, W, V, device = vectors_BD.shape[0], width, self.cfg.vocab_size, vectors_BD.device
        if B == 0 or steps == 0:
            return [[Candidate([], 0.0, 0.0)] for _ in range(B)]
        bos_R1 = torch.full((B * W, 1), self.cfg.bos_id, device=device)  # R rows: the W beginnings of every vector's texts
        x_RNC = torch.cat([self._prefix(vectors_BD.repeat_interleave(W, 0)), self._embed(bos_R1)], dim=1)
        cache = Cache(self.cfg, B * W, x_RNC.shape[1] + steps, device, self._cache_dtype(device))
        total_BW = torch.full((B, W), -torch.inf, device=device)
        total_BW[:, 0] = 0.0  # at first all beginnings are one
        ids_BWL, length_BW = torch.empty((B, W, 0), dtype=torch.int64, device=device), torch.zeros((B, W), device=device)
        ended_BW = torch.zeros((B, W), dtype=torch.bool, device=device)
        stay_V = torch.full((V,), -torch.inf, device=device)  # a text that has ended goes on with more ends, at no cost
        stay_V[self.cfg.eos_id] = 0.0
        for _ in range(steps):
            logprob_RV = self._logits(self.stack(x_RNC, causal=True, cache=cache)[:, -1]).log_softmax(-1)
            logprob_BWV = torch.where(ended_BW[..., None], stay_V, logprob_RV.view(B, W, V))
            total_BW, index_BW = (total_BW[..., None] + logprob_BWV).view(B, W * V).topk(W)
            from_BW, token_BW = index_BW // V, index_BW % V
            ended_BW = ended_BW.gather(1, from_BW)
            length_BW = length_BW.gather(1, from_BW) + ~ended_BW
            ids_BWL = ids_BWL.gather(1, from_BW[..., None].expand(-1, -1, ids_BWL.shape[2]))
            ids_BWL = torch.cat([ids_BWL, token_BW[..., None]], dim=2)
            ended_BW = ended_BW | (token_BW == self.cfg.eos_id)
            if ended_BW.all():
                break
            if W > 1:
                cache.reorder((torch.arange(B, device=device)[:, None] * W + from_BW).flatten())
            x_RNC = self._embed(token_BW.view(-1, 1))
        table = zip(ids_BWL.tolist(), total_BW.tolist(), (total_BW / length_BW).tolist())
        return [[Candidate(self._until_end(ids), t, mean) for ids, t, mean in zip(*row) if t > -torch.inf] for row in table]

    def _until_end(self, ids: list[int]) -> list[int]:
        return ids[: ids.index(self.cfg.eos_id)] if self.cfg.eos_id in ids else ids

    def _prefix(self, vectors_BD: Tensor) -> Tensor:
        # Unit-norm vectors have entries of 1/sqrt(D): unscaled, they drown beside the token embeddings and are ignored.
        prefix = self.prefix(vectors_BD * self.dim**0.5)
        return prefix.view(-1, self.cfg.prefix_tokens, self.cfg.hidden_size).float()

    def _embed(self, ids_BL: Tensor) -> Tensor:
        return self.embed_tokens(ids_BL).float()

    def _logits(self, hidden: Tensor) -> Tensor:
        return self.head(hidden).float()

    def _cache_dtype(self, device: torch.device) -> torch.dtype:
        """What the attention computes keys and values in."""
        if torch.is_autocast_enabled(device.type):
            return torch.get_autocast_dtype(device.type)
        return self.embed_tokens.weight.dtype
