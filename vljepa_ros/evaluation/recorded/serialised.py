# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Camera messages as the bytes that travel (CDR): stamped anew or made from pixels, without rclpy and without decoding them.

`sensor_msgs/Image` and `sensor_msgs/CompressedImage` both begin with a header, whose stamp lies right behind the four bytes that
say how the rest is encoded. So a recorded frame is restamped by replacing eight bytes, and its JPEG is not touched.
"""
from __future__ import annotations

import struct
from functools import cache

import numpy as np

NS = 1_000_000_000
IMAGE = "sensor_msgs/msg/Image"
COMPRESSED_IMAGE = "sensor_msgs/msg/CompressedImage"

_STAMP = slice(4, 12)  # int32 seconds, uint32 nanoseconds


def stamp_of(cdr: bytes) -> int:
    """Header stamp in nanoseconds. ValueError where the bytes are too short to hold one."""
    seconds, nanoseconds = struct.unpack(_stamp_format(cdr), cdr[_STAMP])
    return seconds * NS + nanoseconds


def restamped(cdr: bytes, stamp_ns: int) -> bytes:
    """The same message with another header stamp. ValueError for too few bytes or a stamp that ROS cannot hold."""
    if not 0 <= stamp_ns < 2**31 * NS:
        raise ValueError(f"a ROS stamp lies between 0 and 2^31 s, got {stamp_ns} ns")
    return cdr[:4] + struct.pack(_stamp_format(cdr), *divmod(stamp_ns, NS)) + cdr[12:]


def image_cdr(image_HWC: np.ndarray, encoding: str, stamp_ns: int, frame_id: str = "camera") -> bytes:
    """A `sensor_msgs/Image` of uint8 pixels (height, width, channels)."""
    types = _typestore()
    seconds, nanoseconds = divmod(stamp_ns, NS)
    height, width, channels = image_HWC.shape
    message = types.types[IMAGE](
        header=types.types["std_msgs/msg/Header"](types.types["builtin_interfaces/msg/Time"](seconds, nanoseconds), frame_id),
        height=height,
        width=width,
        encoding=encoding,
        is_bigendian=0,
        step=width * channels,
        data=np.ascontiguousarray(image_HWC).reshape(-1),
    )
    return bytes(types.serialize_cdr(message, IMAGE))


def picture(cdr: bytes, compressed: bool) -> np.ndarray | None:
    """The frame as uint8 RGB (height, width, 3); None where it cannot be shown: nodes count such frames, pictures do without."""
    from rosbags.image import message_to_cvimage

    try:
        return np.asarray(
            message_to_cvimage(_typestore().deserialize_cdr(cdr, COMPRESSED_IMAGE if compressed else IMAGE), "rgb8")
        )
    except Exception:  # noqa: BLE001  a damaged frame makes its decoder raise whatever it likes
        return None


def _stamp_format(cdr: bytes) -> str:
    if len(cdr) < 12:
        raise ValueError(f"a camera message has at least 12 bytes, got {len(cdr)}")
    return "<iI" if cdr[1] & 1 else ">iI"


@cache
def _typestore():
    from rosbags.typesys import Stores, get_typestore

    return get_typestore(Stores.ROS2_JAZZY)
