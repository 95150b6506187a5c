"""Texts as the parts want them: with or without BOS and EOS, as the configuration says. The one place where training asks a
tokenizer."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from vljepa_ros.model import PredictorConfig, TextDecoderConfig, TextEncoderConfig, Tokenizer


def query_tokens(tokenizer: Tokenizer, queries: Sequence[str], cfg: PredictorConfig) -> tuple[Tensor, Tensor]:
    """(ids_BL, mask_BL) for the Predictor."""
    return tokenizer.encode(queries, cfg.max_query_tokens, bos=cfg.query_bos)


def text_tokens(tokenizer: Tokenizer, texts: Sequence[str], cfg: TextEncoderConfig) -> tuple[Tensor, Tensor]:
    """(ids_BL, mask_BL) for the Y-Encoder."""
    return tokenizer.encode(texts, cfg.max_tokens, bos=cfg.bos, eos=cfg.eos)


def spoken_tokens(tokenizer: Tokenizer, texts: Sequence[str], cfg: TextDecoderConfig) -> tuple[Tensor, Tensor]:
    """(ids_BL, mask_BL) for teacher forcing of the Y-Decoder, from BOS to EOS."""
    return tokenizer.encode(texts, cfg.max_tokens, bos=True, eos=True)
