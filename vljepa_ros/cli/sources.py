# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Where camera frames come from: a ROS 2 bag, a video file or a camera device, behind one interface.

    source = open_source("drive.mcap")     # SourceError, in one line, for whatever cannot be played
    for message in source.messages(): ...  # serialised frames with their times, in the source's own clock
    for frame in source.frames(): ...      # the same frames as pixels, for pictures and pixel statistics

Knows nothing of rclpy: the player publishes, this only reads.
"""
from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from vljepa_ros.evaluation.recorded.serialised import NS, image_cdr
from vljepa_ros.evaluation.recorded.types import SourceError, TrueSegment

if TYPE_CHECKING:  # the player, which only passes bytes on, does without what the streaming core brings along
    from vljepa_ros.streaming.types import Frame

WHAT = "a ROS 2 bag (folder, .mcap or .db3), a video file or a camera (0 or /dev/video0)"
USUAL_FPS = 25.0  # where a video file does not say


@dataclass(frozen=True)
class CameraMessage:
    """One serialised frame. Both times are nanoseconds of the source's clock."""

    stamp_ns: int  # when it was seen
    due_ns: int  # when it came out of the camera's driver: the time to publish it at
    cdr: bytes  # sensor_msgs/Image, or CompressedImage where the source is compressed


class Source(Protocol):
    """Anything that gives camera frames in order."""

    name: str  # for people
    compressed: bool  # type of the messages
    live: bool  # a device: its stamps are of this machine's clock, it cannot be read twice and has no end
    seconds: float | None  # how long it lasts, where known
    truth: list[TrueSegment]

    def messages(self) -> Iterator[CameraMessage]: ...

    def frames(self) -> Iterator[Frame]: ...


def open_source(where: str, topic: str | None = None) -> Source:
    """A path of a bag or video, or a camera (`0`, `/dev/video0`). `topic` chooses among a bag's cameras. Raises SourceError."""
    if re.fullmatch(r"\d+|/dev/video\d+", where):
        return CameraSource(where)
    path = Path(where).expanduser()
    if not path.exists():
        raise SourceError(
            f"{where}: no such file; give {WHAT}"
        )
    if path.is_dir() or path.suffix in {".mcap", ".db3"}:
        from vljepa_ros.cli.bags import BagSource

        return BagSource(path, topic)
    if path.suffix == ".bag":
        raise SourceError(f"{where}: a ROS 1 bag; convert it first: rosbags-convert --src {path.name} --dst {path.stem}")
    return VideoSource(path)


@dataclass
class VideoSource:
    """A video file. Its stamps count from zero at the file's own rate."""

    path: Path
    name: str = ""
    compressed: bool = False
    live: bool = False
    seconds: float | None = None
    truth: list[TrueSegment] = field(default_factory=list)

    def __post_init__(self) -> None:
        import cv2

        self.name = self.name or f"video {self.path.name}"
        with _capture(str(self.path)) as video:
            fps, count = video.get(cv2.CAP_PROP_FPS), video.get(cv2.CAP_PROP_FRAME_COUNT)
            if not video.read()[0]:
                raise SourceError(
                    f"{self.path}: not a video that OpenCV can decode, or damaged; ffmpeg -i {self.path.name} out.mp4 may mend it"
                )
        self.fps = fps if 0 < fps <= 1000 else USUAL_FPS
        self.seconds = count / self.fps if count > 0 else None

    def messages(self) -> Iterator[CameraMessage]:
        for stamp_ns, image_bgr in self._images():
            yield CameraMessage(stamp_ns, stamp_ns, image_cdr(image_bgr, "bgr8", stamp_ns))

    def frames(self) -> Iterator[Frame]:
        from vljepa_ros.streaming.types import Frame

        for stamp_ns, image_bgr in self._images():
            yield Frame(stamp_ns, image_bgr[..., ::-1], "camera")

    def _images(self):
        with _capture(str(self.path)) as video:
            k = 0
            while (read := video.read())[0]:
                yield round(k * NS / self.fps), read[1]
                k += 1


@dataclass
class CameraSource:
    """A camera device. Frames are stamped when they are read."""

    device: str
    name: str = ""
    compressed: bool = False
    live: bool = True
    seconds: float | None = None
    truth: list[TrueSegment] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.name = self.name or f"camera {self.device}"
        index = re.search(r"\d+$", self.device).group()
        self.path = f"/dev/video{index}"
        if not Path(self.path).exists():
            raise SourceError(f"{self.path}: no such camera; `ls /dev/video*` shows those there are")
        if not os.access(self.path, os.R_OK | os.W_OK):
            raise SourceError(f"{self.path}: no permission; add yourself to the group `video`")

    def messages(self) -> Iterator[CameraMessage]:
        with _capture(self.path) as camera:
            while (read := camera.read())[0]:
                stamp_ns = time.time_ns()
                yield CameraMessage(stamp_ns, stamp_ns, image_cdr(read[1], "bgr8", stamp_ns))
        raise SourceError(f"{self.path}: the camera gives no frames (unplugged, or in use by another program)")

    def frames(self) -> Iterator[Frame]:
        return iter(())  # what a camera saw is gone


@contextmanager
def _capture(where: str):
    """An open cv2.VideoCapture, quiet about what it cannot decode. SourceError where it does not open."""
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    os.environ.setdefault("OPENCV_LOG_LEVEL", "OFF")
    import cv2

    capture = cv2.VideoCapture(where)
    try:
        if not capture.isOpened():
            raise SourceError(
                f"{where}: OpenCV cannot open it; give {WHAT}"
            )
        yield capture
    finally:
        capture.release()
