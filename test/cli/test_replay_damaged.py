# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Bags as disks and dying recorders leave them: one clear line, or a report of what could be read. Nothing crashes."""
from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from vljepa_ros.cli.main import main
from vljepa_ros.cli.sources import SourceError
from vljepa_ros.evaluation.recorded.bag import RecordedBag
from vljepa_ros.evaluation.recorded.salvage import Salvage

NS = 1_000_000_000
IMAGE = "sensor_msgs/msg/Image"


@pytest.fixture
def run(tiny_checkpoint, tmp_path, capsys):
    """`run(bag)` -> (exit status, report or None, stderr)."""

    def replay(bag: Path, *options: str):
        out = tmp_path / "out"
        status = main(["replay", str(bag), "--checkpoint", str(tiny_checkpoint), "--out", str(out), *options])
        report = json.loads((out / "report.json").read_text()) if (out / "report.json").exists() else None
        return status, report, capsys.readouterr().err

    return replay


def assert_refused(result, *says: str) -> None:
    """Exit 2, nothing written, one line with all these words."""
    status, report, said = result
    assert (status, report) == (2, None), said
    assert said.startswith("vljepa replay: ") and said.count("\n") == 1
    assert all(one in said for one in says), said


def write_images(folder: Path, make, count: int = 60, fps: float = 15.0, extra=lambda bag, types: None) -> Path:
    """A bag of sensor_msgs/Image; `make(k)` -> (height, width, encoding, step, bytes)."""
    types = get_typestore(Stores.ROS2_JAZZY)
    with Writer(folder, version=9, storage_plugin=StoragePlugin.MCAP) as bag:
        camera = bag.add_connection("/camera", IMAGE, typestore=types)
        for k in range(count):
            at_ns = 1_700_000_000 * NS + round(k / fps * NS)
            time = types.types["builtin_interfaces/msg/Time"](*divmod(at_ns, NS))
            height, width, encoding, step, data = make(k)
            header = types.types["std_msgs/msg/Header"](time, "cam")
            message = types.types[IMAGE](header, height, width, encoding, 0, step, np.frombuffer(data, np.uint8))
            bag.write(camera, at_ns, types.serialize_cdr(message, IMAGE))
        extra(bag, types)
    return folder


def rgb(k: int, height: int = 24, width: int = 32):
    return height, width, "rgb8", 3 * width, bytes([(7 * k) % 256, 90, 40]) * (height * width)


def cut(bag: Path, share: float) -> Path:
    """The same bag, its storage cut short."""
    data = next(path for path in bag.iterdir() if path.suffix in (".mcap", ".db3"))
    data.write_bytes(data.read_bytes()[: int(share * data.stat().st_size)])
    return bag


@pytest.mark.parametrize("with_metadata", [True, False])
def test_a_truncated_mcap_gives_a_report_of_what_could_be_read(run, tmp_path, with_metadata):
    bag = write_images(tmp_path / "bag", lambda k: rgb(k, 240, 320), count=90)
    cut(bag, 0.6)
    if not with_metadata:
        (bag / "metadata.yaml").unlink()
    status, report, said = run(bag)
    assert status == 0
    frames = report["streams"][0]["frames"]["recorded"]
    assert 40 <= frames <= 56, "60 % of 90"
    assert any("the bag is damaged" in note and f"{frames} messages could be read" in note for note in report["notes"])
    assert report["bag"]["messages_lost"] == (90 - frames if with_metadata else 0)
    assert report["streams"][0]["summary"]["embeddings"] > 5
    assert "note: " in said and "Traceback" not in said
    page = (tmp_path / "out/report.html").read_text()
    assert "the bag is damaged" in page
    copied = RecordedBag(tmp_path / "out/bag")
    assert copied.notes == [], "the new bag is sound"
    assert sum(count for topic, count in copied.counts.items() if topic.name == "/camera") == frames


def test_an_mcap_cut_in_its_first_bytes_is_refused(run, make_bag, tmp_path):
    assert_refused(run(cut(make_bag(tmp_path / "bag"), 0.002)), "no message can be read", "mcap recover", str(tmp_path / "bag"))


def test_a_truncated_sqlite3_is_refused_or_read_in_part(run, make_bag, tmp_path):
    assert_refused(run(cut(make_bag(tmp_path / "bag", storage="sqlite3"), 0.1)), "cannot be read as a ROS 2 bag", ".recover")


def test_damage_in_the_middle_costs_what_it_hit_and_is_told(run, tmp_path):
    bag = write_images(tmp_path / "bag", lambda k: rgb(k, 240, 320), count=90)
    data = next(bag.glob("*.mcap"))
    content = bytearray(data.read_bytes())
    middle = int(0.7 * len(content))
    content[middle : middle + 400_000] = np.random.default_rng(0).bytes(400_000)
    data.write_bytes(content)
    status, report, said = run(bag)
    assert status == 0 and "Traceback" not in said
    frames = report["streams"][0]["frames"]
    assert 40 < frames["recorded"] <= 90
    assert report["notes"], "the loss is told"


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
def test_missing_metadata_is_no_reason_to_give_up(run, make_bag, tmp_path, storage):
    bag = make_bag(tmp_path / "bag", seconds=5.0, storage=storage)
    (bag / "metadata.yaml").unlink()
    status, report, _ = run(bag)
    assert status == 0 and report["streams"][0]["frames"]["recorded"] == 50
    assert any("metadata.yaml is missing" in note and "ros2 bag reindex" in note for note in report["notes"])


@pytest.mark.parametrize("text", ["rosbag2_bagfile_information: {version: 9", "", "rosbag2_bagfile_information: {version: 99}"])
def test_metadata_that_cannot_be_used_is_left_out(run, make_bag, tmp_path, text):
    bag = make_bag(tmp_path / "bag", seconds=5.0)
    (bag / "metadata.yaml").write_text(text)
    status, report, _ = run(bag)
    assert status == 0 and report["streams"][0]["frames"]["recorded"] == 50
    assert any("metadata.yaml cannot be used" in note for note in report["notes"])


def test_a_storage_file_that_is_gone(run, make_bag, tmp_path):
    bag = make_bag(tmp_path / "bag")
    next(bag.glob("*.mcap")).unlink()
    assert_refused(run(bag), str(bag), "copy the whole bag again")


def test_folders_and_files_that_are_no_bags(run, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "words.txt").write_text("hello")
    (tmp_path / "zero.mcap").write_bytes(b"")
    (tmp_path / "words.mcap").write_text("this is no bag\n" * 50)
    (tmp_path / "words.db3").write_text("this is no bag\n" * 50)
    (tmp_path / "old.bag").write_bytes(b"#ROSBAG V2.0\n")
    for name, says in (
        ("empty", "give the bag's own folder"), ("words.txt", "no ROS 2 bag"), ("gone", "no such bag"),
        ("zero.mcap", "no message"), ("words.mcap", "no message can be read"),
        ("words.db3", "cannot be read"), ("old.bag", "rosbags-convert"),
    ):  # fmt: skip
        assert_refused(run(tmp_path / name), name, says)


def test_a_bag_without_messages(run, make_bag, tmp_path):
    assert_refused(run(make_bag(tmp_path / "bag", seconds=0.0)), str(tmp_path / "bag"), "no message in it")


def test_a_bag_without_cameras_names_what_it_has(run, make_bag, tmp_path):
    assert_refused(run(make_bag(tmp_path / "bag", topics=())), "no sensor_msgs/Image", "/truth/segment (std_msgs/msg/String)")


def test_an_unknown_encoding_everywhere_is_refused_with_its_name(run, tmp_path):
    bag = write_images(tmp_path / "bag", lambda k: (4, 4, "hsv9", 12, bytes(48)))
    assert_refused(run(bag), "none of the 60 images on /camera can be used", "unknown encoding 'hsv9'", str(bag))


def test_images_that_cannot_be_used_are_counted_and_the_others_understood(run, tmp_path):
    def make(k):
        if k % 10 == 3:
            return 24, 32, "hsv9", 96, bytes(24 * 96)
        return (24, 32, "rgb8", 96, bytes(100)) if k % 10 == 7 else rgb(k)

    status, report, said = run(write_images(tmp_path / "bag", make, count=90))
    assert status == 0
    assert report["streams"][0]["frames"]["lost"] == {"data": 9, "encoding": 9}
    assert report["streams"][0]["summary"]["embeddings"] > 20
    assert "18 of 90 images could not be used (data 9, encoding 9)" in said
    assert "18 lost" in (tmp_path / "out/report.html").read_text()


def test_jpegs_that_end_in_the_middle_and_bytes_that_are_no_message(run, tmp_path):
    import cv2

    types = get_typestore(Stores.ROS2_JAZZY)
    kind = "sensor_msgs/msg/CompressedImage"
    jpeg = cv2.imencode(".jpg", np.random.default_rng(0).integers(0, 255, (48, 64, 3), dtype=np.uint8))[1].tobytes()
    with Writer(tmp_path / "bag", version=9, storage_plugin=StoragePlugin.MCAP) as bag:
        camera = bag.add_connection("/camera/compressed", kind, typestore=types)
        for k in range(60):
            at_ns = 1_700_000_000 * NS + k * NS // 15
            header = types.types["std_msgs/msg/Header"](types.types["builtin_interfaces/msg/Time"](*divmod(at_ns, NS)), "")
            data = jpeg[: len(jpeg) // 2] if k == 30 else b"\xff\xd8nothing\xff\xd9" if k == 33 else b"" if k == 36 else jpeg
            message = types.serialize_cdr(types.types[kind](header, "jpeg", np.frombuffer(data, np.uint8)), kind)
            bag.write(camera, at_ns, b"\0\1" if k == 39 else bytes(message))
    status, report, _ = run(tmp_path / "bag")
    assert status == 0
    assert report["streams"][0]["frames"]["lost"] == {"data": 1, "decode": 1, "message": 1, "size": 1}


def foreign(bag, types) -> None:
    """A type of somebody else's, with its definition; and one whose bytes are no such message."""
    theirs = get_typestore(Stores.EMPTY)
    theirs.register(get_types_from_msg("float64 volts\nstring who", "acme_msgs/msg/Battery"))
    battery = bag.add_connection("/battery", "acme_msgs/msg/Battery", typestore=theirs)
    message = theirs.types["acme_msgs/msg/Battery"](12.5, "me")
    bag.write(battery, 1_700_000_000 * NS, theirs.serialize_cdr(message, "acme_msgs/msg/Battery"))
    broken = bag.add_connection("/odd", "acme_msgs/msg/Odd", msgdef="this is [no definition", rihs01="RIHS01_" + "0" * 64)
    bag.write(broken, 1_700_000_000 * NS, b"\0\1\2\3whatever")


def test_foreign_message_types_are_copied_where_they_are_defined_and_else_named(run, tmp_path):
    status, report, said = run(write_images(tmp_path / "bag", rgb, extra=foreign))
    assert status == 0 and "Traceback" not in said
    assert {one["name"] for one in report["bag"]["topics"]} == {"/camera", "/battery", "/odd"}
    assert [note for note in report["notes"] if note.startswith("/odd (acme_msgs/msg/Odd) is not in the new bag")]
    from rosbags.highlevel import AnyReader

    with AnyReader([tmp_path / "out/bag"]) as new:
        assert {"/camera", "/battery"} <= set(new.topics) and "/odd" not in new.topics
        _, _, data = next(new.messages([c for c in new.connections if c.topic == "/battery"]))
        assert new.deserialize(data, "acme_msgs/msg/Battery").volts == 12.5


def test_a_stream_too_short_for_a_clip_is_told_so(run, make_bag, tmp_path):
    status, report, said = run(make_bag(tmp_path / "bag", seconds=0.2))
    assert status == 0 and report["streams"][0]["summary"]["embeddings"] == 0
    assert "too few for a clip" in said and (tmp_path / "out/report.html").exists()


def test_a_driver_without_stamps_is_timed_by_the_recorder(run, make_bag, tmp_path):
    status, report, said = run(make_bag(tmp_path / "bag", seconds=5.0, stamps_s=[0.0] * 50, truth=False))
    assert status == 0 and report["streams"][0]["frames"]["stamps"] == "recorder's"
    assert report["streams"][0]["seconds"] == pytest.approx(4.9) and "the recorder's times stand in" in said


def test_a_picture_that_changes_its_size_is_no_damage(run, tmp_path):
    status, report, _ = run(write_images(tmp_path / "bag", lambda k: rgb(k, 24 + k % 9, 32)))
    assert status == 0 and report["streams"][0]["frames"]["lost"] == {} and report["streams"][0]["summary"]["embeddings"] > 5


@pytest.mark.parametrize("share", np.linspace(0.01, 0.999, 12).round(3).tolist())
def test_wherever_a_file_is_cut_what_is_read_is_a_beginning(make_bag, tmp_path, share):
    whole = RecordedBag(make_bag(tmp_path / "whole", seconds=3.0))
    expected = [(one.topic.name, one.time_ns, one.cdr) for one in whole.messages()]
    try:
        bag = RecordedBag(cut(make_bag(tmp_path / "bag", seconds=3.0), share))
    except SourceError as error:
        assert share < 0.1 and "\n" not in str(error)
        return
    got = [(one.topic.name, one.time_ns, one.cdr) for one in bag.messages()]
    assert got == expected[: len(got)] and len(got) == sum(bag.counts.values())
    assert len(got) >= int(share * len(expected)) - 12 and bag.notes


def test_salvage_reads_a_sound_file_whole(make_bag, tmp_path):
    folder = make_bag(tmp_path / "bag", seconds=2.0)
    salvage = Salvage(next(folder.glob("*.mcap")))
    got = [(channel.topic, time_ns, data) for channel, time_ns, data in salvage.messages()]
    assert got == [(one.topic.name, one.time_ns, one.cdr) for one in RecordedBag(folder).messages()]
    assert salvage.complete
