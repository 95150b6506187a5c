# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The bag writer, with a stream that needs no renderer: what it writes is what the demo's source reads."""
from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from vljepa_ros.cli.sources import open_source
from vljepa_training.tabletop.__main__ import main
from vljepa_training.tabletop.bag import START_NS, BagOptions, write_bag

NS = 1_000_000_000


class FakeStream:
    """Two seconds, an event at 0.97 s, which lies between two frames."""

    def __init__(self, breaks_at=None):
        self.seconds = 2.0
        self.segments = [
            SimpleNamespace(start_s=0.0, event="start", caption="It begins.", state="The lamp is off."),
            SimpleNamespace(start_s=0.97, event="switch_on", caption="The lamp goes on.", state="The lamp is on."),
        ]
        self._breaks_at = breaks_at

    def frames(self, fps, width, height):
        for k in range(int(self.seconds * fps)):
            if k == self._breaks_at:
                raise KeyboardInterrupt
            yield k / fps, np.full((height, width, 3), (10 + 5 * k, 60, 200 - 5 * k), np.uint8)


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
@pytest.mark.parametrize("raw", [False, True])
def test_frames_and_truth_come_back(tmp_path, storage, raw):
    options = BagOptions(fps=15, width=160, height=120, raw=raw, storage=storage)
    assert write_bag(FakeStream(), tmp_path / "bag", options) == 30
    source = open_source(str(tmp_path / "bag"))
    frames = list(source.frames())
    assert source.topic == ("/camera/image_raw" if raw else "/camera/image_raw/compressed")
    assert [frame.stamp_ns for frame in frames] == [START_NS + round(k / 15 * NS) for k in range(30)]
    assert frames[20].image_HWC.shape == (120, 160, 3)
    assert np.abs(frames[20].image_HWC[60, 80].astype(int) - (110, 60, 100)).max() <= (0 if raw else 6)
    assert [(one.start_ns, one.event, one.caption, one.state) for one in source.truth] == [
        (START_NS, "start", "It begins.", "The lamp is off."),
        (START_NS + 970_000_000, "switch_on", "The lamp goes on.", "The lamp is on."),
    ]


def test_the_truth_is_recorded_at_its_own_time_between_the_frames(tmp_path):
    from rosbags.highlevel import AnyReader

    write_bag(FakeStream(), tmp_path / "bag")
    with AnyReader([tmp_path / "bag"]) as reader:
        times = [(at - START_NS, connection.topic) for connection, at, _ in reader.messages()]
    assert times == sorted(times, key=lambda one: one[0])
    assert (970_000_000, "/truth/segment") in times


def test_the_same_stream_gives_the_same_messages(tmp_path):
    for name in ("a", "b"):
        write_bag(FakeStream(), tmp_path / name)
    first, second = ([m.cdr for m in open_source(str(tmp_path / name)).messages()] for name in ("a", "b"))
    assert first == second


def test_an_interrupted_recording_leaves_nothing(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        write_bag(FakeStream(breaks_at=7), tmp_path / "bag")
    assert list(tmp_path.iterdir()) == []


def test_a_bag_is_never_written_over(tmp_path):
    (tmp_path / "bag").mkdir()
    with pytest.raises(FileExistsError, match="exists already"):
        write_bag(FakeStream(), tmp_path / "bag")


@pytest.mark.parametrize(
    ("options", "says"),
    [({"fps": 0}, "fps"), ({"width": 3}, "3x480"), ({"quality": 0}, "quality"), ({"storage": "bag"}, "storage")],
)
def test_bad_options_name_the_value(options, says):
    with pytest.raises(ValueError, match=says):
        BagOptions(**options)


@pytest.mark.render
def test_the_command_records_the_world(tmp_path, capsys):
    options = ["--seed", "3", "--seconds", "6", "--fps", "5", "--size", "160x120", "--gap", "2", "2.5"]
    assert main(["bag", *options, str(tmp_path / "bag")]) == 0
    assert "30 frames, 2 boundaries" in capsys.readouterr().out
    source = open_source(str(tmp_path / "bag"))
    frames = list(source.frames())
    assert len(frames) == 30
    assert frames[0].image_HWC.shape == (120, 160, 3)
    assert frames[0].image_HWC.std() > 10, "a black picture"
    assert next(one.event for one in source.truth) == "start"
    assert main(["bag", *options, str(tmp_path / "bag")]) == 2
    assert "exists already" in capsys.readouterr().err
