# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Clips from the frames that they show alone are those of a clip buffer that saw every frame."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vljepa_ros.evaluation.sparse import SparseClips
from vljepa_ros.streaming import ClipBuffer, ClipParams, Frame

NS = 1_000_000_000
T0 = 1_700_000_000 * NS
SIZE = 8


def picture(k: int) -> np.ndarray:
    """One that no other frame has."""
    return np.random.default_rng(k).integers(0, 256, (12, 16, 3), dtype=np.uint8)


def both(stamps_ns, params=ClipParams(), frames=4, period_s=0.2, bad=()):
    """Clips of the sparse way, clips of a buffer that never gets the bad frames, and the sparse maker."""
    heard = []
    sparse = SparseClips(params, frames, period_s, SIZE, heard.append)
    dense = ClipBuffer(params, frames, period_s, SIZE)

    def load(k):
        if k in bad:
            raise ValueError(f"frame {k} is damaged")
        return picture(k)

    ours = [sparse.push(stamp, "cam", lambda k=k: load(k)) for k, stamp in enumerate(stamps_ns)]
    theirs = [dense.push(Frame(stamp, picture(k), "cam")) for k, stamp in enumerate(stamps_ns) if k not in bad]
    return [one for one in ours if one], [one for one in theirs if one], sparse, dense, heard


def assert_equal(ours, theirs):
    assert [(c.stamps_ns, c.epoch, c.sequence, c.frame_id) for c in ours] == [
        (c.stamps_ns, c.epoch, c.sequence, c.frame_id) for c in theirs
    ]
    for one, other in zip(ours, theirs):
        np.testing.assert_array_equal(one.frames_THWC, other.frames_THWC)


@pytest.mark.parametrize("rate_hz", [4.0, 9.7, 15.0, 30.0, 60.0])
def test_the_same_clips_from_fewer_pictures(rate_hz):
    stamps = [T0 + round(k / rate_hz * NS) for k in range(int(6 * rate_hz))]
    ours, theirs, sparse, *_ = both(stamps)
    assert_equal(ours, theirs)
    assert len(ours) > 15
    if rate_hz == 30.0:
        assert sparse.loaded <= len(stamps) / 3 + 15, "past the first window, two of three frames are shown by no clip"


@settings(max_examples=60, deadline=None)
@given(
    steps_ms=st.lists(st.sampled_from([0, 5, 17, 33, 40, 66, 130, 400, 1500, 90_000, -50, -3000]), min_size=5, max_size=120),
    stride_s=st.sampled_from([0.05, 0.1, 0.15, 0.37]),
    period_s=st.sampled_from([0.05, 0.2]),
)
def test_any_stamps_give_the_same_clips_and_counts(steps_ms, stride_s, period_s):
    stamps = np.maximum(np.cumsum(steps_ms), -10_000) * 1_000_000 + T0
    ours, theirs, sparse, dense, _ = both(stamps.tolist(), ClipParams(stride_s=stride_s), period_s=period_s)
    assert_equal(ours, theirs)
    assert (sparse.counts, sparse.epoch) == (dense.counts, dense.epoch)


@pytest.mark.parametrize("bad", [{30}, {0, 1, 5}, set(range(40, 75)), set(range(0, 90, 3)), set(range(20, 60, 2))])
def test_a_bad_picture_is_a_frame_that_never_came(bad):
    """Where every frame ends a clip, every bad one is noticed at once."""
    stamps = [T0 + round(k / 15 * NS) for k in range(90)]
    ours, theirs, sparse, dense, heard = both(stamps, ClipParams(stride_s=0.01), bad=bad)
    assert_equal(ours, theirs)
    assert sparse.counts == dense.counts and len(heard) == len(bad) and theirs


@pytest.mark.parametrize("bad", [{41}, set(range(41, 160)), set(range(1, 200, 6))])
def test_a_bad_picture_that_only_later_clips_ask_for_is_shown_by_none(bad):
    stamps = [T0 + round(k / 30 * NS) for k in range(300)]
    ours, theirs, *_ = both(stamps, ClipParams(stride_s=0.15), period_s=0.1, bad=bad)
    assert not {stamps.index(stamp) for clip in ours for stamp in clip.stamps_ns} & bad
    assert abs(len(ours) - len(theirs)) <= 2 and ours[-1].stamp_ns == theirs[-1].stamp_ns


def test_a_bad_picture_that_would_have_ended_a_clip_changes_nothing_else():
    stamps = [T0 + round(k / 30 * NS) for k in range(200)]
    clean, *_ = both(stamps)
    ends = [stamps.index(c.stamp_ns) for c in clean]
    ours, theirs, *_ = both(stamps, bad={ends[5], ends[20]})
    assert_equal(ours, theirs)


def test_nothing_but_bad_pictures_gives_no_clip():
    stamps = [T0 + round(k / 30 * NS) for k in range(120)]
    ours, _, sparse, _, heard = both(stamps, bad=set(range(120)))
    assert ours == [] and sparse.loaded == 0 and heard


def test_memory_holds_one_window():
    sparse = SparseClips(ClipParams(), 4, 0.2, SIZE)
    for k in range(3000):
        sparse.push(T0 + round(k / 30 * NS), "cam", lambda k=k: picture(k))
    assert len(sparse._loads) < 40 and len(sparse._images) < 20
