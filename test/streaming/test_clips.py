# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""ClipBuffer on ordinary and odd cameras: clip period, stride, epochs, causality."""

from __future__ import annotations

import numpy as np
import pytest

from vljepa_ros.streaming import Clip, ClipBuffer, ClipParams, Frame

NS = 1_000_000_000
T0 = 1_700_000_000 * NS
FRAMES, PERIOD_S, SIZE = 8, 0.2, 8


def frame(stamp_ns: int, value: int = 0, shape=(8, 8, 3)) -> Frame:
    return Frame(stamp_ns, np.full(shape, value % 256, np.uint8), "camera")


def make(**params) -> ClipBuffer:
    return ClipBuffer(ClipParams(**params), FRAMES, PERIOD_S, SIZE)


def run(buffer: ClipBuffer, stamps_s) -> list[Clip]:
    clips = (buffer.push(frame(T0 + round(s * NS), i)) for i, s in enumerate(stamps_s))
    return [one for one in clips if one is not None]


def camera(rate_hz: float, seconds: float, jitter: float = 0.0, seed: int = 0) -> np.ndarray:
    """Stamps of a camera; jitter as a share of its interval, to either side."""
    regular = np.arange(0, seconds, 1 / rate_hz)
    return regular + np.random.default_rng(seed).uniform(-jitter, jitter, len(regular)) / rate_hz + 1


@pytest.mark.parametrize(
    "rate_hz, jitter", [(15, 0), (15, 0.1), (30, 0), (30, 0.2), (10, 0), (10, 0.2), (12.5, 0.1), (25, 0.05), (60, 0)]
)
def test_cameras_that_are_quick_enough_give_ten_clips_a_second_on_the_clip_period(rate_hz, jitter):
    clips = run(make(), camera(rate_hz, 31.5, jitter))
    per_second = (len(clips) - 1) / ((clips[-1].stamp_ns - clips[0].stamp_ns) / NS)
    assert 9.5 <= per_second <= 10.05
    ideal = -np.arange(FRAMES)[::-1] * PERIOD_S
    for clip in clips:
        error = (np.array(clip.stamps_ns) - clip.stamp_ns) / NS - ideal
        # nearest frame: half an interval, plus what jitter may do to either frame
        assert np.abs(error).max() <= (0.5 + 2 * jitter) / rate_hz + 1e-6
        assert len(set(clip.stamps_ns)) == FRAMES


@pytest.mark.parametrize("rate_hz", [15, 30, 10, 5])
def test_a_camera_whose_interval_divides_the_period_is_sampled_exactly(rate_hz):
    for clip in run(make(), camera(rate_hz, 6)):
        assert np.allclose(np.diff(clip.stamps_ns) / NS, PERIOD_S, atol=1e-6)


@pytest.mark.parametrize("rate_hz, jitter", [(2, 0), (3, 0.1), (1.2, 0)])
def test_a_camera_slower_than_the_clip_period_repeats_frames(rate_hz, jitter):
    stamps = camera(rate_hz, 20, jitter)
    clips = run(make(), stamps)
    assert len(clips) >= len(stamps) - 1.4 * rate_hz - 2, "every frame makes a clip once the window is covered"
    for clip in clips:
        assert len(set(clip.stamps_ns)) < FRAMES
        assert list(clip.stamps_ns) == sorted(clip.stamps_ns)


def test_the_first_clip_waits_for_a_covered_window():
    clips = run(make(), camera(15, 3))
    assert clips[0].stamp_ns - clips[0].start_ns == round(1.4 * NS) and clips[0].start_ns == T0 + NS


@pytest.mark.parametrize(
    "stride_s, rate_hz, expected", [(0.1, 15, 10), (0.1, 8, 8), (0.25, 30, 4), (0.05, 15, 15), (1.0, 30, 1), (0.3, 10, 3.33)]
)
def test_the_stride_holds_on_average(stride_s, rate_hz, expected):
    clips = run(make(stride_s=stride_s), camera(rate_hz, 61.5, 0.05))
    per_second = (len(clips) - 1) / ((clips[-1].stamp_ns - clips[0].stamp_ns) / NS)
    assert per_second == pytest.approx(expected, rel=0.03)


def test_due_times_missed_in_a_pause_are_not_made_up_for():
    stamps = np.concatenate([camera(30, 3), 3 + 0.8 + camera(30, 1)])
    after = [one.stamp_ns for one in run(make(), stamps) if one.stamp_ns > T0 + 4.8 * NS]
    assert np.diff(after).min() >= 0.08 * NS and len(after) <= 11


def test_pixels_of_a_clip_are_those_of_its_stamps():
    stamps = camera(15, 4)
    value = {T0 + round(s * NS): i for i, s in enumerate(stamps)}
    for clip in run(make(), stamps):
        assert [int(one[0, 0, 0]) for one in clip.frames_THWC] == [value[s] for s in clip.stamps_ns]
        assert clip.frames_THWC.shape == (FRAMES, SIZE, SIZE, 3) and clip.frames_THWC.dtype == np.uint8
        assert clip.frame_id == "camera"


def test_changing_a_later_frame_leaves_every_earlier_clip_bit_equal():
    rng = np.random.default_rng(1)
    stamps = camera(15, 6, 0.2)
    images = rng.integers(0, 256, (len(stamps), 24, 32, 3), dtype=np.uint8)

    def clips(changed: int | None) -> list[tuple[int, bytes]]:
        buffer = make()
        made = []
        for i, s in enumerate(stamps):
            image = 255 - images[i] if i == changed else images[i]
            made.append(buffer.push(Frame(T0 + round(s * NS), image)))
        return [(one.stamp_ns, one.frames_THWC.tobytes()) for one in made if one is not None]

    plain = clips(None)
    for changed in range(25, len(stamps), 7):
        limit = T0 + round(stamps[changed] * NS)
        other = clips(changed)
        before = [one for one in plain if one[0] < limit]
        assert before and [one for one in other if one[0] < limit] == before
    # the last of them has clips that hold the changed frame, so the comparison can fail
    assert [one for one in clips(40) if one[0] >= T0 + round(stamps[40] * NS)] != [
        one for one in plain if one[0] >= T0 + round(stamps[40] * NS)
    ]


def test_a_driver_that_reuses_its_memory_does_not_change_what_was_pushed():
    buffer, memory, clips = make(), np.zeros((SIZE, SIZE, 3), np.uint8), []
    for i, s in enumerate(camera(15, 3)):
        memory[:] = i
        clips.append(buffer.push(Frame(T0 + round(s * NS), memory)))
    newest = [one for one in clips if one is not None][-1]
    assert np.diff([int(one[0, 0, 0]) for one in newest.frames_THWC]).tolist() == [3] * (FRAMES - 1)


@pytest.mark.parametrize(
    "step_s, name", [(3600.0, "forward_jump"), (-3600.0, "backward_jump"), (-0.01, "backward_jump"), (1.5, "gap")]
)
def test_a_broken_clock_begins_an_epoch_and_no_clip_crosses(step_s, name):
    buffer = make()
    first = camera(15, 4)
    second = first[-1] + step_s + np.arange(0, 4, 1 / 15)
    before, after = run(buffer, first), run(buffer, second)
    assert buffer.counts == {name: 1} and buffer.epoch == 1
    assert {one.epoch for one in before} == {0} and {one.epoch for one in after} == {1}
    assert min(one.start_ns for one in after) >= T0 + round(second[0] * NS)
    assert [one.sequence for one in before + after] == list(range(len(before + after)))


def test_a_bag_that_loops_begins_an_epoch_per_loop():
    buffer = make()
    for _ in range(3):
        run(buffer, camera(15, 3))
    assert buffer.epoch == 2 and buffer.counts == {"backward_jump": 2}


def test_repeated_stamps_are_dropped_and_counted():
    stamps = camera(15, 4)
    once, twice = make(), make()
    assert [one.stamps_ns for one in run(once, stamps)] == [one.stamps_ns for one in run(twice, np.repeat(stamps, 2))]
    assert twice.counts == {"duplicate_stamp": len(stamps)} and twice.epoch == 0


def test_zero_stamps_are_dropped_and_counted_under_header_stamps():
    buffer = make()
    assert all(buffer.push(frame(0)) is None for _ in range(100))
    assert buffer.counts == {"zero_stamp": 100} and buffer.epoch == 0
    assert run(buffer, camera(15, 3))


def test_arrival_stamps_may_begin_at_zero():
    buffer = make(stamp_source="arrival")
    clips = [buffer.push(frame(round(i / 15 * NS))) for i in range(30)]
    assert any(clips) and not buffer.counts


def test_a_camera_of_changing_size_goes_on():
    buffer = make()
    shapes = [(8, 8, 3), (48, 64, 3), (5, 9, 3), (480, 640, 3)]
    clips = [buffer.push(frame(T0 + round(i / 15 * NS), i, shapes[i % 4])) for i in range(60)]
    assert sum(one is not None for one in clips) >= 20 and buffer.epoch == 0


def test_an_image_that_is_none_is_refused_and_changes_nothing():
    buffer, untouched = make(), make()
    stamps = camera(15, 2)
    run(buffer, stamps), run(untouched, stamps)
    with pytest.raises(ValueError):
        buffer.push(Frame(T0 + 90 * NS, np.zeros((0, 4, 3), np.uint8)))
    assert buffer.epoch == 0 and not buffer.counts
    later = stamps[-1] + np.arange(1, 20) / 15
    assert [one.stamps_ns for one in run(buffer, later)] == [one.stamps_ns for one in run(untouched, later)]


def test_flush_begins_an_epoch_under_its_reason():
    buffer = make()
    run(buffer, camera(15, 3))
    buffer.flush("reactivated")
    later = camera(15, 3) + 3
    clips = run(buffer, later)
    assert buffer.epoch == 1 and buffer.counts == {"reactivated": 1}
    assert clips[0].start_ns >= T0 + round(later[0] * NS)


def test_clips_of_a_single_frame_need_no_window():
    buffer = ClipBuffer(ClipParams(), 1, PERIOD_S, SIZE)
    clip = buffer.push(frame(T0))
    assert clip is not None and clip.stamps_ns == (T0,)


@pytest.mark.parametrize("bad", [dict(frames=0), dict(clip_period_s=0), dict(image_size=0)])
def test_bad_facts_of_a_checkpoint_are_named(bad):
    with pytest.raises(ValueError, match="got 0"):
        ClipBuffer(ClipParams(), **{"frames": 8, "clip_period_s": 0.2, "image_size": 8, **bad})
