# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Predictions of unseen clips: every text beside the vector of its own clip and question, made once."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from vljepa_ros.model.presets import tiny
from vljepa_training.stages.predicted import KINDS, predictions
from vljepa_training.tabletop import language
from vljepa_training.tabletop.dataset import training_stream
from vljepa_training.tabletop.samples import TabletopStore

STREAMS = 3


@pytest.fixture
def store():
    """Streams whose pictures tell stream and moment, and nothing else."""
    store = object.__new__(TabletopStore)
    store.streams, store.length, store.frames = [training_stream(s) for s in range(STREAMS)], 120, 8
    size = tiny().preprocess.image_size
    store.clip = lambda s, k: np.full((8, size, size, 3), 40 + 60 * s, np.uint8)
    return store


class Encoder(nn.Module):
    """One token of a clip: its mean brightness."""

    def forward(self, pixels):
        return pixels.float().mean((1, 2, 3, 4))[:, None, None].expand(-1, 1, 4)


def test_each_text_stands_beside_what_was_predicted_of_its_clip(store, tmp_path):
    asked: list[tuple[float, str]] = []

    def predict(visual, queries):
        asked.extend(zip(visual[:, 0, 0].tolist(), queries))
        return torch.nn.functional.normalize(torch.cat([visual[:, 0], torch.ones(len(queries), 1)], 1), dim=1)

    clips = np.array([[20, 50, 80], [30, 60, 90], [15, 45, 110]])
    file = tmp_path / "predictions.npz"
    texts, vectors = predictions(Encoder(), predict, tiny().preprocess, store, clips, file)
    assert len(texts) == len(vectors) == len(asked) > 9
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=2e-3)
    states = {language.state_text(s.state_at(k / 5), s.scene): i for i, s in enumerate(store.streams) for k in clips[i]}
    found = [states[t] for t in texts if t in states]
    assert found == sorted(found) and set(found) == set(range(STREAMS)) and len(found) >= 9, "a state of every clip"
    questions = {q for kind in KINDS for q in language.QUESTIONS[kind].all}
    assert {q for _, q in asked} - questions, "and answers"
    calls = len(asked)
    again, same = predictions(Encoder(), predict, tiny().preprocess, store, clips, file)
    assert again == texts and np.array_equal(same, vectors) and len(asked) == calls


def test_a_broken_run_leaves_nothing_that_is_taken_for_whole(store, tmp_path):
    def predict(visual, queries):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        predictions(Encoder(), predict, tiny().preprocess, store, np.array([[20]]), tmp_path / "predictions.npz")
    assert not list(tmp_path.iterdir())
