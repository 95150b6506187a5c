# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Sources: every kind gives the same messages and frames, and what cannot be played says so in one line."""
from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from vljepa_ros.cli.sources import SourceError, open_source
from vljepa_ros.evaluation.recorded.serialised import image_cdr, picture, restamped, stamp_of

NS = 1_000_000_000


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
@pytest.mark.parametrize("raw", [False, True])
def test_a_bag_gives_its_frames_untouched_with_their_times(make_bag, tmp_path, storage, raw):
    source = open_source(str(make_bag(tmp_path / "bag", seconds=2.0, storage=storage, raw=raw)))
    messages, frames = list(source.messages()), list(source.frames())
    assert source.compressed is not raw
    assert source.live is False
    assert source.seconds == pytest.approx(1.9)
    assert len(messages) == len(frames) == 20
    assert [m.stamp_ns - messages[0].stamp_ns for m in messages] == [k * NS // 10 for k in range(20)]
    assert all(stamp_of(m.cdr) == m.stamp_ns == m.due_ns for m in messages)
    assert frames[15].image_HWC.shape == (48, 64, 3)
    assert np.abs(frames[15].image_HWC[24, 50].astype(int) - (40, 160, 60)).max() < 12, "RGB, not BGR"
    assert [(one.event, one.caption) for one in source.truth] == [
        ("start", "Colour 0 appears."),
        ("switch_on", "Colour 1 appears."),
    ]
    assert source.truth[1].start_ns == messages[10].stamp_ns


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
def test_a_bag_may_be_named_by_its_file(make_bag, tmp_path, storage):
    folder = make_bag(tmp_path / "bag", storage=storage)
    file = next(path for path in folder.iterdir() if path.suffix in (".mcap", ".db3"))
    assert len(list(open_source(str(file)).messages())) == 10


def test_without_truth_there_is_none(make_bag, tmp_path):
    assert open_source(str(make_bag(tmp_path / "bag", truth=False))).truth == []


def test_the_most_usual_camera_is_chosen_unless_one_is_named(make_bag, tmp_path):
    folder = make_bag(tmp_path / "bag", topics=("/a/depth/image", "/b/image_raw"))
    assert open_source(str(folder)).topic == "/b/image_raw/compressed"
    assert open_source(str(folder), "/a/depth/image/compressed").topic == "/a/depth/image/compressed"
    with pytest.raises(SourceError, match="no camera topic /c; it has /a/depth/image/compressed, /b/image_raw/compressed"):
        open_source(str(folder), "/c")


def test_stamps_keep_their_faults_and_unstamped_cameras_get_the_recorder_s(make_bag, tmp_path):
    jumping = open_source(str(make_bag(tmp_path / "jumping", seconds=0.4, stamps_s=[100.0, 3700.0, 100.1, 100.1])))
    assert [m.stamp_ns / NS for m in jumping.messages()] == [100.0, 3700.0, 100.1, 100.1]
    unstamped = open_source(str(make_bag(tmp_path / "unstamped", seconds=0.3, stamps_s=[0.0, 0.0, 0.0])))
    assert [m.stamp_ns for m in unstamped.messages()] == [m.due_ns for m in unstamped.messages()]


def test_a_video_gives_frames_at_its_own_rate(make_video, tmp_path):
    source = open_source(str(make_video(tmp_path / "film.avi", seconds=2.0, fps=20.0)))
    messages, frames = list(source.messages()), list(source.frames())
    assert (source.compressed, source.truth, source.seconds) == (False, [], pytest.approx(2.0))
    assert [m.stamp_ns for m in messages] == [k * NS // 20 for k in range(40)]
    assert len(frames) == 40
    np.testing.assert_array_equal(picture(messages[30].cdr, compressed=False), frames[30].image_HWC)
    assert np.abs(frames[30].image_HWC[24, 50].astype(int) - (40, 160, 60)).max() < 20, "RGB, not BGR"


def damaged(kind: str, make_bag, folder: Path) -> Path:
    """Something that looks like a source and is none."""
    bag = make_bag(folder / "bag", storage="sqlite3" if kind == "cut sqlite3" else "mcap")
    data = next(path for path in bag.iterdir() if path.suffix in (".mcap", ".db3"))
    if kind in ("cut mcap", "cut sqlite3"):
        data.write_bytes(data.read_bytes()[:5000])
        return bag
    if kind == "lone cut mcap":
        lone = folder / "lone.mcap"
        lone.write_bytes(data.read_bytes()[:3000])
        return lone
    if kind == "broken metadata":
        (bag / "metadata.yaml").write_text("rosbag2_bagfile_information: {version: 9")
        return bag
    if kind == "folder without a bag":
        (folder / "empty").mkdir()
        return folder / "empty"
    other = folder / {"text as video": "film.mp4", "empty video": "none.avi", "ROS 1 bag": "old.bag"}[kind]
    other.write_text("" if kind == "empty video" else "this is no film\n" * 50)
    return other


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("cut mcap", "cannot be read as a ROS 2 bag"), ("cut sqlite3", "cannot be read as a ROS 2 bag"),
        ("lone cut mcap", "cannot be read as a ROS 2 bag"), ("broken metadata", "cannot be read as a ROS 2 bag"),
        ("folder without a bag", "no metadata.yaml"), ("text as video", "OpenCV cannot open it"),
        ("empty video", "OpenCV cannot open it"), ("ROS 1 bag", "rosbags-convert"),
    ],
)  # fmt: skip
def test_what_cannot_be_played_says_so_in_one_line(make_bag, tmp_path, kind, says):
    path = damaged(kind, make_bag, tmp_path)
    with pytest.raises(SourceError, match=says) as caught:
        list(open_source(str(path)).messages())
    assert "\n" not in str(caught.value)
    assert path.name in str(caught.value)


@pytest.mark.parametrize("where", ["/nowhere/bag", "/dev/video97", "97"])
def test_what_is_not_there_says_so(where):
    with pytest.raises(SourceError, match=r"no such (file|camera)"):
        open_source(where)


def test_a_bag_without_a_camera_names_what_it_has(make_bag, tmp_path):
    with pytest.raises(SourceError, match=r"no sensor_msgs/Image or CompressedImage in it; it has /truth/segment"):
        open_source(str(make_bag(tmp_path / "bag", topics=())))


def test_restamping_changes_the_stamp_and_nothing_else():
    image_HWC = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
    cdr = image_cdr(image_HWC, "rgb8", 12 * NS + 34)
    moved = restamped(cdr, 1_700_000_000 * NS + 999_999_999)
    assert stamp_of(moved) == 1_700_000_000 * NS + 999_999_999
    np.testing.assert_array_equal(picture(moved, compressed=False), image_HWC)
    assert restamped(moved, 12 * NS + 34) == cdr


@pytest.mark.parametrize("stamp_ns", [-1, 2**31 * NS])
def test_a_stamp_that_ros_cannot_hold_is_refused(stamp_ns):
    with pytest.raises(ValueError, match="between 0 and"):
        restamped(image_cdr(np.zeros((1, 1, 3), np.uint8), "rgb8", 0), stamp_ns)


def test_a_message_of_eleven_bytes_is_refused_and_damaged_pixels_give_no_picture():
    with pytest.raises(ValueError, match="at least 12 bytes, got 11"):
        stamp_of(b"\0" * 11)
    assert picture(b"\0\1\0\0" + b"\xff" * 30, compressed=True) is None
