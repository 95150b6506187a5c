# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a decoded text's log-probability says: which share of it is right, and where the familiar ends. Fitted on held-out
streams.

A state text is a list of facts, one a sentence. Its confidence is the share of its sentences that are to be expected true, so
that a text with one wrong shape is not worth as little as one that is wrong throughout.
"""

from __future__ import annotations

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression

from .stages.align import AlignTask
from .stages.features import ordinary
from .tabletop import language
from .tabletop.samples import TabletopStore

FAMILIAR_QUANTILE = 0.02  # share of held-out texts that may be called unfamiliar


def sentences_right(said: str, true: str) -> list[bool]:
    """For every sentence said, whether the true text has it too."""
    facts = {s.strip() for s in true.split(".") if s.strip()}
    return [s.strip() in facts for s in said.split(".") if s.strip()]


@torch.no_grad()
def calibrate(model, align: AlignTask, store: TabletopStore, clips: np.ndarray, held: int) -> dict[str, float]:
    """Decode predicted state embeddings of the held-out streams; fit P(a sentence is right | mean token log-probability)."""
    per_text, logprobs, right = [], [], []
    for s in range(len(clips) - held, len(clips)):
        stream = store.streams[s]
        for i in range(0, ordinary(clips.shape[1]), 3):
            state = language.state_text(stream.state_at(store.moment(s, int(clips[s, i]))[0]), stream.scene)
            decoded = model.decode_full(align.predict([(s, i)], [language.STATE_PROMPT]).numpy())[0]
            per_text.append(decoded.logprob)
            for flag in sentences_right(decoded.text, state):
                logprobs.append(decoded.logprob)
                right.append(flag)
    x, y = np.array(logprobs)[:, None], np.array(right)
    facts = {"familiar_logprob": float(np.quantile(per_text, FAMILIAR_QUANTILE)), "held_out_sentences_right": float(y.mean())}
    if 0 < y.mean() < 1:
        fit = LogisticRegression(C=1e3).fit(x, y)
        facts |= {"confidence_scale": float(fit.coef_[0, 0]), "confidence_bias": float(fit.intercept_[0])}
    return facts
