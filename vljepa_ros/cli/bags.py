# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A ROS 2 bag (mcap or sqlite3) as a source: picks the camera topic, hands its messages on untouched.

The truth, where it is recorded, comes with it.

A bag is played by the times at which its messages were recorded. Frames keep the shape of their own stamps, faults included;
where the camera did not stamp (zero), the recording times stand in.
"""
from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from vljepa_ros.cli.sources import CameraMessage, SourceError, TrueSegment
from vljepa_ros.evaluation.recorded.serialised import COMPRESSED_IMAGE, IMAGE, NS, picture, stamp_of
from vljepa_ros.evaluation.recorded.types import TRUTH_TOPIC, UNUSUAL

if TYPE_CHECKING:
    from vljepa_ros.streaming.types import Frame


class BagSource:
    """`topic`: which camera, by name; None: the most usual one. SourceError for everything that keeps it from being played."""

    live = False

    def __init__(self, path: Path, topic: str | None = None) -> None:
        self.path = path
        with self._open() as reader:
            self.topic, msgtype = self._choose(reader, topic)
            self.compressed = msgtype == COMPRESSED_IMAGE
            self.seconds: float | None = (reader.end_time - reader.start_time) / NS
            self.truth = self._read_truth(reader)
        self.name = f"bag {path.name} · {self.topic}"

    def messages(self) -> Iterator[CameraMessage]:
        stamped: bool | None = None
        with self._open() as reader:
            for _, due_ns, cdr in reader.messages(connections=self._connections(reader)):
                try:
                    stamp_ns = stamp_of(cdr)
                except ValueError as error:
                    raise SourceError(f"{self.path}: {self.topic} at {due_ns} ns: {error}") from None
                if stamped is None:
                    stamped = stamp_ns != 0
                yield CameraMessage(stamp_ns if stamped else due_ns, due_ns, cdr)

    def frames(self) -> Iterator[Frame]:
        """Frames that cannot be shown as RGB are left out."""
        from vljepa_ros.streaming.types import Frame

        for message in self.messages():
            image_HWC = picture(message.cdr, self.compressed)
            if image_HWC is not None:
                yield Frame(message.stamp_ns, image_HWC, "camera")

    def _choose(self, reader, topic: str | None) -> tuple[str, str]:
        cameras = {c.topic: c for c in reader.connections if c.msgtype in (IMAGE, COMPRESSED_IMAGE) and c.msgcount}
        if topic is not None:
            if topic not in cameras:
                raise SourceError(f"{self.path}: no camera topic {topic}; it has {', '.join(sorted(cameras)) or 'none'}")
            return topic, cameras[topic].msgtype
        if not cameras:
            raise SourceError(f"{self.path}: no sensor_msgs/Image or CompressedImage in it; it has {_topics(reader)}")

        def usual(name: str) -> tuple:
            camera = cameras[name]
            return any(word in name.lower() for word in UNUSUAL), -camera.msgcount, camera.msgtype == IMAGE, name

        best = min(cameras, key=usual)
        return best, cameras[best].msgtype

    def _connections(self, reader) -> list:
        return [c for c in reader.connections if c.topic == self.topic and c.msgtype in (IMAGE, COMPRESSED_IMAGE)]

    def _read_truth(self, reader) -> list[TrueSegment]:
        connections = [c for c in reader.connections if c.topic == TRUTH_TOPIC and c.msgtype == "std_msgs/msg/String"]
        if not connections:
            return []
        segments = []
        for connection, _, cdr in reader.messages(connections=connections):
            try:
                one = json.loads(reader.deserialize(cdr, connection.msgtype).data)
                segments.append(
                    TrueSegment(int(one["start_ns"]), str(one["event"]), str(one["caption"]), str(one.get("state", "")))
                )
            except (ValueError, KeyError, TypeError) as error:
                raise SourceError(f"{self.path}: {TRUTH_TOPIC} holds no segment as JSON ({error})") from None
        return sorted(segments, key=lambda segment: segment.start_ns)

    @contextmanager
    def _open(self):
        """An open reader; whatever goes wrong inside becomes a SourceError. Damage has many exceptions in a bag's libraries."""
        from rosbags.highlevel import AnyReader
        from rosbags.typesys import Stores, get_typestore

        try:
            with AnyReader([self.path], default_typestore=get_typestore(Stores.ROS2_JAZZY)) as reader:
                if not reader.message_count:
                    raise SourceError(f"{self.path}: the bag is empty")
                yield reader
        except (SourceError, GeneratorExit):
            raise
        except FileNotFoundError:
            raise SourceError(
                f"{self.path}: no metadata.yaml in this folder; give the bag's own folder, or its .mcap or .db3 file"
            ) from None
        except Exception as error:  # noqa: BLE001
            what = " ".join(str(error).split()) or type(error).__name__
            raise SourceError(
                f"{self.path}: cannot be read as a ROS 2 bag ({what}); `ros2 bag info` and `mcap recover` help with damaged ones"
            ) from None


def _topics(reader) -> str:
    names = sorted({f"{c.topic} ({c.msgtype})" for c in reader.connections})
    return ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "") or "no topics"
