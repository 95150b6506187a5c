# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What is fitted to cached features: known clips below the limit, others far above, and the same after a trip to disk."""
from __future__ import annotations

import numpy as np
import pytest
import torch

from vljepa_ros.model import VLJEPA
from vljepa_ros.model.random_checkpoint import make_tiny
from vljepa_training.familiarity import HELD_QUANTILE, fit_familiarity, main

STREAMS, CLIPS, N, D = 40, 12, 32, 16
GRID = 4


def world(seed: int, streams: int = STREAMS, shift: float = 0.0) -> np.ndarray:
    """Tokens (1, streams, clips, N, D) whose channels hang together; every stream has a look of its own."""
    rng = np.random.default_rng(seed)
    mixing = np.random.default_rng(0).normal(size=(D, D)) * 0.3
    look, clip, token = (rng.normal(size=(1, streams, *size, D)) for size in ((1, 1), (CLIPS, 1), (CLIPS, N)))
    return ((0.5 * look + 0.2 * clip + token) @ mixing + shift).astype(np.float16)


def test_known_clips_stay_below_the_limit_and_others_do_not():
    part, limit = fit_familiarity(world(1), held=10, grid=GRID)
    limit = limit["familiar_distance"]
    known, brighter = (part(torch.from_numpy(world(2, shift=s)[0].reshape(-1, N, D))) for s in (0.0, 2.0))
    assert (known > limit).float().mean() < 0.05 and (brighter > limit).all()
    upper = torch.arange(N) % GRID**2 < GRID**2 // 2
    turned = torch.from_numpy(world(3)[0, :1, 0].astype(np.float32)) + torch.where(upper, 1.0, -1.0)[:, None]
    assert part(turned) > limit, "the same mean, at other places"


def test_a_few_clips_have_a_few_directions():
    part, limit = fit_familiarity(world(1, streams=4)[:, :, :6], held=1, grid=GRID)
    used = (part.whiten_FK != 0).any(0).sum()
    assert 1 < used < part.whiten_FK.shape[1] and limit["familiar_distance"] > 0


def test_the_limit_is_the_held_out_streams_alone():
    features = world(4)
    features[:, -10:] += 1.0  # held-out clips unlike the others
    part, limit = fit_familiarity(features, held=10, grid=GRID)
    unseen = part(torch.from_numpy(features[0, -10:].reshape(-1, N, D)))
    assert limit["familiar_distance"] == pytest.approx(float(unseen.quantile(HELD_QUANTILE)), rel=1e-3)
    assert limit["familiar_distance"] > part(torch.from_numpy(features[0, 0])).max()


@pytest.mark.parametrize("held", [0, STREAMS])
def test_both_sides_need_streams(held):
    with pytest.raises(ValueError, match=f"held.*{held} of {STREAMS}"):
        fit_familiarity(world(1), held, GRID)


def test_a_finished_checkpoint_gets_the_part(tmp_path, capsys):
    model = make_tiny(tmp_path / "tiny", familiar_logprob=-3.0)
    rng = np.random.default_rng(0)
    clips = rng.integers(100, 140, (STREAMS * CLIPS, 4, 32, 32, 3), dtype=np.uint8)
    tokens = np.stack([model.encode_frames(clip)[0].numpy() for clip in clips]).astype(np.float16)
    np.save(tmp_path / "features.npy", tokens.reshape(1, STREAMS, CLIPS, *tokens.shape[1:]))
    main([str(tmp_path / "tiny"), str(tmp_path / "features.npy"), "--held", "10"])
    assert "familiar up to" in capsys.readouterr().out
    judged = VLJEPA.from_pretrained(tmp_path / "tiny", device="cpu", engine="torch")
    assert judged.space_id == model.space_id and judged.config.calibration["familiar_logprob"] == -3.0
    grey = rng.integers(100, 140, (4, 32, 32, 3), dtype=np.uint8)
    white = np.full((4, 32, 32, 3), 255, np.uint8)
    assert judged.watch(grey, [""])[1] < 1 < judged.watch(white, [""])[1]
