# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A bag with its corrected segments: which clips go with which texts, that training takes them, and what a checkpoint scores."""
from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest
import yaml

from vljepa_ros.evaluation.recorded.types import SourceError
from vljepa_ros.model import VLJEPA
from vljepa_training.recipes import tabletop_ci
from vljepa_training.score import lines, main, score
from vljepa_training.sources.annotated import AnnotatedBag, Pairing
from vljepa_training.tabletop.bag import BagOptions, write_bag
from vljepa_training.tabletop_run import Run

STATES = ("The lamp is off.", "The lamp is on.", "The drawer is open.")
COLOURS = ((30, 40, 60), (230, 220, 90), (60, 200, 220))
STARTS = (0.0, 4.0, 8.0)
SEGMENTS = [
    {"start_s": 0.0, "event": "start", "caption": "", "state": STATES[0]},
    {"start_s": 4.0, "event": "switch_on", "caption": "Somebody turns the lamp on.", "state": STATES[1]},
    {"start_s": 8.0, "event": "open", "caption": "Somebody opens the drawer.", "state": STATES[2]},
]


@dataclass
class Colours:
    """A stream of one colour per state."""

    seconds: float = 12.0
    segments: list = field(default_factory=list)

    def frames(self, fps: float, width: int, height: int) -> Iterator[tuple[float, np.ndarray]]:
        rng = np.random.default_rng(0)
        for k in range(int(self.seconds * fps)):
            colour = np.array(COLOURS[sum(start <= k / fps for start in STARTS) - 1])
            yield k / fps, np.clip(colour + rng.integers(-12, 13, (height, width, 3)), 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def bag(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("recorded") / "drive"
    write_bag(Colours(), folder, BagOptions(fps=10.0, width=64, height=48, raw=True))
    return folder


@pytest.fixture(scope="module")
def model(tiny_checkpoint) -> VLJEPA:
    return VLJEPA.from_pretrained(tiny_checkpoint, device="cpu", engine="torch")


@pytest.fixture
def annotate(tmp_path):
    """`annotate(segments)` -> the file."""

    def write(segments: object = SEGMENTS) -> Path:
        file = tmp_path / "segments.yaml"
        file.write_text(yaml.safe_dump({"segments": segments}))
        return file

    return write


def shown(frames_THWC: np.ndarray) -> int:
    """Which state the newest frame shows."""
    return int(np.argmin(np.abs(np.array(COLOURS) - frames_THWC[-1].mean((0, 1))).sum(1)))


def test_every_moment_of_a_segment_goes_with_what_is_true_then(bag, model, annotate) -> None:
    source = AnnotatedBag(bag, annotate(), model.config)
    pairs = list(source.pairs(Pairing(stride_s=0.5, margin_s=0.3)))
    states = [one for one in pairs if one.kind == "state"]
    assert {one.target for one in states} == set(STATES) and len(states) >= 18
    for one in states:
        assert one.query == model.config.prompts["state"] and one.frames_THWC.shape == (4, 32, 32, 3)
        assert STATES[shown(one.frames_THWC)] == one.target
        assert min(abs(one.t_s - start) for start in STARTS[1:]) >= 0.3 - 1e-9
    for first, second in zip(states, states[1:]):
        assert second.t_s - first.t_s >= 0.5 - 1e-9
    assert [one.t_s for one in pairs] == sorted(one.t_s for one in pairs)


def test_a_clip_that_shows_an_event_goes_with_its_caption_once(bag, model, annotate) -> None:
    captions = [one for one in AnnotatedBag(bag, annotate(), model.config).pairs() if one.kind == "caption"]
    assert [(one.segment, one.target) for one in captions] == [(1, SEGMENTS[1]["caption"]), (2, SEGMENTS[2]["caption"])]
    for one, start in zip(captions, STARTS[1:]):
        assert 0.3 - 1e-9 <= one.t_s - start <= 0.6
        before, after = one.frames_THWC[:1], one.frames_THWC
        assert (shown(before), shown(after)) == (one.segment - 1, one.segment), "the clip spans the event"


def test_the_bag_is_read_anew_and_gives_the_same(bag, model, annotate) -> None:
    source = AnnotatedBag(bag, annotate(), model.config)
    first, second = list(source.pairs()), list(source.pairs())
    assert [(a.t_s, a.target) for a in first] == [(b.t_s, b.target) for b in second]
    assert all(np.array_equal(a.frames_THWC, b.frames_THWC) for a, b in zip(first, second))


def oracle(model: VLJEPA, monkeypatch: pytest.MonkeyPatch, states: tuple[str, ...]) -> None:
    """A predictor that answers with the text of the colour that it sees."""
    vectors = model.encode_text(list(states))
    own = np.eye(len(states), model.dim, dtype=np.float32)  # far apart, whatever the random text encoder thinks
    monkeypatch.setattr(model, "encode_text", lambda texts: np.stack([own[states.index(text)] for text in texts]))
    monkeypatch.setattr(model, "watch", lambda frames_THWC, queries: (own[[shown(frames_THWC)] * len(queries)], 0.0))
    assert vectors.shape == own.shape


def test_an_oracle_scores_1(bag, model, annotate, monkeypatch) -> None:
    oracle(model, monkeypatch, STATES)
    report = score(AnnotatedBag(bag, annotate(), model.config), model, tolerance_s=0.5)
    found, texts = report["boundaries"], report["texts"]
    assert (found["true"], found["detected"], found["matched"], found["f1"]) == (2, 2, 2, 1.0)
    assert texts["nearest_is_right"]["value"] == 1.0 and texts["lead"]["value"] == pytest.approx(1.0)
    assert texts["nearest_is_right"]["groups"] == texts["texts"] == 3 and 0.3 < texts["most_frequent"] < 0.5
    assert {text: one["right"] for text, one in texts["by_text"].items()} == dict.fromkeys(STATES, 1.0)


def test_one_that_takes_two_states_for_each_other_is_found_out(bag, model, annotate, monkeypatch) -> None:
    oracle(model, monkeypatch, (STATES[1], STATES[0], STATES[2]))
    texts = score(AnnotatedBag(bag, annotate(), model.config), model)["texts"]
    assert {text: one["right"] for text, one in texts["by_text"].items()} == {STATES[0]: 0.0, STATES[1]: 0.0, STATES[2]: 1.0}
    assert 0.2 < texts["nearest_is_right"]["value"] < 0.5 and texts["lead"]["value"] < 0


def test_the_margin_leaves_out_what_nobody_can_mark(bag, model, annotate, monkeypatch) -> None:
    """Boundaries that are marked 0.25 s late: the embeddings between are right, and the file says otherwise."""
    oracle(model, monkeypatch, STATES)
    late = [one | {"start_s": one["start_s"] + 0.25 * (k > 0)} for k, one in enumerate(SEGMENTS)]
    source = AnnotatedBag(bag, annotate(late), model.config)
    exact, tolerant = (score(source, model, margin_s=margin)["texts"] for margin in (0.0, 0.3))
    assert exact["nearest_is_right"]["value"] < 1.0 == tolerant["nearest_is_right"]["value"]
    assert tolerant["embeddings"] < exact["embeddings"]


def test_states_that_are_missing_or_all_alike_leave_nothing_to_choose_from(bag, model, annotate) -> None:
    file = annotate([{"start_s": 0}, {"start_s": 4, "state": "x"}, {"start_s": 99, "state": "x"}])
    source = AnnotatedBag(bag, file, model.config)
    report = score(source, model)
    assert report["texts"]["nearest_is_right"] is None and report["boundaries"]["true"] == 1
    assert [note.split(" begin")[0].split(" have")[0] for note in report["notes"]] == ["1 of 3 segments", "1 of 3 segments"]
    assert "nothing to choose from" in lines(report)[-1]


def test_the_command_writes_the_report(bag, tiny_checkpoint, annotate, tmp_path, capsys) -> None:
    options = [str(bag), str(annotate()), "--checkpoint", str(tiny_checkpoint), "--engine", "torch"]
    assert main([*options, "--json", str(tmp_path / "out/score.json")]) == 0
    report = json.loads((tmp_path / "out/score.json").read_text())
    said = capsys.readouterr().out
    assert report["topic"] == "/camera/image_raw" and report["boundaries"]["true"] == 2 and report["texts"]["texts"] == 3
    assert "boundaries within 1 s: F1" in said and all(state in said for state in STATES)


@pytest.mark.parametrize(
    "segments, said",
    [
        ([], "segments"), ([{"start_s": "soon"}], "start_s"), ([{"start_s": 500.0}], "another bag's"),
        ([{"start_s": 0, "name": 1}], "name"),
    ],
)
def test_files_that_do_not_fit_end_in_one_line(bag, tiny_checkpoint, annotate, capsys, segments, said) -> None:
    assert main([str(bag), str(annotate(segments)), "--checkpoint", str(tiny_checkpoint)]) == 2
    error = capsys.readouterr().err
    assert error.startswith("score: ") and error.count("\n") == 1 and said in error


def test_other_mistakes_are_named(bag, model, annotate, tmp_path) -> None:
    with pytest.raises(SourceError, match="no such bag"):
        AnnotatedBag(tmp_path / "gone", annotate(), model.config)
    with pytest.raises(SourceError, match="no camera topic /rear"):
        AnnotatedBag(bag, annotate(), model.config, topic="/rear")
    with pytest.raises(ValueError, match="stride_s must be above 0 s, got 0"):
        Pairing(stride_s=0.0)


def test_a_training_takes_bags(bag, model, tiny_checkpoint, annotate, tmp_path) -> None:
    recipe = replace(tabletop_ci(), name="small", begin=str(tiny_checkpoint), model=model.config)
    given, where = [[bag, annotate()]], (tmp_path / "runs", tmp_path / "data", 1)
    recorded = Run(recipe, *where, given, 0.25)._footage(model.modules["vision"], model.config)
    assert set(STATES) < set(recorded.targets) and recorded.share == 0.25
    assert len(recorded.features) == len(recorded.queries) == len(list(AnnotatedBag(bag, annotate(), model.config).pairs()))
    drawn = recorded.draw(600, np.random.default_rng(0))
    counts = [[recorded.targets[i] for i in drawn].count(text) for text in set(recorded.targets)]
    assert min(counts) > 600 / len(counts) / 2, "what is short comes as often as what is long"
    Run(recipe, *where, given, 0.25)  # goes on
    with pytest.raises(ValueError, match="began with the bags"):
        Run(recipe, *where)
    assert Run(recipe, tmp_path / "other", *where[1:])._footage(model.modules["vision"], model.config) is None
