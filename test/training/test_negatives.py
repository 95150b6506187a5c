# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Nearly right is never right."""

from __future__ import annotations

import numpy as np
import pytest

from vljepa_training.tabletop import language, negatives
from vljepa_training.tabletop.dataset import FPS, training_stream
from vljepa_training.tabletop.samples import WINDOW_S
from vljepa_training.tabletop.scene import HELD_OUT_PAIRS
from vljepa_training.tabletop.state import OPPOSITE


@pytest.mark.parametrize("seed", range(8))
def test_wrong_texts_say_what_is_not_so(seed):
    stream, rng = training_stream(seed), np.random.default_rng(seed)
    told = {"state": 0, "action": 0, "caption": 0, "detail": 0}
    for t in np.arange(2.0, 24.0, 1 / FPS):
        state, event, scene = stream.state_at(t), stream.event_at(t, WINDOW_S), stream.scene
        true = {"state": language.state_text(state, scene)}
        if event is not None:
            true |= {
                "action": language.action_label(event.kind),
                "caption": language.caption(event, scene),
                "detail": language.detail(event, state, scene),
            }
        for kind in told:
            wrong = negatives.wrong_text(kind, stream, t, event, rng)
            if kind not in true:
                assert wrong is None
            elif wrong is not None:
                told[kind] += 1
                assert language.meaning(wrong[1]) != language.meaning(true[kind])
    assert told["state"] == len(np.arange(2.0, 24.0, 1 / FPS)) and told["detail"] > 0 and told["caption"] > 0


def test_wrong_states_differ_in_one_sentence_or_in_two_things_exchanged_and_wrong_answers_are_candidates():
    stream, rng = training_stream(3), np.random.default_rng(0)
    state = stream.state_at(5.0)
    right = language.state_text(state, stream.scene).split(". ")
    looks, exchanged = set(), 0
    for _ in range(60):
        other = language.state_text(*negatives.wrong_state(state, stream.scene, rng)).split(". ")
        two = sorted(" ".join(other).split()) == sorted(" ".join(right).split())  # the same words: two things have changed places
        exchanged += two
        assert 1 <= len(set(other) - set(right)) <= 1 + two + sum("top" in sentence for sentence in right)
        looks |= set(other) - set(right)
    assert len(looks) > 8 and exchanged > 5
    for question in language.questions(state, stream.scene):
        wrong = negatives.wrong_answers(question, rng, 3)
        assert len(set(wrong)) == min(3, len(question.candidates) - 1)
        assert set(wrong) < set(question.candidates) and question.answer not in wrong


def test_a_held_out_pair_is_nobody_s_wrong_answer():
    """Of a colour and a shape that never meet in training a prediction shall learn nothing, not even to keep away from them."""
    rng, asked = np.random.default_rng(2), 0
    for stream in map(training_stream, range(40)):
        for question in language.questions(stream.state_at(3.0), stream.scene):
            wrong = negatives.wrong_answers(question, rng, 9)
            for colour, shape in HELD_OUT_PAIRS:
                assert not [text for text in wrong if f"{colour} {shape}" in text or f"{shape} is {colour}" in text]
                asked += question.kind == "colour" and question.slots["o"] == shape
    assert asked > 20


def test_opposite_actions_are_each_others_negatives():
    stream = next(s for s in map(training_stream, range(20)) if any(e.kind == "open_drawer" for e in s.events))
    event = next(e for e in stream.events if e.kind == "open_drawer")
    _, canonical = negatives.wrong_text("action", stream, event.end + 0.1, event, np.random.default_rng(0))
    assert canonical == language.action_label(OPPOSITE["open_drawer"])


def test_what_is_taken_for_another_thing_is_its_negative_in_captions_and_labels():
    rng = np.random.default_rng(1)
    stream, event = next((s, e) for s in map(training_stream, range(30)) for e in s.events if e.kind == "place")
    wrong = [negatives.wrong_text(kind, stream, event.end + 0.1, event, rng)[1] for kind in 40 * ("action", "caption")]
    assert {language.action_label("stack"), language.action_label("drop")} <= set(wrong)
    assert {language.named_action(text) for text in wrong[1::2]} >= {"stack", "drop", "put_in_drawer", "place"}
