# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Text to video: the clip that a description belongs to, among hundreds (paper section 3.1).

The descriptions are the long ones, answers to "Describe this video in detail.": the short captions of all events together are
fewer than the pool, and opening the drawer has only one. All are distinct, and of every action that changes the world there are
equally many, so that a clip's neighbours show the same action, often in the same scene.
"""

from __future__ import annotations

import numpy as np

from ..tabletop import language
from ..tabletop.phrases_state import DETAIL_PROMPT
from ..tabletop.state import CHANGING
from .bench import Bench
from .clips import EvalClip, draw_clips
from .intervals import share

POOL = 500


def description(clip: EvalClip) -> str:
    return language.detail(clip.event, clip.state, clip.scene)


def short(clip: EvalClip) -> str:
    return language.caption(clip.event, clip.scene)


def evaluate_retrieval(bench: Bench, pool: int = POOL) -> dict:
    """`retrieval_r1_500`: share of descriptions whose own clip's prediction is nearest of all clips'; 500 unless `pool` is less.

    Beside it the short captions, of as many clips of the pool as have distinct ones.
    """
    per_class = -(-pool // len(CHANGING))
    drawn = draw_clips(bench.seed, per_class, image_size=bench.image_size, kinds=CHANGING, distinct=description, salt=1)
    clips = bench.watch(_even(drawn, pool), "retrieval")
    both = np.stack([bench.predict(seen, [DETAIL_PROMPT, language.CAPTION_PROMPT]) for seen in clips])  # (clips, 2, D)
    long = _ranks(bench.encode([description(s.clip) for s in clips]), both[:, 0])
    first = list({short(s.clip): i for i, s in enumerate(clips)}.values())
    brief = _ranks(bench.encode([short(clips[i].clip) for i in first]), both[first, 1])
    kinds = [s.clip.kind for s in clips]
    return {
        "retrieval_r1_500": share(list(long["text_to_video"] == 0)),
        "retrieval": {
            "pool": len(clips),
            "least_of_one_action": min(kinds.count(k) for k in CHANGING),
            **_summary(long),
            "r1_per_class": {
                k: float(np.mean([r == 0 for r, x in zip(long["text_to_video"], kinds) if x == k])) for k in CHANGING
            },
        },
        "retrieval_short_captions": {"pool": len(first), **_summary(brief)},
    }


def _even(clips: list[EvalClip], pool: int) -> list[EvalClip]:
    """The first `pool` when classes take turns."""
    turn: dict[str, int] = {}
    order = []
    for i, clip in enumerate(clips):
        order.append((turn.setdefault(clip.kind, 0), i))
        turn[clip.kind] += 1
    return [clips[i] for _, i in sorted(order)[:pool]]


def _ranks(texts_ND: np.ndarray, videos_ND: np.ndarray) -> dict[str, np.ndarray]:
    """How many others are at least as near as the right one, both ways: a tie is no find."""
    similarity = texts_ND @ videos_ND.T
    own = np.diag(similarity)
    return {
        "text_to_video": (similarity >= own[:, None]).sum(1) - 1,
        "video_to_text": (similarity >= own[None]).sum(0) - 1,
    }


def _summary(ranks: dict[str, np.ndarray]) -> dict:
    out = {}
    for way, rank in ranks.items():
        out[way] = {"r1": share(list(rank == 0)), "r5": float(np.mean(rank < 5)), "median_rank": float(np.median(rank) + 1)}
    return out
