# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Captions decoded from predicted embeddings: is the right action named, and how much of the rest is said (CIDEr-D).

Beside the Y-Decoder's words from the prediction stand its words from the true text's embedding (the oracle: what decoding loses
by itself) and retrieval decoding, the nearest of all captions that training saw. References, bank and decoder speak
canonically, so that a score is about what is said and not about which phrasing was drawn. Short captions give the report's
keys; long descriptions, of which no bank can hold all, stand beside them.
"""

from __future__ import annotations

import numpy as np

from vljepa_ros.evaluation.cider import cider_d, words

from ..calibrate import sentences_right
from ..tabletop import language
from ..tabletop.dataset import training_stream
from ..tabletop.phrases_state import DETAIL_PROMPT
from ..tabletop.state import EVENTS, Event
from .bench import Bench
from .intervals import bootstrap, mean, share
from .retrieval import description, short

BANK_STREAMS = 760  # training streams whose texts are the bank: those of the recipe that are not held back


def evaluate_captions(bench: Bench) -> dict:
    clips = bench.clips()
    groups = [seen.group for seen in clips]
    brief = _speak(bench, language.CAPTION_PROMPT, [short(seen.clip) for seen in clips], _bank(False))
    long = _speak(bench, DETAIL_PROMPT, [description(seen.clip) for seen in clips], _bank(True))
    named = [language.named_action(said) == seen.clip.kind for said, seen in zip(brief["said"], clips)]
    states = [language.state_text(seen.clip.state, seen.clip.scene) for seen in clips]
    said = [decoded.text for decoded in bench.decoded(language.STATE_PROMPT)]
    examples = [
        {"caption": a, "true_caption": b, "state": c, "true_state": d}
        for a, b, c, d in zip(brief["said"], brief["true"], said, states)
    ]
    return {
        "caption_action_acc": share(named),
        "caption_action_per_class": {k: share([n for n, seen in zip(named, clips) if seen.clip.kind == k]) for k in EVENTS},
        "caption_exact": share([a == b for a, b in zip(brief["said"], brief["true"])]),
        **{f"cider_d{name}": figure for name, figure in _scores(brief, groups).items()},
        "description": {f"cider_d{name}": figure for name, figure in _scores(long, groups).items()},
        "state_sentences_right": mean([share_right(a, b) for a, b in zip(said, states)], groups),
        "examples": examples[:: max(1, len(examples) // 14)],
    }


def share_right(said: str, true: str) -> float:
    """Which share of the sentences said are true; 0 where nothing is said."""
    return float(np.mean(sentences_right(said, true) or [False]))


def _bank(long: bool) -> list[str]:
    """Every caption, or long description, of some training streams: canonical and distinct."""
    out: dict[str, None] = {}
    for seed in range(BANK_STREAMS):
        stream = training_stream(seed)
        for event in stream.events:
            state = stream.state_at(event.end)
            out[language.detail(event, state, stream.scene) if long else language.caption(event, stream.scene)] = None
            if long:
                still = Event("nothing", event.rest, event.rest, event.rest)
                out[language.detail(still, state, stream.scene)] = None
    if not long:
        out[language.CAPTIONS["nothing"].train[0]] = None
    return list(out)


def _speak(bench: Bench, query: str, true: list[str], bank: list[str]) -> dict[str, list[str]]:
    """What is said of each clip: by the decoder from the prediction, from the true embedding, and by the bank."""
    rows, truth = bench.encode(bank), list(dict.fromkeys(true))
    oracle = dict(zip(truth, (d.text for d in bench.decode(bench.encode(truth), "oracle"))))
    return {
        "said": [decoded.text for decoded in bench.decoded(query)],
        "oracle": [oracle[t] for t in true],
        "retrieved": [bank[int(i)] for i in (bench.vectors(query) @ rows.T).argmax(1)],
        "true": true,
    }


def _scores(texts: dict[str, list[str]], groups: list[int]) -> dict[str, dict]:
    """CIDEr-D of the prediction (""), the oracle and retrieval, and what share of the oracle and how far before retrieval."""
    references = [[words(t)] for t in texts["true"]]
    each = {k: np.array(cider_d([words(t) for t in texts[k]], references).each) for k in ("said", "oracle", "retrieved")}
    n = len(references)

    def ratio(index: np.ndarray) -> float:
        return float(each["said"][index].mean() / max(1e-9, each["oracle"][index].mean()))

    return {
        "": mean(each["said"], groups),
        "_oracle": mean(each["oracle"], groups),
        "_retrieval": mean(each["retrieved"], groups),
        "_of_oracle": bootstrap(n, ratio, groups),
        "_before_retrieval": mean(each["said"] - each["retrieved"], groups),
    }
