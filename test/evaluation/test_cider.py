# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""CIDEr-D against the COCO caption evaluation's own, where that is installed, and against what it must be everywhere."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vljepa_ros.evaluation.cider import Corpus, cider_d, words

WORD = st.sampled_from("the a red blue cube ball gripper pushes lifts to left right on and".split())
TEXT = st.lists(WORD, max_size=14).map(" ".join)
SENTENCE = st.lists(WORD, min_size=1, max_size=14).map(" ".join)  # the original fails where no reference has a word
CLIP = st.tuples(TEXT, st.lists(SENTENCE, min_size=1, max_size=4))

# What pycocoevalcap 1.2 says of these, so that its absence leaves no hole.
CLIPS = [
    (
        "the gripper pushes the red cube to the left",
        ["the gripper pushes the red cube to the left", "the red cube is pushed left"],
    ),
    ("the gripper lifts the blue ball", ["the gripper picks up the blue ball"]),
    ("nothing happens", ["the drawer is pulled open", "the gripper opens the drawer", "the gripper pulls the drawer out"]),
    ("the lamp lamp lamp", ["the lamp is turned on"]),
    ("", ["nothing happens"]),
]
GOLDEN = [6.293254925616585, 3.157378419350893, 0.0, 1.0250226323403038, 0.0]


def score(clips):
    return cider_d([c for c, _ in clips], [r for _, r in clips])


def theirs(clips) -> tuple[float, list[float]]:
    reason = "CIDEr-D is not held against its original; `pip install --no-deps pycocoevalcap` (104 MB) to do so"
    cider = pytest.importorskip("pycocoevalcap.cider.cider", reason=reason)
    references = {i: list(r) for i, (_, r) in enumerate(clips)}
    mean, each = cider.Cider().compute_score(references, {i: [c] for i, (c, _) in enumerate(clips)})
    return float(mean), [float(v) for v in each]


@settings(max_examples=200, deadline=None)
@given(st.lists(CLIP, min_size=1, max_size=12))
def test_equal_to_the_original(clips):
    mean, each = theirs(clips)
    ours = score(clips)
    assert ours.mean == pytest.approx(mean, abs=1e-4)
    assert ours.each == pytest.approx(each, abs=1e-4)


def test_equal_to_what_the_original_once_said():
    assert score(CLIPS).each == pytest.approx(GOLDEN, abs=1e-4)


@settings(deadline=None)
@given(st.lists(CLIP, min_size=1, max_size=8))
def test_scores_lie_between_nothing_and_ten_and_no_order_matters(clips):
    ours = score(clips)
    assert all(-1e-9 <= v <= 10 + 1e-9 for v in ours.each)
    assert ours.mean == pytest.approx(sum(ours.each) / len(ours.each))
    assert score(clips[::-1]).each == pytest.approx(ours.each[::-1])
    assert score([(c, r[::-1]) for c, r in clips]).each == pytest.approx(ours.each)


@settings(deadline=None)
@given(st.lists(st.lists(WORD, min_size=4, max_size=9).map(" ".join), min_size=2, max_size=8, unique=True))
def test_nothing_beats_the_reference_itself(texts):
    perfect = cider_d(texts, [[t] for t in texts])
    shifted = cider_d(texts[1:] + texts[:1], [[t] for t in texts])
    assert all(a >= b - 1e-9 for a, b in zip(perfect.each, shifted.each))


def test_distinct_references_repeated_word_for_word_are_worth_ten():
    texts = ["a b c d", "e f g h"]
    assert cider_d(texts, [[t] for t in texts]).each == pytest.approx([10, 10])


def test_a_word_said_three_times_counts_once():
    once = cider_d(["lamp on now here", "x"], [["lamp on now here"], ["y"]]).each[0]
    thrice = cider_d(["lamp lamp lamp on now here", "x"], [["lamp on now here"], ["y"]]).each[0]
    assert thrice < once


def test_what_is_wrong_is_named():
    with pytest.raises(ValueError, match="1 candidates and 2 lists"):
        cider_d(["a"], [["a"], ["b"]])
    with pytest.raises(ValueError, match=r"references\[1\]"):
        cider_d(["a", "b"], [["a"], []])
    with pytest.raises(TypeError, match="list of lists"):
        cider_d(["a"], ["a"])
    assert math.isnan(cider_d([], []).mean)


def test_words_leaves_words():
    assert words(" The robot's hand, on the LEFT. ") == "the robot's hand on the left"


@settings(deadline=None, max_examples=50)
@given(st.lists(CLIP, min_size=1, max_size=6), TEXT)
def test_a_corpus_scores_any_candidate_as_if_it_were_alone_with_the_others(clips, other):
    corpus = Corpus([references for _, references in clips])
    assert [corpus.score(candidate, i) for i, (candidate, _) in enumerate(clips)] == list(score(clips).each)
    assert corpus.score(other, 0) == score([(other, clips[0][1]), *clips[1:]]).each[0]
