# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Evaluations of a model that knows everything, of one that looks at nothing, and of their arithmetic. No pictures."""

from __future__ import annotations

import json
from itertools import product
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vljepa_training.evals import __main__ as command
from vljepa_training.evals import actions, answers, captions, clips, confidence, intervals, opposites, retrieval, worldprediction
from vljepa_training.evals.bench import Bench
from vljepa_training.tabletop import language
from vljepa_training.tabletop.phrases import ACTIONS
from vljepa_training.tabletop.state import CHANGING, EVENTS, OPPOSITE
from vljepa_training.tabletop.stream import Stream
from vljepa_training.tabletop.synonyms import alternatives

DIM = 96


def vector(text: str) -> np.ndarray:
    """A direction of its own for every text."""
    v = np.random.default_rng(list(text.encode())).standard_normal(DIM).astype(np.float32)
    return v / np.linalg.norm(v)


class Knowing:
    """Answers every query with the embedding of the truth, told from a clip's first pixels; `blind`: with another clip's."""

    config = SimpleNamespace(preprocess=SimpleNamespace(image_size=16))
    sha256 = "none"
    engine = SimpleNamespace(name="knowledge")

    def __init__(self, blind: bool = False) -> None:
        self.blind, self.known, self.said = blind, {}, {}
        self.canonical = {  # with all words exchanged that training exchanges
            "".join(said): words.train[0] for words in ACTIONS.values() for t in words.all for said in product(*alternatives(t))
        }
        self.canonical |= {t: words.train[0] for words in ACTIONS.values() if words.composed for t in words.composed.all()}

    def learn(self, drawn: list[clips.EvalClip]) -> None:
        for i, clip in enumerate(drawn):
            clip.frames = np.full((8, 16, 16, 3), 0, np.uint8)
            clip.frames[0, 0, 0] = (len(self.known) // 256, len(self.known) % 256, 7)
            self.known[tuple(clip.frames[0, 0, 0])] = drawn[(i * 7 + 3) % len(drawn)] if self.blind else clip

    def encode_frames(self, frames):
        return tuple(frames[0, 0, 0])

    def predict(self, tokens, queries):
        clip = self.known[tokens]
        table = {
            "action": language.action_label(clip.kind),
            "caption": language.caption(clip.event, clip.scene),
            "state": language.state_text(clip.state, clip.scene),
            "detail": language.detail(clip.event, clip.state, clip.scene),
        }
        truth = {t: answer for kind, answer in table.items() for t in language.QUESTIONS[kind].all}
        for q in (q for part in clip.questions() for q in part):
            truth |= {t.format(**q.slots): q.answer for t in language.QUESTIONS[q.kind].all}
        return np.stack([vector(truth.get(q, "something else")) for q in queries])

    def encode_text(self, texts):
        for t in texts:
            self.said[vector(self.canonical.get(t, t)).tobytes()] = t
        return np.stack([vector(self.canonical.get(t, t)) for t in texts])

    def decode_full(self, vectors):
        for clip in self.known.values():
            texts = [retrieval.short(clip), retrieval.description(clip), language.state_text(clip.state, clip.scene)]
            self.said |= {vector(t).tobytes(): t for t in texts}
        return [SimpleNamespace(text=self.said[v.tobytes()], confidence=1.0, familiar=True) for v in vectors]


@pytest.fixture(scope="module", autouse=True)
def no_pictures():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Stream, "frames_at", lambda self, times, *_: ((t, np.zeros((16, 16, 3), np.uint8)) for t in times))
        yield


@pytest.fixture(scope="module")
def drawn():
    return {name: clips.draw_clips(5, 6, split=name, image_size=16) for name in ("eval", "heldout_pairs")}


def bench_of(model: Knowing, drawn, monkeypatch) -> Bench:
    def known(*args, split="eval", **more):
        found = drawn[split] if "distinct" not in more else clips.draw_clips(*args, split=split, **more)
        model.learn(found)
        return found

    for module in ("bench", "retrieval"):
        monkeypatch.setattr(f"vljepa_training.evals.{module}.draw_clips", known)
    return Bench(model, seed=5, per_class=6)


def test_who_knows_everything_is_right_everywhere(drawn, monkeypatch):
    bench = bench_of(Knowing(), drawn, monkeypatch)
    report = actions.evaluate_actions(bench) | actions.evaluate_paraphrases(bench) | answers.evaluate_answers(bench)
    report |= captions.evaluate_captions(bench) | confidence.evaluate_confidence(
        bench_of(Knowing(), {**drawn, **dict.fromkeys(("busy", "heldout_camera", "heldout_texture"), drawn["eval"])}, monkeypatch)
    )
    for key in ("action_top1", "vqa_acc", "vqa_held_out_phrasing", "lamp_static_acc", "lamp_toggled_acc", "colour_heldout_acc"):
        assert report[key]["value"] == 1, key
    for key in (
        "drawer_static_acc",
        "drawer_toggled_acc",
        "colour_acc",
        "caption_action_acc",
        "caption_exact",
        "state_sentences_right",
    ):
        assert report[key]["value"] == 1, key
    assert report["action_worst"] == 1 and report["paraphrase_drop"]["value"] == 0
    assert report["paraphrase"]["held_out_labels_and_query"]["value"] == 1
    assert report["cider_d"]["value"] == report["cider_d_oracle"]["value"] > 7
    assert report["cider_d_of_oracle"]["value"] == pytest.approx(1) and report["confidence_ece"]["value"] == 0
    assert report["description"]["cider_d"]["value"] > report["description"]["cider_d_retrieval"]["value"]
    assert 0.2 < report["vqa_blind"]["value"] < 0.65
    json.dumps(report)


def test_who_sees_another_clip_is_no_better_than_the_blind_baseline(drawn, monkeypatch):
    bench = bench_of(Knowing(blind=True), drawn, monkeypatch)
    report = actions.evaluate_actions(bench) | answers.evaluate_answers(bench)
    assert report["action_top1"]["value"] < 0.35
    assert report["vqa_acc"]["low"] < report["vqa_blind"]["value"] + 0.05
    assert max(report["vqa_blind_parts"]["one_answer_per_kind"].values()) <= 0.6


def test_retrieval_pools_are_distinct_even_and_found_by_who_knows(drawn, monkeypatch):
    report = retrieval.evaluate_retrieval(bench_of(Knowing(), drawn, monkeypatch), pool=60)
    assert report["retrieval_r1_500"]["value"] == 1 and report["retrieval_r1_500"]["n"] == 60
    assert report["retrieval"]["least_of_one_action"] == 5 and report["retrieval"]["video_to_text"]["median_rank"] == 1
    assert (
        report["retrieval_short_captions"]["pool"] < 60
        and report["retrieval_short_captions"]["text_to_video"]["r1"]["value"] == 1
    )
    blind = retrieval.evaluate_retrieval(bench_of(Knowing(blind=True), drawn, monkeypatch), pool=60)
    assert blind["retrieval_r1_500"]["value"] < 0.1


def test_a_model_that_says_the_same_of_all_finds_nothing():
    same = np.tile(vector("x"), (5, 1))
    texts = np.stack([vector(str(i)) for i in range(5)])
    assert (retrieval._ranks(texts, same)["text_to_video"] == 4).all()


def test_clips_of_all_events_are_equally_many_and_show_what_they_say(drawn):
    for split in drawn.values():
        kinds = [c.kind for c in split]
        assert {kinds.count(k) for k in EVENTS} == {6}
        for c in split:
            shown = c.stream.event_at(c.t, 1.4)
            assert shown.kind == c.kind and c.frames.shape == (8, 16, 16, 3)
    again = clips.draw_clips(5, 2, image_size=16, kinds=CHANGING, distinct=retrieval.description, salt=1)
    assert len({retrieval.description(c) for c in again}) == len(again) == 2 * len(CHANGING)
    assert {c.stream.seed for c in again}.isdisjoint({c.stream.seed for c in drawn["eval"]})


@pytest.mark.parametrize("kind", CHANGING)
def test_a_riddle_has_one_answer_and_three_of_the_same_context(kind):
    found = [p for a in range(25) if (p := worldprediction.plan(kind, np.random.default_rng([a, 3]))) is not None]
    assert len(found) >= 3
    for planned in found:
        kinds = [e.kind for _, e in planned.options]
        assert len(kinds) == len(set(kinds)) == 4 and kinds[0] == kind and kinds[1] == worldprediction.OPPOSITES[kind]
        assert planned.elsewhere.objects == planned.scene.objects and planned.elsewhere.azimuth_deg != planned.scene.azimuth_deg
        assert not {"place", "drop"} <= set(kinds) or kind not in ("place", "drop")  # two pictures cannot tell them apart
        script, true = planned.options[0]
        assert script.state_at(true.start) != script.state_at(true.rest)
        for script, event in planned.options:
            assert script.events[-1] == event and script.state_at(event.end) != script.state_at(event.start)


def test_what_is_rendered_of_a_riddle_is_before_after_and_four_clips(monkeypatch):
    calls = []

    def rendered(scene, shots, rng, size):
        calls.append((scene, shots))
        return [np.zeros((len(times), size, size, 3), np.uint8) for _, times in shots]

    monkeypatch.setattr(worldprediction, "_render", rendered)
    riddles = worldprediction.draw_riddles(1, 1, 16)
    assert len(riddles) == len(CHANGING)
    assert riddles[0].states.shape == (2, 16, 16, 3) and riddles[0].options.shape == (4, 8, 16, 16, 3)
    for _, shots in calls[1::2]:
        for script, times in shots:
            event = script.events[-1]
            assert times[-1] - times[0] == pytest.approx(1.4) and 0 <= times[-1] - event.end <= 0.6


def test_triplets_are_held_out_of_one_meaning_and_their_opposite_keeps_the_words():
    for a, b in opposites.parallel():
        for x, y in zip(a.held_out, b.held_out):
            assert len(set(x.split()) ^ set(y.split())) <= 6
    drawn = opposites.triplets(3)
    assert len(drawn) == opposites.PAIRS and len({frozenset(t[1:3]) for t in drawn}) == opposites.PAIRS
    assert {t[0] for t in drawn} == {"lamp", "drawer", "label", "caption", "place", "state"}
    trained = {t.lower() for words in language.all_phrasings() for t in words.train}
    for _, text, paraphrase, opposite in drawn:
        assert not {text.lower(), paraphrase.lower(), opposite.lower()} & trained
        assert len({text, paraphrase, opposite}) == 3
    assert opposites.triplets(3) == drawn != opposites.triplets(4)
    assert set(opposites.REVERSED) < set(OPPOSITE)


@given(st.lists(st.booleans(), min_size=1, max_size=60))
def test_a_share_lies_within_its_interval(right):
    figure = intervals.share(right)
    assert figure["low"] - 1e-9 <= figure["value"] <= figure["high"] + 1e-9 and figure["n"] == len(right)


def test_nothing_counted_is_said_so():
    empty = {"value": None, "low": None, "high": None, "n": 0}
    assert intervals.share([]) == intervals.mean([]) == intervals.balanced([], [], []) == empty


@settings(deadline=None, max_examples=40)
@given(
    st.dictionaries(
        st.tuples(st.sampled_from("ab"), st.sampled_from("xyz")), st.tuples(st.integers(5, 40), st.booleans()), min_size=2
    )
)
def test_a_balanced_figure_does_not_care_how_frequent_an_answer_is(cells):
    rows = [(cell, right) for cell, (n, right) in cells.items() for _ in range(n)]
    figure = intervals.balanced([r for _, r in rows], [c for c, _ in rows], list(range(len(rows))))
    several = {k for k, _ in cells if sum(other == k for other, _ in cells) > 1}
    expected = [np.mean([right for (k, _), (_, right) in cells.items() if k == kind]) for kind in sorted(several)]
    assert figure["value"] == (pytest.approx(np.mean(expected)) if several else None)


def test_weights_of_cells_are_those_of_drawing_part_by_part():
    weights = intervals.cell_weights([("before", "before_lamp", "on"), ("before", "before_lamp", "off"), ("lamp", "lamp", "on")])
    assert weights == {
        ("before", "before_lamp", "on"): 0.25,
        ("before", "before_lamp", "off"): 0.25,
        ("lamp", "lamp", "on"): 0.5,
    }


def test_clips_of_one_stream_widen_the_interval():
    right = np.repeat([True, False], 50)
    alone, together = intervals.mean(right), intervals.mean(right, np.repeat(np.arange(10), 10))
    assert together["high"] - together["low"] > 2 * (alone["high"] - alone["low"])


def test_calibration_error_is_the_gap_between_what_is_said_and_what_holds():
    confidence_of = np.array([0.9] * 10 + [0.3] * 10)
    assert confidence.calibration_error(confidence_of, np.array([0.9] * 10 + [0.3] * 10)) == pytest.approx(0)
    assert confidence.calibration_error(confidence_of, np.array([0.5] * 10 + [0.5] * 10)) == pytest.approx(0.3)
    assert confidence.calibration_error(np.array([1.0]), np.array([0.0])) == 1


def test_one_answer_to_everything_is_worth_the_share_of_its_classes():
    asked = answers.Answered(kind=["before_lamp"] * 3, answer_class=["changed: on", "unchanged: on", "unchanged: off"])
    assert asked.majority("before_lamp") == pytest.approx(2 / 3)


def test_the_command_runs_chosen_parts_and_keeps_what_it_has(tmp_path, monkeypatch):
    monkeypatch.setattr(command.VLJEPA, "from_pretrained", lambda name, engine: Knowing())
    pytest.importorskip("mujoco")
    monkeypatch.setattr("vljepa_training.tabletop.render.can_render", lambda: "")
    monkeypatch.setattr(command, "evaluate_opposites", lambda bench: {"y_opposite_below_paraphrase": 1.0})

    def fails(bench):
        raise RuntimeError("no retrieval today")

    monkeypatch.setattr(command, "evaluate_actions", fails)
    file = tmp_path / "a" / "report.json"
    command.main(["tabletop", "--seed", "3", "--json", str(file), "--only", "opposites"])
    report = json.loads(file.read_text())
    assert report["y_opposite_below_paraphrase"] == 1.0 and report["seed"] == 3 and list(report["seconds"]) == ["opposites"]
    with pytest.raises(RuntimeError, match="today"):
        command.main(["tabletop", "--json", str(file), "--only", "clips"])
    assert [p.name for p in file.parent.iterdir()] == ["report.json"]
