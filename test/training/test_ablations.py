# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The stages' worth: variants that differ in what their names say and in nothing else, each trained once.

A model of 16 over random features: what is learnt does not matter here.
"""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from vljepa_ros.model import TextEncoder, train_tokenizer
from vljepa_ros.model.presets import tiny
from vljepa_training import ablations, recipes
from vljepa_training.ablations import VARIANTS, Variant, main, schedules, table, with_intervals
from vljepa_training.stages.align import AlignTask
from vljepa_training.stages.text import TextModule, corpus
from vljepa_training.trainer import Schedule

STREAMS, BUSY, HELD, STEPS = 5, 3, 2, 6


def small():
    """One step on pictures and two more in stage 1 to three of stage 2, in the recipe's proportion."""
    recipe = recipes.tabletop_ci()
    one = Schedule(steps=20, batch=8, lr=1e-2, warmup=4, optimizer="muon", decay="constant", eval_every=7, save_every=2)
    sizes = dict(streams=STREAMS, busy=BUSY, held=HELD, clips_per_stream=10, vocab_size=300)
    stages = dict(pictures=replace(one, steps=10), align=one, finetune=replace(one, steps=30, decay="cosine"))
    return replace(recipe, name="small", model=tiny(), **stages, **sizes)


@pytest.fixture
def trained(tmp_path, monkeypatch):
    """What `train` leaves behind for stage 1, and the arguments for `main`."""
    monkeypatch.setitem(recipes.RECIPES, "small", small)
    recipe, folder = small(), tmp_path / "runs" / "small"
    for name in [f"train_{s:06d}" for s in range(STREAMS)] + [f"busy_{s:06d}" for s in range(BUSY)]:
        (tmp_path / "data" / name).mkdir(parents=True)
        for file in ("frames.npy", "cover.npy"):
            np.save(tmp_path / "data" / name / file, np.zeros(1, np.uint8))
    tokenizer = train_tokenizer(corpus(range(2)), recipe.vocab_size, folder / "tokenizer")
    config = recipe.model.text_encoder
    torch.manual_seed(1)
    encoder = TextEncoder(replace(config, hub={**config.hub, "vocab_size": tokenizer.vocab_size}), recipe.model.dim)
    (folder / "text").mkdir()
    torch.save({"module": TextModule(encoder).state_dict()}, folder / "text" / "best.pt")
    (folder / "text" / "best.json").write_text("{}")
    vision, streams = recipe.model.vision, STREAMS + BUSY
    features = np.random.default_rng(0).normal(size=(1, streams, 10, vision.tokens, vision.hidden_size))
    np.save(folder / "features.npy", features.astype(np.float16))
    (folder / "features.json").write_text(json.dumps({"streams": streams}))
    places = ("--runs", str(tmp_path / "runs"), "--data", str(tmp_path / "data"), "--json", str(tmp_path / "report.json"))
    return tmp_path, ["small", *places, "--steps", str(STEPS)]


def saved(folder, name: str, stage: str = "finetune", file: str = "best.pt") -> dict:
    return torch.load(folder / "runs/small/ablations" / name / stage / file, weights_only=True)


def encoder_of(state: dict) -> dict:
    return {k: v for k, v in state["module"].items() if k.startswith("text_encoder.")}


def test_all_variants_take_equally_many_steps_and_differ_as_named(trained, capsys):
    folder, arguments = trained
    main(arguments)
    report = json.loads((folder / "report.json").read_text())
    assert list(report["variants"]) == list(VARIANTS) and report["steps"] == STEPS
    steps = {name: result["steps"] for name, result in report["variants"].items()}
    assert {sum(s.values()) for s in steps.values()} == {STEPS}
    assert steps["full"] == {"pictures": 1, "align": 2, "finetune": 3}
    assert steps["without stage 1"] == {"finetune": STEPS} and steps["without SFT"] == {"pictures": 2, "align": 4}
    for result in report["variants"].values():
        figures = result["figures"]
        assert {"action", "worst", "state_r1", "lamp", "where", "before"} <= figures.keys() and "score" not in figures
        for name, figure in figures.items():
            assert 0 <= figure["value"] <= 1
            assert (name in ("action", "worst")) != (figure.get("low", 2) <= figure["value"] <= figure.get("high", -1))
        assert figures["state_r1"]["n"] == 3 * HELD and result["seconds"] >= 0  # a tenth of a second is what logs tell
    printed = capsys.readouterr().out.splitlines()
    rows = [line for line in printed if line.startswith("|")]
    assert len(rows) == 2 + len(VARIANTS) + 1 and len({line.count("|") for line in rows}) == 1
    assert all(any(line.startswith(f"| {name} |") for line in rows) for name in VARIANTS)

    start = torch.load(folder / "runs/small/text/best.pt", weights_only=True)
    frozen, slow, fast = (encoder_of(saved(folder, name)) for name in ("y-encoder_frozen", "full", "y-encoder_at_1.0"))
    moved = [sum((e[k] - v).abs().sum().item() for k, v in encoder_of(start).items()) for e in (frozen, slow, fast)]
    assert moved[0] == 0 < moved[1] < moved[2]
    assert encoder_of(saved(folder, "y-encoder_from_scratch")).keys() == frozen.keys()


def test_a_frozen_encoder_costs_no_backward_pass_and_no_optimizer_state(trained, monkeypatch):
    folder, arguments = trained
    gradients = []

    def loss(self, batch, plain=AlignTask.loss):
        out = plain(self, batch)
        gradients.extend(p.requires_grad for p in self.module.text_encoder.parameters())
        return out

    monkeypatch.setattr(AlignTask, "loss", loss)
    main([*arguments, "--only", "Y-Encoder frozen"])
    assert gradients and not any(gradients)
    state = saved(folder, "y-encoder_frozen", file="last.pt")
    trained_ones = sum(len(part["state"]) for part in state["optimizer"])
    assert 0 < trained_ones <= len(state["module"]) - len(encoder_of(state))


def test_finished_variants_are_not_run_again_and_killed_ones_go_on(trained, monkeypatch):
    folder, arguments = trained
    plain, steps = AlignTask.loss, []

    def loss(self, batch):
        steps.append(len(steps))
        if len(steps) == killed_at:
            raise KeyboardInterrupt
        return plain(self, batch)

    monkeypatch.setattr(AlignTask, "loss", loss)
    killed_at = 0
    main([*arguments, "--only", "without SFT", "full"])
    unbroken = json.loads((folder / "report.json").read_text())["variants"]
    assert len(steps) == 2 * STEPS and list(unbroken) == ["full", "without SFT"]
    before = saved(folder, "full")
    main([*arguments, "--only", "full"])
    assert len(steps) == 2 * STEPS
    assert json.loads((folder / "report.json").read_text())["variants"] == unbroken, "finished ones stay in the report"

    (folder / "runs/small/ablations/full").rename(folder / "unbroken")
    killed_at = len(steps) + STEPS
    with pytest.raises(KeyboardInterrupt):
        main([*arguments, "--only", "full"])
    assert list(json.loads((folder / "report.json").read_text())["variants"]) == ["without SFT"]
    killed_at = 0
    main([*arguments, "--only", "full"])
    again = json.loads((folder / "report.json").read_text())["variants"]["full"]
    assert again["figures"] == unbroken["full"]["figures"] and again["steps"] == unbroken["full"]["steps"]
    for k, v in saved(folder, "full")["module"].items():
        assert torch.equal(v, before["module"][k])


def test_a_folder_of_another_plan_is_refused_before_anything_is_trained(trained, monkeypatch):
    folder, arguments = trained
    main([*arguments, "--only", "without stage 1"])
    monkeypatch.setattr(ablations, "train", None)
    with pytest.raises(SystemExit, match="without_stage_1 was begun with other schedules; delete it"):
        main([*arguments[:-1], "9"])
    features = np.load(folder / "runs/small/features.npy")
    np.save(folder / "runs/small/features.npy", features + 1)
    with pytest.raises(SystemExit, match="begun with other features"):
        main([*arguments, "--only", "without stage 1"])
    np.save(folder / "runs/small/features.npy", features[:, :-1])
    with pytest.raises(SystemExit, match=r"features.npy has \(1, 7.*recipe wants \(1, 8"):
        main(arguments)
    (folder / "runs/small/text/best.json").unlink()
    with pytest.raises(SystemExit, match=r"text/best.json is missing.*vljepa_training.train small"):
        main(arguments)


def test_every_stage_needs_a_step():
    with pytest.raises(ValueError, match="at least one of them, got 2 in all"):
        schedules(small(), Variant(), 2)
    assert {k: (s.steps, s.warmup, s.decay) for k, s in schedules(small(), Variant(), 60).items()} == {
        "pictures": (10, 4, "constant"), "align": (20, 4, "constant"), "finetune": (30, 4, "cosine")
    }  # fmt: skip
    alone = schedules(small(), Variant(stages=("pictures", "align")), 60)
    assert {k: (s.steps, s.decay) for k, s in alone.items()} == {"pictures": (20, "constant"), "align": (40, "cosine")}


def test_what_is_no_share_of_its_n_has_no_interval():
    figures = with_intervals({"score": 2.0, "action": 0.5, "lamp": 0.75, "held": 0.7, "step": 9}, {"lamp": 8, "held": 8})
    assert figures.keys() == {"action", "lamp", "held"}
    assert figures["action"] == {"value": 0.5} and figures["held"] == {"value": 0.7}
    assert figures["lamp"]["n"] == 8 and figures["lamp"]["low"] < 0.75 < figures["lamp"]["high"]
    lines = table(
        {"a": {"steps": {"align": 3}, "figures": figures}, "b": {"steps": {"align": 3}, "figures": {"lamp": figures["lamp"]}}}
    )
    assert lines.splitlines()[3].count("|") == lines.splitlines()[0].count("|") and lines.splitlines()[-1] == "| n |  |  | 8 |  |"
