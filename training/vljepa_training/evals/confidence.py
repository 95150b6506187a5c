# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Is `confidence` what it says: the share of a text's sentences that are to be expected right?

Texts are state descriptions decoded from predictions; of each, confidence stands against the share of its sentences that the
simulator has too. Worlds are neither those of training nor those of the calibration. Knows nothing of how confidence is made.
"""

from __future__ import annotations

import numpy as np

from ..tabletop import language
from .bench import FAMILIAR, SPLITS, Bench
from .captions import share_right
from .intervals import bootstrap

BINS = 10


def calibration_error(confidence: np.ndarray, right: np.ndarray, bins: int = BINS) -> float:
    """Mean over texts of |confidence - share right| between bin means; `bins` of equal width over 0..1."""
    bin_of = np.minimum((np.asarray(confidence) * bins).astype(int), bins - 1)
    gaps = [(bin_of == b).mean() * abs(confidence[bin_of == b].mean() - right[bin_of == b].mean()) for b in np.unique(bin_of)]
    return float(np.sum(gaps))


def evaluate_confidence(bench: Bench) -> dict:
    confidence, right, familiar = _texts(bench)
    groups = [seen.group for seen in bench.clips()]
    bin_of = np.minimum((confidence * BINS).astype(int), BINS - 1)
    return {
        "confidence_ece": bootstrap(len(right), lambda i: calibration_error(confidence[i], right[i]), groups),
        "confidence_table": [
            {
                "from": b / BINS,
                "texts": int((bin_of == b).sum()),
                "confidence": float(confidence[bin_of == b].mean()),
                "right": float(right[bin_of == b].mean()),
            }
            for b in np.unique(bin_of).tolist()
        ],
        "familiar_share": {
            "familiar": float(familiar.mean()),
            **{name: float(_texts(bench, name)[2].mean()) for name in SPLITS},
        },
    }


def _texts(bench: Bench, name: str = FAMILIAR) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(confidence, share of sentences right, familiar) of each clip's state text."""
    table = [
        (d.confidence, share_right(d.text, language.state_text(seen.clip.state, seen.clip.scene)), d.familiar)
        for d, seen in zip(bench.decoded(language.STATE_PROMPT, name), bench.clips(name))
    ]
    return tuple(np.array(table, float).T)
