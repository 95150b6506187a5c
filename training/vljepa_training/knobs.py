# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What the paper does not say of its training: our value of each knob, and why that.

`joint_recipes` changes some for a recipe.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from vljepa_ros.model import paper

from .optimizers import BETAS


@dataclass(frozen=True)
class Choice:
    """A knob that the paper does not disclose: our value, and why that."""

    value: Any
    reason: str


KNOBS = {
    "temperature": Choice(0.07, "CLIP's start, which the paper's loss cites; open re-implementations take it too"),
    "learnable_temperature": Choice(True, "as in CLIP, and clamped at a scale of 100 as there (losses.MAX_SCALE)"),
    "optimizer": Choice("adamw", "usual for Transformers; fsdp2 can scatter its state, and not Muon's whole matrices"),
    "betas": Choice(BETAS, "fixed in optimizers.py: the short memory of CLIP, whose loss is noisy at the start"),
    "weight_decay": Choice(0.05, "of matrices; between CLIP's 0.2 and V-JEPA 2's 0.04, and at 5e-5 it hardly moves anything"),
    "warmup": Choice(2000, "CLIP's steps, a tenth of a phase at most: projections begin at random and would shake the rest"),
    "clip_norm": Choice(1.0, "usual for Transformers; projections that begin at random have large gradients"),
    "precision": Choice("bf16", "matrix products under autocast; weights, optimizer, residual streams, norms and loss are fp32"),
    "dropout": Choice(0.0, "hub configurations of Gemma and Llama have none, and the data is hardly seen twice"),
    "query_free_query": Choice(
        paper().prompts["state"],
        "for samples without a query of their own: the published captioning prompt, so that what the robot asks later is a query "
        "that stage 1 has seen; an empty query would leave the query's projection untrained",
    ),
    "pooling": Choice("visual and query", "fixed in Predictor.forward: the published sentence, all tokens that are no padding"),
    "y_pooling": Choice("mean", "fixed in TextEncoder.forward: EmbeddingGemma's own, over tokens that are no padding"),
    "query_projection": Choice(True, "fixed in Predictor: Figure 2 draws one on both streams; it begins as the identity"),
    "label_template": Choice("{}", "fixed in sources/folders.py: a class's name alone, unless the sources file says another"),
    "y_decoder": Choice("afterwards", "on texts alone (`train --texts`), as section 2 has it; neither texts nor size are told"),
    "decode_steps": Choice(20_000, "of the Y-Decoder, some ten million texts; not tried at this size"),
    "decode_batch": Choice(512, "texts: they are short, and there is no X-Encoder to wait for"),
    "decode_lr": Choice(5e-4, "its peak, ten times stage 1's: the Y-Decoder begins at random"),
    "frame_sampling": Choice("uniform", "fixed in sources/media.py: evenly from a segment's start to its end, as section 3.1"),
    "augmentation": Choice("none", "no source names one; a mirrored picture makes left and right in its text wrong"),
    "vision_multiplier": Choice(0.1, "of the unfrozen X-Encoder: it is trained already; between the Y-Encoder's 0.05 and all"),
    "equal_targets": Choice("no negatives", "fixed in losses.InfoNCE: short actions and answers occur often in a large batch"),
    "accumulated_negatives": Choice(
        True, "3,072 x 4 is taken as one batch of 12,288 with cached gradients, which has the whole batch's negatives"
    ),
    "seed": Choice(0, "one run, as published"),
    "query_tokens": Choice(12, "of a query, for the cost: the prompts of Figure 2 have 8 to 10 with BOS"),
    "target_tokens": Choice(
        40,
        "of a target, for the cost: Action100M's fields have 3.2, 19.2, 27.8 and 95.3 words, the longer two drawn half as often; "
        "1.35 tokens a word",
    ),
    "card": Choice("H200", "the published one; `cost.py` computes with any"),
    "ranks": Choice(192, "24 nodes of 8, as published"),
}
SFT_KNOBS = {
    "sft_lr": Choice(5e-5, "the peak of the cosine: stage 1's rate, at which the parts have settled"),
    "sft_replay": Choice(0.2, "share of stage 1's data; the paper says down-sampled and not how far"),
    "sft_vision": Choice("frozen", "section 3.1 has it frozen; only Action100M's notes unfreeze it, and there in stage 1"),
    "query_tokens": Choice(20, "of a query, for the cost: questions of GQA and TallyQA and the prompts"),
    "target_tokens": Choice(16, "of a target, for the cost: most are answers of a few tokens, a third captions and stage 1's"),
}
