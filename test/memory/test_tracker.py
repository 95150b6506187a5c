# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What is remembered of a stream that comes as streams do: late, doubled, from its middle on, from a predictor begun anew."""
from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from vljepa_ros.memory import Entry, Segment, SegmentTracker, Stray
from vljepa_ros.streaming import DecodedText, DecodeRequest, Embedding, Transition, Trigger

NS = 10**9
START_NS = 1_700_000_000 * NS
SPACE, QUERY, DIM = "5bace00000000001", "What is it?", 8


class Stream:
    """A predictor and a decoder, said by hand, and what the tracker wants written."""

    def __init__(self, update_s: float = 5.0) -> None:
        self.tracker = SegmentTracker(QUERY, update_s)
        self.now_ns = START_NS
        self.sequence = self.epoch = 0
        self.written: dict[int, Segment] = {}  # serial -> its newest version
        self.ended: set[int] = set()
        self.writes = 0
        self.strays: list[str] = []

    @property
    def segments(self) -> list[Segment]:
        return [self.written[serial] for serial in sorted(self.written)]

    def take(self, out: list[Entry | Stray]) -> None:
        for one in out:
            if isinstance(one, Stray):
                self.strays.append(one.text.text)
                continue
            assert one.serial not in self.ended or np.array_equal(self.written[one.serial].vector_D, one.segment.vector_D)
            self.writes += 1
            self.written[one.serial] = one.segment
            self.ended |= {one.serial} if one.ended else set()

    def embed(self, seconds: float, state: int, **fields: Any) -> None:
        """Ten per second."""
        for _ in range(round(seconds * 10)):
            self.now_ns += NS // 10
            self.take(self.tracker.embedding(self.one(state, **fields)))
            self.sequence += 1

    def one(self, state: int, **fields: Any) -> Embedding:
        values = dict(
            vector_D=axis(state), stamp_ns=self.now_ns, clip_start_ns=self.now_ns - NS, epoch=self.epoch, sequence=self.sequence,
            space_id=SPACE, query=QUERY, frame_id="camera",
        )
        return Embedding(**(values | fields))

    def change(self, segment: int, before: int, after: int, boundary_ns: int | None = None, **fields: Any) -> Transition:
        boundary_ns = self.now_ns - 4 * NS // 10 if boundary_ns is None else boundary_ns
        values = dict(
            stamp_ns=self.now_ns, boundary_ns=boundary_ns, epoch=self.epoch, segment=segment, segment_start_ns=0, distance=1.0,
            threshold=0.1, space_id=SPACE, before_D=axis(before), after_D=axis(after), frame_id="camera",
        )
        transition = Transition(**(values | fields))
        self.take(self.tracker.transition(transition))
        return transition

    def say(self, text: str, start_ns: int, stamp_ns: int | None = None, epoch: int | None = None, familiar: bool = True) -> None:
        request = DecodeRequest(
            vector_D=np.empty(0, np.float32), stamp_ns=start_ns + 6 * NS // 10 if stamp_ns is None else stamp_ns,
            segment_start_ns=start_ns, segment=0, epoch=self.epoch if epoch is None else epoch, trigger=Trigger.CHANGE,
            space_id="", query=QUERY,
        )
        self.take(self.tracker.text(DecodedText(request, text, 0.75, familiar, 0.01, "label")))

    def finish(self) -> None:
        self.take(self.tracker.finish())


def axis(state: int) -> np.ndarray:
    vector = np.zeros(DIM, np.float32)
    vector[state] = 1
    return vector


def test_segments_with_their_times_means_and_words():
    stream = Stream()
    stream.embed(3.0, 0)
    stream.say("first", START_NS + NS // 10)
    stream.embed(0.4, 1)
    told = stream.change(1, before=0, after=1)
    stream.embed(2.0, 1)
    stream.say("second", told.boundary_ns)
    stream.finish()
    first, second = stream.segments
    assert stream.ended == {0, 1}
    assert (first.start_ns, first.end_ns, first.segment, first.text) == (START_NS + NS // 10, told.boundary_ns, 0, "first")
    assert (second.start_ns, second.end_ns, second.segment, second.text) == (told.boundary_ns, stream.now_ns, 1, "second")
    assert np.array_equal(first.vector_D, axis(0)) and np.allclose(second.vector_D, axis(1), atol=1e-6)
    for one in (first, second):
        assert (one.epoch, one.space_id, one.query, one.frame_id, one.confidence) == (0, SPACE, QUERY, "camera", 0.75)
        assert one.label == "label" and one.familiar


def test_the_running_segment_is_written_at_once_and_then_now_and_then():
    stream = Stream(update_s=2.0)
    stream.embed(0.1, 0)
    assert stream.writes == 1 and stream.segments[0].end_ns == stream.now_ns
    stream.embed(7.0, 1)
    assert stream.writes == 1 + 3 and not stream.ended
    assert stream.segments[0].end_ns >= stream.now_ns - 2 * NS
    stream.change(1, before=1, after=2)
    assert stream.writes == 4 + 2 and stream.ended == {0}, "the end of one, the beginning of the other"
    assert np.allclose(stream.segments[1].vector_D, axis(2))


def test_the_mean_of_a_segment_weighs_every_embedding_alike():
    stream = Stream(update_s=0.1)
    stream.embed(1.0, 0)
    stream.embed(3.0, 1)
    mean = axis(0) * 10 + axis(1) * 30
    assert np.allclose(stream.segments[0].vector_D, mean / np.linalg.norm(mean), atol=1e-6)
    stream.embed(0.5, 2)
    stream.change(1, before=1, after=2)  # its mean stands for the five embeddings since the boundary
    stream.embed(1.0, 3)
    mean = axis(2) * 5 + axis(3) * 10
    assert np.allclose(stream.segments[1].vector_D, mean / np.linalg.norm(mean), atol=1e-6)


def test_a_transition_that_comes_before_its_embeddings():
    stream, late = Stream(), Stream()
    for one, order in ((stream, "embeddings first"), (late, "transition first")):
        one.embed(3.0, 0)
        boundary_ns, stamp_ns = one.now_ns + NS // 10, one.now_ns + NS
        if order == "transition first":
            one.change(1, 0, 1, boundary_ns, stamp_ns=stamp_ns)
        one.embed(1.0, 1)
        if order == "embeddings first":
            one.change(1, 0, 1, boundary_ns, stamp_ns=stamp_ns)
        one.embed(1.0, 1)
        one.finish()
    for a, b in zip(stream.segments, late.segments):
        assert (a.start_ns, a.end_ns, a.segment) == (b.start_ns, b.end_ns, b.segment)
        assert np.allclose(a.vector_D, b.vector_D, atol=1e-6)


def test_an_epoch_ends_a_segment_where_its_last_embedding_was():
    stream = Stream()
    stream.embed(2.0, 0)
    last_ns = stream.now_ns
    stream.now_ns += 60 * NS
    stream.epoch = 3
    stream.embed(2.0, 1)
    stream.finish()
    first, second = stream.segments
    assert (first.epoch, first.end_ns, second.epoch, second.start_ns) == (0, last_ns, 3, last_ns + 60 * NS + NS // 10)
    assert (first.segment, second.segment) == (0, 1) and np.allclose(first.vector_D, axis(0))


def test_an_epoch_whose_first_news_is_a_transition():
    stream = Stream()
    stream.embed(2.0, 0)
    stream.epoch = 1
    stream.now_ns += 30 * NS
    told = stream.change(4, before=1, after=2)
    stream.embed(1.0, 2)
    stream.finish()
    assert [(one.epoch, one.segment) for one in stream.segments] == [(0, 0), (1, 4)]
    assert stream.segments[1].start_ns == told.boundary_ns


def test_what_is_heard_twice_or_too_late_changes_nothing():
    stream = Stream(update_s=0.1)
    stream.embed(2.0, 0)
    told = stream.change(1, before=0, after=1, boundary_ns=stream.now_ns - NS)
    stream.embed(1.0, 1)
    writes = stream.writes
    stream.take(stream.tracker.transition(told))
    stream.take(stream.tracker.embedding(stream.one(5, stamp_ns=stream.now_ns - NS)))
    stream.take(stream.tracker.embedding(stream.one(5, stamp_ns=stream.now_ns, sequence=stream.sequence - 1)))
    stream.take(stream.tracker.embedding(stream.one(5, query="Is the lamp on?", stamp_ns=stream.now_ns + NS)))
    assert stream.writes == writes and len(stream.segments) == 2


@pytest.mark.parametrize("back_ns", [0, 100 * NS])
def test_a_predictor_that_starts_again(back_ns):
    """It counts from 0 as before; the sequence tells, or the stamps that lead back."""
    stream = Stream()
    stream.embed(3.0, 0)
    last_ns = stream.now_ns
    stream.sequence, stream.now_ns = 0, stream.now_ns + NS - back_ns
    stream.embed(2.0, 1)
    told = stream.change(1, before=1, after=2)
    stream.embed(1.0, 2)
    stream.finish()
    assert [one.segment for one in stream.segments] == [0, 0, 1]
    assert stream.segments[0].end_ns == last_ns and stream.segments[1].end_ns == told.boundary_ns
    assert [int(one.vector_D.argmax()) for one in stream.segments] == [0, 1, 2]


def test_foreign_clips_make_a_segment_unfamiliar_by_majority():
    stream = Stream()
    stream.embed(1.0, 0, novelty=3.0)
    stream.embed(2.0, 0, novelty=0.5)
    stream.embed(0.4, 1, novelty=3.0)
    stream.change(1, before=0, after=1, boundary_ns=stream.now_ns - 3 * NS // 10)
    stream.embed(1.0, 1, novelty=float("nan"))
    stream.finish()
    assert [one.familiar for one in stream.segments] == [True, False]


def test_words_that_come_late_find_their_segment():
    stream = Stream()
    stream.embed(3.0, 0)
    one = stream.change(1, before=0, after=1)
    stream.embed(3.0, 1)
    two = stream.change(2, before=1, after=2)
    stream.embed(3.0, 2)
    stream.say("third", two.boundary_ns)
    stream.say("second", one.boundary_ns, familiar=False)
    assert [(s.text, s.familiar) for s in stream.segments] == [("", True), ("second", False), ("third", True)]
    stream.embed(10.0, 2)
    stream.finish()
    assert [s.text for s in stream.segments] == ["", "second", "third"] and not stream.strays


def test_words_wait_for_a_segment_that_is_not_here_yet():
    stream = Stream()
    stream.embed(3.0, 0)
    stream.say("of the next segment", stream.now_ns, stream.now_ns + 6 * NS // 10)
    stream.say("of the next epoch", stream.now_ns + 50 * NS, epoch=1)
    boundary_ns = stream.now_ns
    stream.embed(1.0, 1)
    stream.change(1, before=0, after=1, boundary_ns=boundary_ns)
    assert [one.text for one in stream.segments] == ["", "of the next segment"]
    stream.now_ns, stream.epoch = boundary_ns + 50 * NS - NS // 10, 1
    stream.embed(1.0, 2)
    assert [one.text for one in stream.segments] == ["", "of the next segment", "of the next epoch"] and not stream.strays


def test_words_with_another_beginning_go_where_they_overlap_most():
    """A decoder that began to listen later than we did has another first stamp."""
    stream = Stream()
    stream.embed(3.0, 0)
    stream.say("heard from its middle on", START_NS + NS, START_NS + 2 * NS)
    assert stream.segments[0].text == ""
    stream.embed(3.0, 0)
    assert stream.segments[0].text == "heard from its middle on" and not stream.strays


def test_words_from_before_we_listened_are_true_of_what_still_goes_on():
    stream = Stream()
    stream.embed(1.0, 0)
    for k in (300, 200, 100):
        stream.say(f"{k} s ago", START_NS - k * NS)
    stream.embed(3.0, 0)
    assert stream.segments[0].text == "100 s ago"
    assert stream.strays == ["300 s ago", "200 s ago", "100 s ago"], "an earlier run may have their segments"
    told = stream.change(7, before=0, after=1)
    stream.embed(4.0, 1)
    stream.say("50 s ago", START_NS - 50 * NS)
    assert [(s.segment, s.text) for s in stream.segments] == [(6, "100 s ago"), (7, "")]
    assert stream.segments[1].start_ns == told.boundary_ns and stream.strays[-1] == "50 s ago"


def test_words_for_nothing_are_handed_back_and_do_not_pile_up():
    stream = Stream()
    for k in range(100):
        stream.say(f"{k}", START_NS + k * NS, epoch=9)
    assert len(stream.strays) == 36
    stream.finish()
    assert len(stream.strays) == 100 and not stream.written
