# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Texts that a checkpoint cannot read whole are named: cut in silence, they would say something else. Needs no weights."""
from __future__ import annotations

from collections.abc import Sequence

from .config import PredictorConfig, TextEncoderConfig
from .tokenizer import Tokenizer

SHOWN = 40  # characters of a text in an error


def check_queries(queries: Sequence[str], facts: PredictorConfig, tokenizer: Tokenizer) -> None:
    """ValueError names the first query that is longer than the Predictor reads. `tokenizer`: the checkpoint's "query"."""
    _check("queries", queries, tokenizer, facts.max_query_tokens - facts.query_bos)


def check_texts(texts: Sequence[str], facts: TextEncoderConfig, tokenizer: Tokenizer) -> None:
    """ValueError names the first text that is empty or longer than the Y-Encoder reads. `tokenizer`: the checkpoint's "text"."""
    if "" in texts:
        raise ValueError(f"texts[{list(texts).index('')}] is empty and lies nowhere in the space")
    _check("texts", texts, tokenizer, facts.max_tokens - facts.bos - facts.eos)


def _check(name: str, texts: Sequence[str], tokenizer: Tokenizer, room: int) -> None:
    for index, (text, count) in enumerate(zip(texts, tokenizer.count(texts))):
        if count > room:
            shown = text if len(text) <= SHOWN else f"{text[:SHOWN]}..."
            raise ValueError(f"{name}[{index}] has {count} tokens where this checkpoint reads {room}, shorten it: {shown!r}")
