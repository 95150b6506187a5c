# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Questions to running nodes beside the same to the model: the tiny checkpoint, made-up clips, real processes."""
from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from vljepa_ros.model import VLJEPA
from vljepa_training import ask
from vljepa_training.ask import Shown, ask_model, ask_nodes, lines, report

pytestmark = pytest.mark.timeout(600)


@dataclass
class Asked:
    """A question as the tabletop world asks it."""

    text: str
    candidates: tuple[str, ...]
    kind: str = "lamp"
    answer_class: str = "on"
    answer: str = ""

    def ask(self) -> str:
        return self.text


QUESTIONS = [
    Asked("Is the lamp on?", ("The lamp is on.", "The lamp is off."), answer="The lamp is on."),
    Asked("Where is the red ball?", ("It is on the left.", "It is in the middle.", "It is on the right."), "where", "left",
          "It is on the left."),
    Asked("What colour is the cup?", ("red", "green", "blue", "yellow", "black", "white"), "colour", "red", "red"),
]  # fmt: skip


@pytest.fixture(scope="module")
def model(tiny_checkpoint) -> VLJEPA:
    return VLJEPA.from_pretrained(tiny_checkpoint, engine="torch")


@pytest.fixture(scope="module")
def shown(model) -> list[Shown]:
    """Six clips that differ, in three streams."""
    size, frames = model.config.preprocess.image_size, model.config.vision.frames
    pixels = np.random.default_rng(3).integers(0, 256, (6, frames, 1, 1, 3), np.uint8)
    clips = [np.ascontiguousarray(np.broadcast_to(one, (frames, size, size, 3))) for one in pixels]
    return [Shown(one, QUESTIONS, k // 2) for k, one in enumerate(clips)]


def test_nodes_answer_what_the_model_answers(model, shown, tiny_checkpoint, tmp_path, monkeypatch):
    for name in ("ROS_DOMAIN_ID", "ROS_AUTOMATIC_DISCOVERY_RANGE"):
        monkeypatch.setenv(name, "0")  # the command sets its own, which must not outlive the test
    by_model = ask_model(model, shown)
    by_nodes = ask_nodes(shown, model.config.clip_period_s, str(tiny_checkpoint), "torch", 1, tmp_path)
    assert by_nodes == by_model
    assert len(set(by_model)) > len(QUESTIONS), "the answers differ from clip to clip, or this shows nothing"
    found = report(shown, by_nodes, by_model)
    assert (found["clips"], found["questions"], found["same_answer"], found["differ"]) == (6, 18, 1.0, [])
    assert found["nodes"] == found["model"] and set(found["nodes"]["kinds"]) == {"lamp", "where", "colour"}


def test_the_report_counts_and_names_what_differs(shown):
    truth = [q.answer for one in shown for q in one.questions]
    found = report(shown, truth, ["The lamp is off.", *truth[1:]])
    assert found["nodes"]["right"]["value"] == 1.0 and found["model"]["right"]["value"] == pytest.approx(17 / 18)
    assert found["model"]["kinds"]["lamp"]["value"] == pytest.approx(5 / 6)
    assert found["nodes"]["balanced"]["value"] is None, "one class of answers a kind balances nothing"
    assert found["same_answer"] == pytest.approx(17 / 18)
    differs = {"question": "Is the lamp on?", "nodes": "The lamp is on.", "model": "The lamp is off.", "truth": "The lamp is on."}
    assert found["differ"] == [differs]
    said = "\n".join(lines(found))
    assert "18 questions about 6 clips" in said and "1 differ" in said and "0.944" in said and "too few clips" in said
    with pytest.raises(ValueError, match="zip"):
        report(shown, truth[1:], truth)


def test_nodes_that_cannot_start_are_named(shown, tmp_path, monkeypatch):
    for name in ("ROS_DOMAIN_ID", "ROS_AUTOMATIC_DISCOVERY_RANGE"):
        monkeypatch.setenv(name, "0")
    monkeypatch.setattr(ask, "READY_S", 20.0)
    with pytest.raises(ask.ProcessError, match="in vain for the nodes"):
        ask_nodes(shown, 0.2, str(tmp_path / "nowhere"), "torch", 1, tmp_path)


@pytest.mark.parametrize("arguments", [["--clips", "0"], ["--threads", "0"], ["--checkpoint", "/nowhere"]])
def test_what_cannot_be_asked_is_one_line(arguments, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("vljepa_training.tabletop.render.can_render", lambda: "")
    assert ask.main([*arguments, "--json", str(tmp_path / "report.json")]) == 2
    said = capsys.readouterr().err
    assert said.startswith("ask: ") and said.count("\n") == 1 and not (tmp_path / "report.json").exists()
