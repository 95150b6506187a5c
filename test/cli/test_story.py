# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The rows that the live view and the picture tell: what belongs together, what was missed, and nothing before its time."""
from __future__ import annotations

from dataclasses import replace

from vljepa_ros.cli.recording import Beat
from vljepa_ros.cli.story import detected_segments, news, rows, true_pieces


def told(recording, now_s, known=True):
    return [
        (round(row.at_s, 1), row.verdict(known), row.detected is not None and row.detected.text is not None)
        for row in rows(recording, now_s)
    ]


def test_true_and_detected_boundaries_share_a_row(make_recording):
    recording = make_recording(true_s=[5.0, 9.0, 16.0], found_s=[5.2, 12.5, 15.9])
    assert told(recording, 20.0) == [
        (0.0, "found", True), (5.0, "found", True), (9.0, "missed", False), (12.5, "extra", True), (16.0, "found", True),
    ]  # fmt: skip


def test_the_future_is_not_told_and_a_miss_takes_its_time(make_recording):
    recording = make_recording(true_s=[5.0, 9.0], found_s=[])
    assert told(recording, 4.9) == [(0.0, "found", True)]
    assert told(recording, 6.0) == [(0.0, "found", True)]
    assert told(recording, 8.0) == [(0.0, "found", True), (5.0, "missed", False)]


def test_without_truth_there_is_no_verdict(make_recording):
    assert told(make_recording(true_s=None, found_s=[5.0]), 20.0, known=False) == [(0.0, "", True), (5.0, "", True)]


def test_before_anything_was_heard_there_is_nothing_to_tell(make_recording):
    recording = make_recording(true_s=[5.0])
    recording.beats, recording.texts = [], []
    assert rows(recording, 0.0) == []


def test_an_epoch_begins_a_segment_without_a_transition(make_recording):
    recording = make_recording(true_s=None, found_s=[5.0])
    late = recording.beats[-1]
    recording.beats.append(Beat(late.stamp_ns + 10**9, late.received_ns + 10**9, 1, late.sequence + 1, 0.0, 0.1))
    segments = detected_segments(recording)
    assert [one.transition is None for one in segments] == [True, False, True]
    assert segments[2].text is None, "nobody spoke of the new epoch"


def test_words_of_a_later_segment_are_not_put_into_the_first_one_s_mouth(make_recording):
    recording = make_recording(true_s=None, found_s=[2.0])
    start, _change = recording.texts
    recording.texts = [replace(start, what=replace(start.what, request=replace(start.what.request, segment=1)))]
    first, second = detected_segments(recording)
    assert first.text is None
    assert second.text is recording.texts[0]


def test_the_truth_in_words_is_the_state_at_first_and_the_event_with_its_state_later(make_recording):
    recording = make_recording(true_s=[5.0])
    assert [true_pieces(one) for one in recording.truth] == [
        [("The lamp is off.", True)], [("The lamp goes on.", True), ("The lamp is on.", False)],
    ]  # fmt: skip


def test_news_are_the_sentences_that_were_not_said_before():
    before = "The lamp is on. The drawer is open. The red cube is on the left."
    after = "The lamp is off. The drawer is open.  The red cube is in the gripper"
    lamp, drawer, cube = news(after, before)
    assert (lamp, drawer) == (("The lamp is off.", True), ("The drawer is open.", False))
    assert cube == ("The red cube is in the gripper", True)
    assert news("", before) == []
    assert news("On.", "") == [("On.", True)]


def test_each_row_knows_what_was_said_before(make_recording):
    recording = make_recording(true_s=None, found_s=[5.0, 9.0])
    recording.texts = [replace(one, what=replace(one.what, text=f"Text {k}.")) for k, one in enumerate(recording.texts)]
    assert [row.said_before for row in rows(recording, 20.0)] == ["", "Text 0.", "Text 1."]
