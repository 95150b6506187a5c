# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Texts as the parts want them: with or without BOS and EOS, as the configuration says. The one place where training asks a
tokenizer."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from vljepa_ros.model import PredictorConfig, TextDecoderConfig, TextEncoderConfig, Tokenizer

from ..ranks import world


def query_tokens(tokenizer: Tokenizer, queries: Sequence[str], cfg: PredictorConfig) -> tuple[Tensor, Tensor]:
    """(ids_BL, mask_BL) for the Predictor."""
    return tokenizer.encode(queries, cfg.max_query_tokens, bos=cfg.query_bos)


def text_tokens(tokenizer: Tokenizer, texts: Sequence[str], cfg: TextEncoderConfig) -> tuple[Tensor, Tensor]:
    """(ids_BL, mask_BL) for the Y-Encoder."""
    return tokenizer.encode(texts, cfg.max_tokens, bos=cfg.bos, eos=cfg.eos)


def spoken_tokens(tokenizer: Tokenizer, texts: Sequence[str], cfg: TextDecoderConfig) -> tuple[Tensor, Tensor]:
    """(ids_BL, mask_BL) for teacher forcing of the Y-Decoder, from BOS to EOS."""
    return tokenizer.encode(texts, cfg.max_tokens, bos=True, eos=True)


def by_length(mask_BL: Tensor, parts: int = 4) -> list[tuple[Tensor, int]]:
    """(rows, tokens of the longest) of `parts` parts of a batch, texts of like length in each.

    A state is ten times as long as an answer, and padding costs as much as words. An empty part is left out.
    """
    chunks = mask_BL.sum(1).argsort().tensor_split(parts)
    return [(rows, int(mask_BL[rows].sum(1).max())) for rows in chunks if len(rows)]


def encode_by_length(encoder: nn.Module, ids_BL: Tensor, mask_BL: Tensor, parts: int = 4) -> Tensor:
    """`encoder(ids_BL, mask_BL)`, a part of the texts at a time and each part cut to its longest.

    On several ranks there are always `parts` calls, for ranks whose parameters are scattered must make the same.
    """
    chunks = by_length(mask_BL, parts)
    out = [encoder(ids_BL[rows, :n], mask_BL[rows, :n]) for rows, n in chunks]
    if world() > 1:
        first, n = chunks[0]
        out += [encoder(ids_BL[first[:1], :n], mask_BL[first[:1], :n])[:0] for _ in range(parts - len(chunks))]
    return torch.cat(out)[torch.cat([rows for rows, _ in chunks]).argsort()]
