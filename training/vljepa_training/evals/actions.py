# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Which action: nearest label text to the predicted embedding (paper section 3.1), in the labels' canonical wording and in
others.

Knows nothing of captions or states.
"""

from __future__ import annotations

import numpy as np
from tqdm import tqdm

from ..tabletop import language
from ..tabletop.state import EVENTS
from .bench import Bench
from .intervals import bootstrap, share

DRAWS = 12  # sets of label phrasings and queries


def evaluate_actions(bench: Bench) -> dict:
    """`action_*`: canonical labels and query, classes equally often."""
    labels = bench.encode([language.action_label(k) for k in EVENTS])
    right: dict[str, list[bool]] = {k: [] for k in EVENTS}
    confused: dict[str, dict[str, int]] = {k: {} for k in EVENTS}
    for seen, vector in zip(bench.clips(), bench.vectors(language.ACTION_PROMPT)):
        kind = seen.clip.kind
        best = EVENTS[int((labels @ vector).argmax())]
        right[kind].append(best == kind)
        confused[kind][best] = confused[kind].get(best, 0) + 1
    per_class = {k: share(v) for k, v in right.items()}
    return {
        "action_top1": share([r for v in right.values() for r in v]),
        "action_per_class": per_class,
        "action_worst": min(p["value"] for p in per_class.values() if p["n"]),
        "action_confused": confused,
    }


def evaluate_paraphrases(bench: Bench) -> dict:
    """What phrasings never trained on cost.

    `DRAWS` sets of one label phrasing per class and one query are drawn from what training sees, and as many from what it never
    sees; a clip's score is the share of sets under which it is right. `paraphrase_drop`: trained minus never trained on, labels
    and query together, in points of 1; the parts exchange one of the two.
    """
    clips, rng = bench.clips(), np.random.default_rng([bench.seed, 31])
    sets, queries, scores = {}, {}, {}
    for held_out in (False, True):
        sets[held_out] = np.stack(
            [bench.encode([language.action_label(k, rng, held_out) for k in EVENTS]) for _ in range(DRAWS)]
        )  # (draws, kinds, D)
        words = language.QUESTIONS["action"]
        queries[held_out] = list(words.held_out if held_out else words.train)
    asked = queries[False] + queries[True]
    which = {
        False: rng.integers(len(queries[False]), size=DRAWS),
        True: len(queries[False]) + rng.integers(len(queries[True]), size=DRAWS),
    }
    for seen in tqdm(clips, desc="paraphrases", unit="clip", mininterval=2.0):
        vectors = bench.predict(seen, asked)
        true = EVENTS.index(seen.clip.kind)
        for labels_held in (False, True):
            for query_held in (False, True):
                found = np.einsum("skd,sd->sk", sets[labels_held], vectors[which[query_held]]).argmax(1)
                scores.setdefault((labels_held, query_held), []).append(float(np.mean(found == true)))
    array = {k: np.array(v) for k, v in scores.items()}
    groups = [seen.group for seen in clips]

    def figure(values: np.ndarray) -> dict[str, float]:
        return bootstrap(len(values), lambda index: float(values[index].mean()), groups)

    trained = array[False, False]
    return {
        "paraphrase_drop": figure(trained - array[True, True]),
        "paraphrase": {
            "trained_labels_and_query": figure(trained),
            "held_out_labels_and_query": figure(array[True, True]),
            "held_out_labels": figure(array[True, False]),
            "held_out_query": figure(array[False, True]),
            "held_out_per_class": {
                k: float(np.mean([v for v, seen in zip(array[True, True], clips) if seen.clip.kind == k])) for k in EVENTS
            },
        },
    }
