# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Predictions of unseen clips: every text beside the vector of its own clip and question, made once."""

from __future__ import annotations

from pathlib import Path

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
    store.paths = [Path(f"train_{s:06d}") for s in range(STREAMS)]
    size = tiny().preprocess.image_size
    store.clip = lambda s, k: np.full((8, size, size, 3), 40 + 60 * s, np.uint8)
    return store


class Encoder(nn.Module):
    """One token of a clip: its mean brightness."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))

    def forward(self, pixels):
        return pixels.float().mean((1, 2, 3, 4))[:, None, None].expand(-1, 1, 4)


def test_each_text_stands_beside_what_was_predicted_of_its_clip(store, tmp_path):
    asked: list[tuple[float, str]] = []

    def predict(visual, queries):
        asked.extend(zip(visual[:, 0, 0].tolist(), queries))
        return torch.nn.functional.normalize(torch.cat([visual[:, 0], torch.ones(len(queries), 1)], 1), dim=1)

    clips = np.array([[20, 50, 80], [30, 60, 90], [15, 45, 110]])
    file = tmp_path / "predictions.npz"
    made = predictions(Encoder(), nn.Linear(1, 1, bias=False), predict, tiny().preprocess, store, clips, file)
    texts, vectors, streams = made
    assert list(streams) == sorted(streams) and len(streams) == len(texts)
    assert len(texts) == len(vectors) == len(asked) > 9
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=2e-3)
    states = {language.state_text(s.state_at(k / 5), s.scene): i for i, s in enumerate(store.streams) for k in clips[i]}
    found = [(states[t], s) for t, s in zip(texts, streams) if t in states]
    assert {i for i, _ in found} == set(range(STREAMS)) and len(found) >= 9, "a state of every clip"
    assert all(i == s for i, s in found)
    questions = {q for kind in KINDS for q in language.QUESTIONS[kind].all}
    assert {q for _, q in asked} - questions, "and answers"


def test_they_are_made_once_for_a_predictor_and_its_clips(store, tmp_path):
    calls, file = [], tmp_path / "predictions.npz"

    def predict(visual, queries):
        calls.append(len(queries))
        return torch.eye(len(queries), 80)

    def made(predictor, clips):
        return predictions(Encoder(), predictor, predict, tiny().preprocess, store, np.array(clips), file)

    one, other = nn.Linear(1, 1), nn.Linear(1, 1)
    first = made(one, [[20], [30], [15]])
    count = len(calls)
    again = made(one, [[20], [30], [15]])
    assert len(calls) == count and again.texts == first.texts and np.array_equal(again.vectors, first.vectors)
    made(other, [[20], [30], [15]])
    assert len(calls) > count, "another Predictor misses otherwise"
    count = len(calls)
    made(other, [[20], [31], [15]])
    assert len(calls) > count


def test_a_broken_run_leaves_nothing_that_is_taken_for_whole(store, tmp_path):
    def predict(visual, queries):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        predictions(
            Encoder(), nn.Linear(1, 1), predict, tiny().preprocess, store, np.array([[20]]), tmp_path / "predictions.npz"
        )
    assert not list(tmp_path.iterdir())
