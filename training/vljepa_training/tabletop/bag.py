# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A stream of the tabletop world as a ROS 2 bag: what the camera saw, and the truth beside it.

    /camera/image_raw/compressed   sensor_msgs/CompressedImage, JPEG (or /camera/image_raw, sensor_msgs/Image rgb8, with `raw`)
    /truth/segment                 std_msgs/String, JSON {segment, start_ns, event, caption, state}, recorded at the boundary's
    own time

Stamps begin at a fixed moment, so the same seed gives the same bytes of every message. Needs no ROS: `rosbags` writes mcap and
sqlite3.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

NS = 1_000_000_000
START_NS = 1_700_000_000 * NS
CAMERA_TOPIC = "/camera/image_raw"
TRUTH_TOPIC = "/truth/segment"


class StreamLike(Protocol):
    """What `tabletop.stream.Stream` gives; anything with the same attributes can be recorded."""

    seconds: float
    segments: list  # of Segment(start_s, event, caption, state)

    def frames(self, fps: float, width: int, height: int) -> Iterator[tuple[float, np.ndarray]]: ...


@dataclass(frozen=True)
class BagOptions:
    """How a stream is recorded. Size in pixels; quality as JPEG counts it, 1 to 100."""

    fps: float = 15.0
    width: int = 640
    height: int = 480
    raw: bool = False
    quality: int = 85
    storage: str = "mcap"

    def __post_init__(self) -> None:
        if not 0 < self.fps <= 240:
            raise ValueError(f"fps must be above 0 and at most 240, got {self.fps}")
        if not (16 <= self.width <= 4096 and 16 <= self.height <= 4096):
            raise ValueError(f"size must be from 16x16 to 4096x4096, got {self.width}x{self.height}")
        if not 1 <= self.quality <= 100:
            raise ValueError(f"quality must be from 1 to 100, got {self.quality}")
        if self.storage not in ("mcap", "sqlite3"):
            raise ValueError(f"storage must be mcap or sqlite3, got {self.storage}")


def write_bag(stream: StreamLike, folder: Path, options: BagOptions = BagOptions(), progress: bool = False) -> int:
    """Record `stream` into a new bag `folder`; returns the number of frames. FileExistsError where the folder is there already.

    An interrupted recording leaves nothing behind.
    """
    import shutil

    from rosbags.rosbag2 import StoragePlugin, Writer
    from rosbags.typesys import Stores, get_typestore
    from tqdm import tqdm

    if folder.exists():
        raise FileExistsError(f"{folder} exists already; choose another name or remove it")
    types = get_typestore(Stores.ROS2_JAZZY)
    topic, msgtype, serialise = _camera(types, options)
    truth = iter(stream.segments)
    upcoming = next(truth, None)
    index = written = 0
    plugin = StoragePlugin.MCAP if options.storage == "mcap" else StoragePlugin.SQLITE3
    try:
        with Writer(folder, version=9, storage_plugin=plugin) as bag:
            camera = bag.add_connection(topic, msgtype, typestore=types)
            words = bag.add_connection(TRUTH_TOPIC, "std_msgs/msg/String", typestore=types)
            frames = stream.frames(fps=options.fps, width=options.width, height=options.height)
            for t_s, image_HWC in tqdm(frames, total=int(stream.seconds * options.fps), unit="frame", disable=not progress):
                while upcoming is not None and upcoming.start_s <= t_s:
                    bag.write(
                        words, _ns(upcoming.start_s), types.serialize_cdr(_truth(types, index, upcoming), "std_msgs/msg/String")
                    )
                    index, upcoming = index + 1, next(truth, None)
                bag.write(camera, _ns(t_s), serialise(_ns(t_s), image_HWC))
                written += 1
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return written


def _ns(t_s: float) -> int:
    return START_NS + round(t_s * NS)


def _truth(types, index: int, segment):
    facts = {
        "segment": index,
        "start_ns": _ns(segment.start_s),
        "event": segment.event,
        "caption": segment.caption,
        "state": segment.state,
    }
    return types.types["std_msgs/msg/String"](json.dumps(facts))


def _camera(types, options: BagOptions):
    """(topic, message type, function of stamp and RGB image to serialised message)."""
    import cv2

    def header(stamp_ns: int):
        return types.types["std_msgs/msg/Header"](types.types["builtin_interfaces/msg/Time"](*divmod(stamp_ns, NS)), "camera")

    def raw(stamp_ns: int, image_HWC: np.ndarray):
        height, width, channels = image_HWC.shape
        message = types.types["sensor_msgs/msg/Image"](
            header=header(stamp_ns),
            height=height,
            width=width,
            encoding="rgb8",
            is_bigendian=0,
            step=width * channels,
            data=np.ascontiguousarray(image_HWC).reshape(-1),
        )
        return types.serialize_cdr(message, "sensor_msgs/msg/Image")

    def jpeg(stamp_ns: int, image_HWC: np.ndarray):
        ok, data = cv2.imencode(
            ".jpg", image_HWC[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, options.quality, cv2.IMWRITE_JPEG_OPTIMIZE, 1]
        )
        if not ok:
            raise ValueError(f"JPEG encoding failed for an image of shape {image_HWC.shape}")
        message = types.types["sensor_msgs/msg/CompressedImage"](header=header(stamp_ns), format="jpeg", data=data.reshape(-1))
        return types.serialize_cdr(message, "sensor_msgs/msg/CompressedImage")

    if options.raw:
        return CAMERA_TOPIC, "sensor_msgs/msg/Image", raw
    return f"{CAMERA_TOPIC}/compressed", "sensor_msgs/msg/CompressedImage", jpeg


def add_arguments(parser) -> None:
    """The options of `python -m vljepa_training.tabletop bag`."""
    parser.add_argument("out", type=Path, metavar="OUT", help="folder of the new bag")
    parser.add_argument("--seed", type=int, required=True, help="same seed, same stream")
    parser.add_argument("--seconds", type=float, required=True, help="length of the stream")
    parser.add_argument("--fps", type=float, default=BagOptions.fps)
    parser.add_argument("--size", type=_size, default=(BagOptions.width, BagOptions.height), metavar="640x480")
    parser.add_argument("--raw", action="store_true", help="sensor_msgs/Image instead of JPEG")
    parser.add_argument("--quality", type=int, default=BagOptions.quality, help="of the JPEG, 1 to 100")
    parser.add_argument("--storage", choices=("mcap", "sqlite3"), default=BagOptions.storage)
    parser.add_argument("--split", default="eval", help="which of the world's looks: eval ones were never trained on")
    parser.add_argument(
        "--gap", type=float, nargs=2, default=(2.0, 10.0), metavar=("MIN", "MAX"), help="seconds between two events"
    )
    parser.add_argument("--still", action="store_true", help="a scene in which nothing happens")
    parser.set_defaults(run=run)


def run(args) -> int:
    """Write the bag that the options ask for."""
    from vljepa_training.tabletop.stream import Stream

    width, height = args.size
    options = BagOptions(args.fps, width, height, args.raw, args.quality, args.storage)
    stream = Stream(args.seed, args.seconds, gap_s=tuple(args.gap), split=args.split, events=not args.still)
    written = write_bag(stream, args.out, options, progress=True)
    megabytes = sum(file.stat().st_size for file in args.out.iterdir()) / 1e6
    print(f"{args.out}: {written} frames, {len(stream.segments) - 1} boundaries, {megabytes:.1f} MB")
    return 0


def _size(text: str) -> tuple[int, int]:
    from argparse import ArgumentTypeError

    try:
        width, height = (int(part) for part in text.split("x"))
    except ValueError:
        raise ArgumentTypeError(f"a size is WIDTHxHEIGHT, got {text!r}") from None
    return width, height
