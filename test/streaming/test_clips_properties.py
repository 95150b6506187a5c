# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""ClipBuffer under any sequence of stamps: what holds always."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from vljepa_ros.streaming import Clip, ClipBuffer, ClipParams, Frame

NS = 1_000_000_000
T0 = 1_000 * NS

# A stream is a list of steps from stamp to stamp: mostly a camera of some rate with jitter, now and then something odd.
ODD = [0, 1, -1, -NS // 20, -5 * NS, 3600 * NS, -3600 * NS, 2 * NS, NS // 2, -T0, None]  # None: a stamp of zero


@st.composite
def streams(draw: st.DrawFn) -> list[int]:
    interval_ns = draw(st.sampled_from([NS // 60, NS // 30, NS // 15, NS // 10, NS // 7, NS // 3]))
    jitter = draw(st.floats(0.0, 0.9))
    stamp, stamps = T0, []
    for _ in range(draw(st.integers(1, 6))):
        for share in draw(st.lists(st.floats(-1, 1), min_size=0, max_size=40)):
            stamp += round(interval_ns * (1 + jitter * share / 2))
            stamps.append(stamp)
        odd = draw(st.sampled_from(ODD))
        if odd is None:
            stamps.append(0)
        else:
            stamp = max(stamp + odd, 0)
            stamps.append(stamp)
    return stamps


@st.composite
def buffers(draw: st.DrawFn) -> ClipBuffer:
    params = ClipParams(
        stride_s=draw(st.sampled_from([0.01, 0.1, 0.33, 2.0])),
        max_gap_s=draw(st.sampled_from([0.05, 0.4, 1.0, 5.0])),
        stamp_source=draw(st.sampled_from(["header", "arrival"])),
    )
    return ClipBuffer(params, draw(st.integers(1, 8)), draw(st.sampled_from([0.05, 0.2, 0.5])), 2)


def push_all(buffer: ClipBuffer, stamps: list[int], changed: int = -1) -> list[tuple[int, int, Clip | None]]:
    """Per frame: its index, the buffer's epoch after it, its clip. Pixels say the frame's index, 255 minus it for the changed
    one."""
    made = []
    for i, stamp in enumerate(stamps):
        value = np.array([i % 256, i // 256, 0], np.uint8)
        image = np.broadcast_to(255 - value if i == changed else value, (2, 2, 3))
        clip = buffer.push(Frame(stamp, np.ascontiguousarray(image)))
        made.append((i, buffer.epoch, clip))
    return made


@settings(max_examples=150, deadline=None)
@given(buffers(), streams())
def test_clips_ascend_end_with_the_newest_frame_and_never_cross_an_epoch(buffer, stamps):
    # a frame's epoch is the buffer's after it was pushed; dropped frames are in no clip
    made = push_all(buffer, stamps)
    epochs = [epoch for _, epoch, _ in made]
    assert epochs == sorted(epochs)
    broken = ("backward_jump", "forward_jump", "gap")
    assert buffer.epoch == sum(buffer.counts[name] for name in broken)
    sequence = 0
    for i, epoch, clip in made:
        if clip is None:
            continue
        held = [int(one[0, 0, 0]) + 256 * int(one[0, 0, 1]) for one in clip.frames_THWC]
        assert held[-1] == i, "the newest frame is the one just pushed"
        assert [stamps[j] for j in held] == list(clip.stamps_ns)
        assert list(clip.stamps_ns) == sorted(clip.stamps_ns)
        assert {epochs[j] for j in held} == {clip.epoch} == {epoch}
        assert clip.sequence == sequence
        sequence += 1


@settings(max_examples=150, deadline=None)
@given(buffers(), streams())
def test_every_position_holds_a_frame_near_it(buffer, stamps):
    """Never more than half a period later than its position, and if earlier, then because the camera gave nothing between."""
    period_ns = buffer._period_ns
    accepted: list[int] = []  # stamps of the current epoch
    epoch = 0
    for i, epoch_after, clip in push_all(buffer, stamps):
        if epoch_after != epoch:
            accepted, epoch = [], epoch_after
        if (stamps[i] > 0 or buffer.params.stamp_source == "arrival") and (not accepted or stamps[i] > accepted[-1]):
            accepted.append(stamps[i])
        if clip is None:
            continue
        for back, stamp in enumerate(reversed(clip.stamps_ns)):
            position = clip.stamp_ns - back * period_ns
            assert stamp <= position + period_ns // 2
            between = [one for one in accepted if stamp < one <= position]
            assert not between, f"a frame at {between} is nearer to {position} than the one taken, at {stamp}"


@settings(max_examples=150, deadline=None)
@given(buffers(), streams())
def test_clips_never_come_quicker_than_the_stride_on_average(buffer, stamps):
    by_epoch: dict[int, list[int]] = {}
    for _, _, clip in push_all(buffer, stamps):
        if clip is not None:
            by_epoch.setdefault(clip.epoch, []).append(clip.stamp_ns)
    stride_ns = round(buffer.params.stride_s * NS)
    for own in by_epoch.values():
        for n in range(2, len(own)):
            spans = np.array(own[n:]) - np.array(own[:-n])
            assert spans.min() > (n - 1.5) * stride_ns - 1


@settings(max_examples=60, deadline=None)
@given(st.data(), streams())
def test_a_later_frame_never_reaches_an_earlier_clip(data, stamps):
    changed = data.draw(st.integers(0, len(stamps) - 1))
    plain = push_all(ClipBuffer(ClipParams(), 4, 0.2, 2), stamps)[:changed]
    other = push_all(ClipBuffer(ClipParams(), 4, 0.2, 2), stamps, changed)[:changed]
    for (_, _, one), (_, _, two) in zip(plain, other):
        assert (one is None) == (two is None)
        if one is not None:
            assert one.stamps_ns == two.stamps_ns and one.frames_THWC.tobytes() == two.frames_THWC.tobytes()
