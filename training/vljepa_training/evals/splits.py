# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Worlds that differ from training in one way, each beside the familiar ones: unseen colour-shape pairs, cameras, table
colours."""

from __future__ import annotations

from ..tabletop import language
from ..tabletop.state import EVENTS
from .answers import ask_all
from .bench import FAMILIAR, SPLITS, Bench
from .captions import share_right
from .intervals import mean


def evaluate_splits(bench: Bench) -> dict:
    """`splits`: for each kind of world the action, the answers, the caption's action and the state's sentences."""
    return {"splits": {name: _figures(bench, name) for name in (FAMILIAR, *SPLITS)}}


def _figures(bench: Bench, name: str) -> dict:
    clips = bench.clips(name)
    labels = bench.encode([language.action_label(k) for k in EVENTS])
    kinds = [seen.clip.kind for seen in clips]
    found = [EVENTS[i] for i in (bench.vectors(language.ACTION_PROMPT, name) @ labels.T).argmax(1)]
    captions = [language.named_action(d.text) for d in bench.decoded(language.CAPTION_PROMPT, name)]
    states = [
        share_right(d.text, language.state_text(seen.clip.state, seen.clip.scene))
        for d, seen in zip(bench.decoded(language.STATE_PROMPT, name), clips)
    ]
    groups = [seen.group for seen in clips]
    answered, _ = ask_all(bench, clips, name=f"questions ({name})")
    return {
        "action_top1": mean([a == b for a, b in zip(found, kinds)], groups),
        "caption_action_acc": mean([a == b for a, b in zip(captions, kinds)], groups),
        "state_sentences_right": mean(states, groups),
        "vqa_acc": answered.figure(answered.right),
    }
