# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A recorded bag to be read whole, sound or damaged: its topics, their messages as bytes, and what was lost on the way.

Reads by `rosbags` where that can open the bag, and by `salvage` where an mcap file ends in the middle. Knows the types of no
message: a bag full of foreign ones is as good as any, and a topic whose type nobody can define is still a topic.
"""
from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vljepa_ros.evaluation.recorded.salvage import Salvage
from vljepa_ros.evaluation.recorded.serialised import COMPRESSED_IMAGE, IMAGE
from vljepa_ros.evaluation.recorded.types import UNUSUAL, SourceError

STORAGES = (".mcap", ".db3")


@dataclass(frozen=True)
class Topic:
    """One topic of one type."""

    name: str
    msgtype: str
    encoding: str = ""  # of the definition: ros2msg, ros2idl; "" where the bag has none
    definition: str = ""
    digest: str = ""  # RIHS01 hash, where recorded

    @property
    def image(self) -> bool:
        return self.msgtype in (IMAGE, COMPRESSED_IMAGE)


@dataclass(frozen=True)
class Message:
    """One message as recorded. `time_ns` is the recorder's clock."""

    topic: Topic
    time_ns: int
    cdr: bytes


@dataclass
class RecordedBag:
    """`counts`: messages by topic. `notes`: one sentence for everything that is not as it should be, for people."""

    path: Path
    storage: str = ""
    counts: dict[Topic, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    lost: int = 0  # messages that the bag claims to have and that could not be read
    _files: list[Path] = field(default_factory=list)  # what is opened: the folder, or its storage files
    _salvaged: bool = False
    _whole: bool = True  # every file that was salvaged was sound to the end of its data

    def __post_init__(self) -> None:
        """SourceError, in one line with the remedy, where there is nothing to be read."""
        self._find()
        try:
            self._list()
        except Exception as error:  # noqa: BLE001  damage has many exceptions in a bag's libraries
            self._rescue(error)
        if not sum(self.counts.values()):
            raise SourceError(f"{self.path}: no message in it; was the recorder started before its topics were there?")

    def cameras(self) -> list[Topic]:
        """Image topics with messages, those with most first."""
        return sorted((one for one, count in self.counts.items() if one.image and count), key=lambda t: (-self.counts[t], t.name))

    def messages(self, topics: Collection[Topic] | None = None) -> Iterator[Message]:
        """In the order of recording; all topics where none are named. Damage on the way ends it early and is noted."""
        wanted = set(self.counts if topics is None else topics)
        read = 0
        try:
            if self._salvaged:
                yield from (one for one in self._salvage() if one.topic in wanted)
                return
            with self._open() as readers:
                for reader in readers:
                    topics = {one.id: topic for one in reader.connections if (topic := _topic(one)) in wanted}
                    if not topics:
                        continue
                    for connection, time_ns, cdr in reader.messages([one for one in reader.connections if one.id in topics]):
                        read += 1
                        yield Message(topics[connection.id], time_ns, bytes(cdr))
            missing = sum(self.counts[one] for one in wanted) - read
            if missing > 0:
                self._lose(f"{missing} messages that the bag's index names are not in it", missing)
        except GeneratorExit:
            raise
        except Exception as error:  # noqa: BLE001
            missing = sum(self.counts[one] for one in wanted) - read
            self._lose(f"reading stopped after {read} messages, {missing} were not read: {_said(error)}", missing)

    def _find(self) -> None:
        path = self.path
        if not path.exists():
            raise SourceError(f"{path}: no such bag; give a bag's folder, or its .mcap or .db3 file")
        if path.suffix == ".bag":
            raise SourceError(f"{path}: a ROS 1 bag; convert it first: rosbags-convert --src {path.name} --dst {path.stem}")
        if path.is_file():
            if path.suffix not in STORAGES:
                raise SourceError(f"{path}: no ROS 2 bag; give a bag's folder, or its .mcap or .db3 file")
            self._files = [path]
        elif (path / "metadata.yaml").exists():
            self._files = [path]
        else:
            self._files = self._storages()
            if not self._files:
                raise SourceError(f"{path}: no metadata.yaml, .mcap or .db3 file in this folder; give the bag's own folder")
            self._note("metadata.yaml is missing; read without it (`ros2 bag reindex` makes a new one)")

    def _storages(self) -> list[Path]:
        """The folder's own storage files, by the numbers in their names."""
        found = (one for one in self.path.iterdir() if one.suffix in STORAGES and one.is_file())
        return sorted(found, key=lambda one: [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", one.name)])

    def _list(self) -> None:
        counts: dict[Topic, int] = {}
        with self._open() as readers:
            for reader in readers:
                for connection in reader.connections:
                    topic = _topic(connection)
                    counts[topic] = counts.get(topic, 0) + connection.msgcount
        self.counts = counts
        found = self._files if self._files[0].is_file() else self._storages()
        self.storage = "mcap" if any(one.suffix == ".mcap" for one in found) else "sqlite3"

    def _rescue(self, error: Exception) -> None:
        """After a refusal: without metadata where that is at fault, else what can be salvaged. SourceError where nothing can."""
        if self._files == [self.path] and self.path.is_dir():
            self._files = self._storages()
            if not self._files:
                raise SourceError(f"{self.path}: metadata.yaml names files that are missing; copy the whole bag again") from None
            try:
                self._list()
                self._note(f"metadata.yaml cannot be used and was left out: {_said(error)} (`ros2 bag reindex` makes a new one)")
                return
            except Exception as another:  # noqa: BLE001
                error = another
        if not any(one.suffix == ".mcap" for one in self._files):
            raise SourceError(
                f"{self.path}: cannot be read as a ROS 2 bag ({_said(error)}); sqlite3's `.recover` helps with damaged .db3 files"
            ) from None
        self._salvaged, self.storage = True, "mcap"
        for one in self._salvage():
            self.counts[one.topic] = self.counts.get(one.topic, 0) + 1
        read = sum(self.counts.values())
        if not read:
            raise SourceError(
                f"{self.path}: no message can be read from it ({_said(error)}); `mcap recover` may find more in the file"
            ) from None
        self.lost = max(0, self._claimed() - read)
        if self._whole and not self.lost:
            self._note(f"read from front to back, without the file's index: {_said(error)}")
            return
        lost = f", {self.lost} fewer than its metadata says" if self.lost else ""
        remedy = "`mcap recover` makes a sound file"
        self._note(f"the bag is damaged ({_said(error)}); {read} messages could be read{lost} ({remedy})")

    def _salvage(self) -> Iterator[Message]:
        topics: dict[tuple[Path, int], Topic] = {}
        for path in self._files:
            if path.suffix != ".mcap":
                continue
            try:
                salvage = Salvage(path)
            except (ValueError, OSError):
                self._whole = False
                continue
            for channel, time_ns, cdr in salvage.messages():
                topic = topics.get((path, channel.id))
                if topic is None:
                    topic = Topic(channel.topic, channel.msgtype, channel.encoding, channel.definition)
                    topics[path, channel.id] = topic
                yield Message(topic, time_ns, cdr)
            self._whole = self._whole and salvage.complete

    def _claimed(self) -> int:
        """Messages that metadata.yaml speaks of; 0 where it does not."""
        import yaml

        try:
            facts = yaml.safe_load((self.path / "metadata.yaml").read_text())
            return int(facts["rosbag2_bagfile_information"]["message_count"])
        except Exception:  # noqa: BLE001
            return 0

    @contextmanager
    def _open(self) -> Iterator[list[Any]]:
        from rosbags.rosbag2 import Reader

        with ExitStack() as stack:
            yield [stack.enter_context(Reader(path)) for path in self._files]

    def _lose(self, sentence: str, messages: int) -> None:
        self._note(sentence)
        self.lost = max(self.lost, messages)

    def _note(self, sentence: str) -> None:
        if sentence not in self.notes:
            self.notes.append(sentence)


def choose(bag: RecordedBag, names: list[str]) -> list[Topic]:
    """Cameras by name, with or without `/compressed`; without names the most usual one. SourceError names what there is."""
    cameras = bag.cameras()
    has = ", ".join(sorted({one.name for one in cameras}))
    if not cameras:
        topics = sorted({f"{one.name} ({one.msgtype})" for one in bag.counts})
        shown = ", ".join(topics[:8]) + (f" and {len(topics) - 8} more" if len(topics) > 8 else "")
        raise SourceError(f"{bag.path}: no sensor_msgs/Image or CompressedImage in it; it has {shown}")
    if not names:
        return [min(cameras, key=lambda one: (any(word in one.name.lower() for word in UNUSUAL), -bag.counts[one], one.name))]
    chosen = []
    for name in dict.fromkeys(names):
        found = [one for one in cameras if one.name == name] or [one for one in cameras if one.name == f"{name}/compressed"]
        if not found:
            raise SourceError(f"{bag.path}: no camera topic {name}; it has {has}")
        chosen.append(found[0])
    return chosen


def _topic(connection: Any) -> Topic:
    encoding = {1: "ros2msg", 2: "ros2idl"}.get(connection.msgdef.format.value, "")
    return Topic(connection.topic, connection.msgtype, encoding, connection.msgdef.data, connection.digest or "")


def _said(error: Exception) -> str:
    """An exception as part of one line."""
    return " ".join(str(error).split()).rstrip(".") or type(error).__name__
