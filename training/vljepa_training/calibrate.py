"""What a decoded text's log-probability says: how often it is right, and where the familiar ends. Fitted on held-out streams."""

from __future__ import annotations

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression

from .stages.align import AlignTask
from .tabletop import language
from .tabletop.dataset import FPS
from .tabletop.samples import TabletopStore

FAMILIAR_QUANTILE = 0.02  # share of held-out texts that may be called unfamiliar


@torch.no_grad()
def calibrate(model, align: AlignTask, store: TabletopStore, clips: np.ndarray, held: int) -> dict[str, float]:
    """Decode predicted state and caption embeddings of the held-out streams; fit P(text is right | mean token log-
    probability)."""
    logprobs, right = [], []
    for s in range(len(clips) - held, len(clips)):
        stream = store.streams[s]
        for i in range(0, clips.shape[1], 4):
            k = int(clips[s, i])
            state = language.state_text(stream.state_at(k / FPS), stream.scene)
            vectors = align.predict([(s, i)], [language.STATE_PROMPT]).numpy()
            decoded = model.decode_full(vectors)[0]
            logprobs.append(decoded.logprob)
            right.append(decoded.text == state)
    x, y = np.array(logprobs)[:, None], np.array(right)
    facts = {"familiar_logprob": float(np.quantile(x, FAMILIAR_QUANTILE)), "held_out_exact": float(y.mean())}
    if 0 < y.mean() < 1:
        fit = LogisticRegression().fit(x, y)
        facts |= {"confidence_scale": float(fit.coef_[0, 0]), "confidence_bias": float(fit.intercept_[0])}
    return facts
