# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Pixels of image messages, whoever made the messages: rclpy's for the nodes, rosbags' for those who read bags. Knows no ROS.

Size, step and encoding are checked before a byte is read. rgb8, bgr8, mono8, rgba8 and bgra8 become views of the message's
memory; every other encoding goes to cv_bridge where it is installed, to rosbags-image where not.
"""
from __future__ import annotations

import logging
import re
from collections.abc import Callable
from functools import cache
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np

log = logging.getLogger(__name__)

VIEWS: dict[str, tuple[int, slice]] = {  # bytes per pixel, and the channels that are red, green, blue
    "rgb8": (3, slice(0, 3)),
    "bgr8": (3, slice(2, None, -1)),
    "mono8": (1, slice(0, 1)),
    "rgba8": (4, slice(0, 3)),
    "bgra8": (4, slice(2, None, -1)),
}
DELEGATED: dict[str, int] = {  # bytes per pixel of what a converter turns into RGB
    "mono16": 2, "rgb16": 6, "bgr16": 6, "rgba16": 8, "bgra16": 8, "yuv422": 2, "uyvy": 2, "yuv422_yuy2": 2, "yuyv": 2,
    **{f"bayer_{pattern}{bits}": bits // 8 for pattern in ("rggb", "bggr", "gbrg", "grbg") for bits in (8, 16)},
}
GENERIC = re.compile(r"(8U|8S|16U|16S|32S|32F|64F)(C\d+)?")  # OpenCV's types: they count channels and do not name colours
MAX_SIDE = 32768  # pixels; beyond it a header is broken, not a camera large


class BadImage(ValueError):
    """An image that cannot be used. `cause` is one of size, step, data, encoding, decode: what diagnostics count it under."""

    def __init__(self, cause: str, message: str) -> None:
        super().__init__(message)
        self.cause = cause


def image_HWC(message: Any) -> np.ndarray:
    """RGB uint8 (H, W, 3) of a sensor_msgs/Image, read-only by convention; a view where the encoding allows. Raises BadImage."""
    bytes_N, pixel_bytes = check_image(message)
    height, width, step, encoding = int(message.height), int(message.width), int(message.step), str(message.encoding)
    if encoding not in VIEWS:
        return _converted(message, np.ndarray((height, width * pixel_bytes), np.uint8, bytes_N, strides=(step, 1)))
    pixels_HWC = np.ndarray((height, width, pixel_bytes), np.uint8, bytes_N, strides=(step, pixel_bytes, 1))
    if pixel_bytes == 1:
        return np.broadcast_to(pixels_HWC, (height, width, 3))
    return pixels_HWC[..., VIEWS[encoding][1]]


def check_image(message: Any) -> tuple[np.ndarray, int]:
    """The message's bytes as a view, and how many make a pixel, where the two fit its size. Raises BadImage; converts nothing."""
    height, width, step, encoding = int(message.height), int(message.width), int(message.step), str(message.encoding)
    if not 0 < height <= MAX_SIDE or not 0 < width <= MAX_SIDE:
        raise BadImage("size", f"image of {width} x {height} pixels; both sides must be 1 to {MAX_SIDE}")
    if encoding not in VIEWS and encoding not in DELEGATED:
        raise BadImage("encoding", _refusal(encoding))
    pixel_bytes = VIEWS[encoding][0] if encoding in VIEWS else DELEGATED[encoding]
    if step < width * pixel_bytes:
        raise BadImage("step", f"step of {step} bytes is too small: {width} pixels of {encoding} take {width * pixel_bytes}")
    bytes_N = np.frombuffer(message.data, np.uint8)
    whole = height * step
    if len(bytes_N) > whole:
        raise BadImage("step", f"step of {step} bytes is too small: {height} rows make {whole}, the data has {len(bytes_N)}")
    if len(bytes_N) not in (whole, whole - step + width * pixel_bytes):  # the last row may come without its padding
        raise BadImage("data", f"data of {len(bytes_N)} bytes is too short: {height} rows of {step} make {whole}")
    return bytes_N, pixel_bytes


def compressed_image_HWC(message: Any) -> np.ndarray:
    """RGB uint8 (H, W, 3) of a sensor_msgs/CompressedImage (JPEG, PNG and what else OpenCV reads). Raises BadImage."""
    data, kind = check_compressed_image(message), str(message.format)
    try:
        image_BGR = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    except cv2.error as error:
        raise BadImage("decode", f"compressed image ({kind!r}, {len(data)} bytes): {error.err}") from None
    if image_BGR is None:
        raise BadImage("decode", f"compressed image ({kind!r}, {len(data)} bytes) is in no format that OpenCV reads")
    return image_BGR[..., ::-1]


def check_compressed_image(message: Any) -> bytes:
    """The message's bytes, where they look like a whole picture of colours. Raises BadImage; decodes nothing."""
    data, kind = bytes(message.data), str(message.format)
    if not data:
        raise BadImage("size", f"compressed image ({kind!r}) without data")
    if "compresseddepth" in kind.lower():
        raise BadImage("encoding", f"format {kind!r} is a depth image; subscribe to the colour camera")
    if data.startswith(b"\xff\xd8") and b"\xff\xd9" not in data[-65536:]:  # libjpeg would fill what is missing with grey
        raise BadImage("data", f"JPEG of {len(data)} bytes ends in the middle of the picture")
    return data


def _refusal(encoding: str) -> str:
    if GENERIC.fullmatch(encoding):
        return f"encoding {encoding!r} names no colours: a depth camera, or a driver that should say rgb8, bgr8 or mono8"
    return f"unknown encoding {encoding!r}; known are {', '.join([*VIEWS, *DELEGATED])}"


def _converted(message: Any, rows_HX: np.ndarray) -> np.ndarray:
    """What a converter makes of the message; `rows_HX` are its bytes, row by row, without padding."""
    height, width, encoding = int(message.height), int(message.width), str(message.encoding)
    try:
        image = converter()(message, rows_HX)
    except BadImage:
        raise
    except Exception as error:  # two libraries with exceptions of a dozen kinds; all mean that this image is of no use
        raise BadImage("encoding", f"{encoding!r} of {width} x {height} pixels: {' '.join(str(error).split())}") from None
    if image.shape != (height, width, 3) or image.dtype != np.uint8:
        raise BadImage("encoding", f"{encoding!r} of {width} x {height} pixels became {image.dtype} {image.shape} instead of RGB")
    return image


@cache
def converter() -> Callable[[Any, np.ndarray], np.ndarray]:
    """The best converter on this machine; looked for once."""
    for make in (cv_bridge_converter, rosbags_converter):
        try:
            return make()
        except Exception as error:  # a cv_bridge built for another numpy fails in ways of its own
            log.debug("%s: %s", make.__name__, error)
    return _no_converter


def cv_bridge_converter() -> Callable[[Any, np.ndarray], np.ndarray]:
    from cv_bridge import CvBridge

    bridge = CvBridge()
    return lambda message, rows_HX: bridge.imgmsg_to_cv2(message, desired_encoding="rgb8")


def rosbags_converter() -> Callable[[Any, np.ndarray], np.ndarray]:
    """rosbags-image reads the pixels as if rows had no padding, so it gets them without."""
    from rosbags.image import image_to_cvimage

    def convert(message: Any, rows_HX: np.ndarray) -> np.ndarray:
        packed = SimpleNamespace(
            height=message.height, width=message.width, encoding=message.encoding, is_bigendian=bool(message.is_bigendian),
            data=np.ascontiguousarray(rows_HX),
        )
        return image_to_cvimage(packed, "rgb8")

    return convert


def _no_converter(message: Any, rows_HX: np.ndarray) -> np.ndarray:
    raise BadImage("encoding", f"encoding {message.encoding!r} needs cv_bridge (apt) or rosbags-image (pip); neither is there")
