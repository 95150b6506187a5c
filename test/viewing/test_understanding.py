# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The board: what is known at a moment, in whatever order it was told."""
from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from vljepa_ros.streaming import DecodedText, DecodeRequest, Distance, Embedding, Transition, Trigger
from vljepa_ros.viewing.understanding import Board

NS = 1_000_000_000
START_NS = 1_700_000_000 * NS
UNIT = np.array([1, 0], np.float32)


def at(seconds: float) -> int:
    return START_NS + round(seconds * NS)


def embedding(seconds: float, epoch: int = 0, novelty: float = 0.4) -> Embedding:
    return Embedding(UNIT, at(seconds), at(seconds - 0.6), epoch, 0, "space", novelty=novelty)


def distance(seconds: float, segment: int = 0, start_s: float = 0.0, epoch: int = 0, value: float = 0.1) -> Distance:
    return Distance(at(seconds), epoch, segment, at(start_s), value, 0.2)


def transition(seconds: float, boundary_s: float, segment: int, epoch: int = 0) -> Transition:
    return Transition(at(seconds), at(boundary_s), epoch, segment, at(0), 1.0, 0.2, "space", UNIT, UNIT)


def words(segment: int, epoch: int = 0, **fields: Any) -> DecodedText:
    request = DecodeRequest(UNIT, at(1), at(0), segment, epoch, Trigger.CHANGE, "space")
    return DecodedText(request, **({"text": f"words {segment}", "confidence": 0.8, "familiar": True, "seconds": 0.1} | fields))


def test_nothing_is_known_at_first() -> None:
    known = Board().look("no embedding yet")
    assert (known.text, known.segment, known.age_s, known.novelty, known.note) == ("", None, None, None, "no embedding yet")
    assert known.current and known.confidence is None and len(known.history.ago_s) == 0


def test_a_segment_from_its_beginning_to_its_words() -> None:
    board = Board()
    for k in range(30):
        board.embed(embedding(k / 10))
        board.measure(distance(k / 10))
    board.say(words(0))
    known = board.look()
    assert (known.segment, known.text, known.current, known.novelty) == (0, "words 0", True, 0.4)
    assert known.age_s == pytest.approx(2.9) and known.confidence == 0.8
    board.embed(embedding(3.0))
    board.change(transition(3.0, 2.5, 1))
    board.measure(distance(3.0, segment=1, start_s=2.5, value=0.9))
    known = board.look()
    assert (known.segment, known.text, known.current) == (1, "words 0", False)
    assert known.age_s == pytest.approx(0.5) and known.history.changes_ago_s == (pytest.approx(0.5),)
    board.say(words(1, familiar=False))
    known = board.look()
    assert (known.text, known.current, known.familiar) == ("words 1", True, False)


def test_who_comes_late_knows_the_segment_from_the_detector_alone() -> None:
    board = Board()
    board.say(words(7))
    board.embed(embedding(50))
    assert board.look().segment is None and board.look().current
    board.measure(distance(50, segment=8, start_s=42))
    known = board.look()
    assert (known.segment, known.age_s, known.current) == (8, pytest.approx(8.0), False)


def test_without_a_detector_transitions_do() -> None:
    board = Board()
    board.embed(embedding(0))
    board.embed(embedding(4))
    assert board.look().age_s == pytest.approx(4.0)
    board.change(transition(4, 3.5, 5))
    assert (board.look().segment, board.look().age_s) == (5, pytest.approx(0.5))


def test_history_reaches_back_as_far_as_it_is_shown() -> None:
    board = Board(history_s=5.0)
    board.embed(embedding(0))
    board.change(transition(1.0, 0.5, 1))
    for k in range(200):
        board.embed(embedding(k / 10))
        board.measure(distance(k / 10, value=k))
    known = board.look()
    assert len(known.history.ago_s) == 51 and known.history.ago_s[0] == pytest.approx(5.0) and known.history.ago_s[-1] == 0
    assert known.history.distance.tolist() == list(range(149, 200)) and known.history.changes_ago_s == ()


@pytest.mark.parametrize("first", ["embedding", "distance"])
def test_an_epoch_begins_anew_whatever_tells_of_it_first(first: str) -> None:
    board = Board()
    for k in range(10):
        board.embed(embedding(k / 10))
        board.measure(distance(k / 10))
    board.say(words(0))
    tell = [lambda: board.embed(embedding(5.0, epoch=1)), lambda: board.measure(distance(5.0, 1, 5.0, epoch=1))]
    for one in tell if first == "embedding" else tell[::-1]:
        one()
    known = board.look()
    assert (known.segment, known.age_s, known.current) == (1, 0.0, False)
    assert known.history.epoch.tolist() == [0] * 10 + [1]


def test_a_clock_that_goes_back_leaves_no_history_of_the_future() -> None:
    board = Board()
    for k in range(10):
        board.embed(embedding(100 + k / 10))
        board.measure(distance(100 + k / 10, start_s=100))
    board.embed(embedding(0, epoch=1))
    board.measure(distance(0, segment=1, epoch=1))
    known = board.look()
    assert known.history.ago_s.tolist() == [0.0] and (known.segment, known.age_s) == (1, 0.0)


def test_a_predictor_that_starts_again_counts_from_0_again() -> None:
    board = Board()
    board.embed(embedding(10))
    board.measure(distance(10, segment=9, start_s=8))
    board.embed(embedding(5))
    board.measure(distance(5, segment=0, start_s=5))
    assert (board.look().segment, board.look().age_s) == (0, 0.0)
    board.embed(embedding(20, epoch=0))
    board.measure(distance(20, segment=0, start_s=5))
    assert (board.look().segment, board.look().age_s) == (0, pytest.approx(15.0))


@pytest.mark.parametrize("detector", [True, False])
def test_a_predictor_that_starts_again_while_the_clock_goes_on(detector: bool) -> None:
    board = Board()
    for k in range(10):
        board.embed(replace(embedding(k / 10), sequence=k))
        board.measure(distance(k / 10, segment=9))
    board.embed(replace(embedding(30), sequence=0))
    if detector:
        board.measure(distance(30, segment=0, start_s=30))
        assert board.look().segment == 0
    else:
        assert board.look().segment is None
        board.change(transition(33, 32.5, 1))
        assert board.look().segment == 1
    assert board.look().age_s == 0.0


def test_nobody_judges_where_novelty_is_0() -> None:
    board = Board()
    board.embed(embedding(0, novelty=0.0))
    assert board.look().novelty is None
