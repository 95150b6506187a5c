# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Sources and annotated bags in the batches of stages 1 and 2, beside the simulator's."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
import pytest
import torch

from vljepa_ros.model import VLJEPA
from vljepa_training.sources.folders import folders
from vljepa_training.sources.media import Shape
from vljepa_training.sources.mixture import Mixture
from vljepa_training.stages.align import AlignTask
from vljepa_training.stages.features import choose_clips
from vljepa_training.stages.footage import footage
from vljepa_training.tabletop.samples import TabletopStore
from vljepa_training.trainer import Schedule, train

KINDS = {"red_wall": (200, 30, 30), "blue_wall": (30, 30, 200)}


@pytest.fixture
def model(tiny_checkpoint) -> VLJEPA:
    return VLJEPA.from_pretrained(tiny_checkpoint, device="cpu", engine="torch")


def pictures(root, size: int) -> Mixture:
    for name, colour in KINDS.items():
        (root / name).mkdir(parents=True)
        for k in range(3):
            cv2.imwrite(str(root / name / f"{k}.png"), np.full((40, 40, 3), colour[::-1], np.uint8))
    (root / "red_wall" / "bad.png").write_bytes(b"x")
    return Mixture([folders(root, Shape(2, size), "What is it?", "It is a {}.")], [1.0])


@pytest.fixture
def tabletop(model, tmp_path):
    """Streams of noise, and features of noise."""
    rng = np.random.default_rng(0)
    for s in range(4):
        (tmp_path / f"data/train_{s:06d}").mkdir(parents=True)
        np.save(tmp_path / f"data/train_{s:06d}/frames.npy", rng.integers(256, size=(120, 8, 8, 3), dtype=np.uint8))
        np.save(tmp_path / f"data/train_{s:06d}/cover.npy", rng.integers(256, size=(120, 8, 8, 8), dtype=np.uint8))
    store = TabletopStore(tmp_path / "data", {"train": range(4)})
    clips = choose_clips(store, 10, seed=0)
    cfg = model.config.vision
    return store, clips, rng.standard_normal((1, *clips.shape, cfg.tokens, cfg.hidden_size)).astype(np.float16)


def task_of(model: VLJEPA, tabletop, recorded) -> AlignTask:
    m, t = model.modules, model.tokenizers
    parts = (m["predictor"], m["text_encoder"], t["query"], t["text"], model.config, *tabletop)
    for part in parts[:2]:
        part.requires_grad_(True)
    return AlignTask(*parts, 16, {"state": 1.0, "action": 1.0, "lamp": 1.0}, held=1, footage=recorded)


def test_a_source_trains_beside_the_simulator(model, tabletop, tmp_path) -> None:
    mixture = pictures(tmp_path / "pictures", model.config.vision.image_size)
    recorded = footage(mixture.batch(12), model.modules["vision"], model.config, share=0.25)
    assert "bad picture" in mixture.report() and set(recorded.targets) == {"It is a red wall.", "It is a blue wall."}
    task = task_of(model, tabletop, recorded)
    one, again = task.batch(3), task.batch(3)
    assert all(torch.equal(one[name], again[name]) for name in one), "a batch is a function of its step"
    known = {row.tobytes() for row in recorded.features}
    ours = [row.numpy().tobytes() in known for row in one["visual"]]
    assert sum(ours) == 4 and len(ours) == 16
    same = {tuple(ids.tolist()) for ids in one["ids"][one["text"][torch.tensor(ours)]]}
    assert len(same) == len(set(one["group"][torch.tensor(ours)].tolist())) <= 2, "equal targets are one group"
    before = {name: p.detach().clone() for name, p in task.module.named_parameters()}
    schedule = Schedule(steps=3, batch=16, lr=1e-3, warmup=1, eval_every=3, save_every=3)
    assert np.isfinite(train(task, schedule, tmp_path / "stage")["score"])
    assert any(not torch.equal(before[name], p) for name, p in task.module.named_parameters())


@dataclass
class Row:
    frames_THWC: np.ndarray
    query: str = "q"
    target: str = "t"


def test_what_does_not_fit_is_named(model) -> None:
    vision, config = model.modules["vision"], model.config
    with pytest.raises(ValueError, match="gives no sample"):
        footage([], vision, config, 0.2)
    with pytest.raises(ValueError, match="3 frames"):
        footage([Row(np.zeros((3, 16, 16, 3), np.uint8))], vision, replace(config), 0.2)
    with pytest.raises(ValueError, match="between 0 and 1, got 1.5"):
        footage([Row(np.zeros((1, 16, 16, 3), np.uint8))], vision, config, 1.5)
