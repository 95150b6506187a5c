# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Every encoding, every way an image can be wrong, and messages there and back."""
from __future__ import annotations

from array import array

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sensor_msgs.msg import CompressedImage, Image

from vljepa_ros.nodes import conversions
from vljepa_ros.nodes.conversions import BadImage, BadVector
from vljepa_ros.streaming import DecodedText, DecodeRequest, Embedding, Transition, Trigger, images

RGB = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)
ALPHA = np.full((6, 8, 1), 7, np.uint8)
GREY = RGB[..., :1]
STAMP_NS = 1_700_000_000_123_456_789


def message(pixels: np.ndarray, encoding: str, padding: int = 0, **fields) -> Image:
    height, width = pixels.shape[:2]
    rows = np.ascontiguousarray(pixels).view(np.uint8).reshape(height, -1)
    rows = np.pad(rows, ((0, 0), (0, padding)), constant_values=255)
    values = {"height": height, "width": width, "encoding": encoding, "step": rows.shape[1], "data": array("B", rows.tobytes())}
    return Image(**(values | fields))


VIEWED = {
    "rgb8": (RGB, RGB),
    "bgr8": (RGB[..., ::-1], RGB),
    "mono8": (GREY, np.repeat(GREY, 3, axis=2)),
    "rgba8": (np.concatenate([RGB, ALPHA], 2), RGB),
    "bgra8": (np.concatenate([RGB[..., ::-1], ALPHA], 2), RGB),
}


@pytest.mark.parametrize("padding", [0, 5])
@pytest.mark.parametrize("encoding", VIEWED)
def test_common_encodings_are_views(encoding: str, padding: int) -> None:
    pixels, expected = VIEWED[encoding]
    image = message(pixels, encoding, padding)
    frame = conversions.frame_from_image(image)
    np.testing.assert_array_equal(frame.image_HWC, expected)
    assert np.shares_memory(frame.image_HWC, np.frombuffer(image.data, np.uint8)), "a copy was made"


@pytest.mark.parametrize("encoding", VIEWED)
def test_last_row_may_come_without_its_padding(encoding: str) -> None:
    pixels, expected = VIEWED[encoding]
    image = message(pixels, encoding, padding=5)
    image.data = image.data[:-5]
    np.testing.assert_array_equal(conversions.frame_from_image(image).image_HWC, expected)


def flat(channels: int, dtype: type, *values: int) -> np.ndarray:
    return np.broadcast_to(np.array(values, dtype), (6, 8, channels)).copy()


def bayer(pattern: str, colour: tuple[int, int, int], dtype: type) -> np.ndarray:
    """What a sensor with that filter sees of one flat colour."""
    tile = np.array([colour["rgb".index(one)] for one in pattern], dtype).reshape(2, 2)
    return np.tile(tile, (3, 4))[..., None]


DELEGATED = {
    "mono16": (flat(1, np.uint16, 200 * 257), (200, 200, 200)),
    "rgb16": (flat(3, np.uint16, 10 * 257, 20 * 257, 30 * 257), (10, 20, 30)),
    "bgr16": (flat(3, np.uint16, 30 * 257, 20 * 257, 10 * 257), (10, 20, 30)),
    "rgba16": (flat(4, np.uint16, 10 * 257, 20 * 257, 30 * 257, 0), (10, 20, 30)),
    "bgra16": (flat(4, np.uint16, 30 * 257, 20 * 257, 10 * 257, 0), (10, 20, 30)),
    "yuv422": (np.tile(np.array([[84, 76], [255, 76]], np.uint8), (6, 4, 1)), (254, 0, 0)),  # U Y V Y of red
    "uyvy": (np.tile(np.array([[84, 76], [255, 76]], np.uint8), (6, 4, 1)), (254, 0, 0)),
    "yuv422_yuy2": (np.tile(np.array([[76, 84], [76, 255]], np.uint8), (6, 4, 1)), (254, 0, 0)),
    "yuyv": (np.tile(np.array([[76, 84], [76, 255]], np.uint8), (6, 4, 1)), (254, 0, 0)),
    **{f"bayer_{p}8": (bayer(p, (250, 120, 10), np.uint8), (250, 120, 10)) for p in ("rggb", "bggr", "gbrg", "grbg")},
    **{
        f"bayer_{p}16": (bayer(p, (250 * 257, 120 * 257, 10 * 257), np.uint16), (250, 120, 10))
        for p in ("rggb", "bggr", "gbrg", "grbg")
    },
}


def test_every_delegated_encoding_is_tested() -> None:
    assert set(DELEGATED) == set(images.DELEGATED)


@pytest.mark.parametrize("padding", [0, 6])
@pytest.mark.parametrize("encoding", DELEGATED)
def test_other_encodings_are_converted(encoding: str, padding: int) -> None:
    pixels, colour = DELEGATED[encoding]
    image = conversions.frame_from_image(message(pixels, encoding, padding)).image_HWC
    assert image.shape == (6, 8, 3) and image.dtype == np.uint8
    centre = image[2:4, 2:6].astype(int)  # a border pixel of a Bayer picture is guessed
    tolerance = 20 if "yu" in encoding else 1  # YUV of limited range
    assert np.abs(centre - colour).max() <= tolerance, centre[0, 0]


def test_big_endian_pixels() -> None:
    pixels = flat(1, np.dtype(">u2"), 200 * 257)
    image = conversions.frame_from_image(message(pixels, "mono16", is_bigendian=1))
    assert abs(int(image.image_HWC[0, 0, 0]) - 200) <= 1


def test_both_converters_agree() -> None:
    try:
        bridge = images.cv_bridge_converter()
    except Exception as error:
        pytest.skip(f"cv_bridge is not here to be held against rosbags-image ({error}); it comes with a system ROS 2")
    for encoding, (pixels, _) in DELEGATED.items():
        image = message(pixels, encoding)
        rows = np.frombuffer(image.data, np.uint8).reshape(image.height, image.step)
        difference = bridge(image, rows)[1:-1, 1:-1].astype(int) - images.rosbags_converter()(image, rows)[1:-1, 1:-1]
        assert np.abs(difference).max() <= 1, encoding


BAD = {
    "zero height": ("size", dict(height=0)),
    "zero width": ("size", dict(width=0)),
    "absurd width": ("size", dict(width=4_000_000_000)),
    "step of zero": ("step", dict(step=0)),
    "step below the row": ("step", dict(step=23)),
    "rows narrower than their step says": ("step", dict(step=24, width=7, height=5)),
    "step above the row": ("data", dict(step=48)),
    "step beyond all bounds": ("data", dict(step=4_000_000_000)),
    "no data": ("data", dict(data=array("B"))),
    "short data": ("data", dict(data=array("B", bytes(6 * 24 - 1)))),
    "no encoding": ("encoding", dict(encoding="")),
    "unknown encoding": ("encoding", dict(encoding="cmyk8")),
    "depth": ("encoding", dict(encoding="32FC1", step=32, data=array("B", bytes(6 * 32)))),
    "channels without colours": ("encoding", dict(encoding="8UC3")),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_images_say_what_is_wrong(name: str) -> None:
    cause, fields = BAD[name]
    with pytest.raises(BadImage) as raised:
        conversions.frame_from_image(message(RGB, **({"encoding": "rgb8"} | fields)))
    assert raised.value.cause == cause
    field, value = next(iter(fields.items()))
    if field != "data":
        assert str(value) in str(raised.value), "the message names the value"
    assert "\n" not in str(raised.value)


def test_yuv_of_odd_width_is_refused_not_misread() -> None:
    with pytest.raises(BadImage) as raised:
        conversions.frame_from_image(message(np.zeros((6, 7, 2), np.uint8), "yuv422"))
    assert raised.value.cause == "encoding"


@settings(max_examples=300, deadline=None)
@given(
    height=st.integers(0, 2**32 - 1) | st.integers(0, 40), width=st.integers(0, 2**32 - 1) | st.integers(0, 40),
    step=st.integers(0, 2**32 - 1) | st.integers(0, 200),
    encoding=st.sampled_from([*images.VIEWS, *images.DELEGATED, "16UC1", "x"]),
    size=st.integers(0, 4000), is_bigendian=st.integers(0, 255),
)
def test_any_header_gives_an_image_or_bad_image(**fields) -> None:
    size = fields.pop("size")
    try:
        image = conversions.frame_from_image(Image(data=array("B", bytes(size)), **fields)).image_HWC
    except BadImage:
        return
    assert image.shape == (fields["height"], fields["width"], 3) and image.dtype == np.uint8
    assert image.sum() == 0 or "yu" in fields["encoding"] or fields["encoding"] == "uyvy"  # reads what is there and nothing else


def compressed(extension: str, **fields) -> CompressedImage:
    smooth = cv2.resize(RGB, (64, 48), interpolation=cv2.INTER_LINEAR)
    done, data = cv2.imencode(extension, smooth[..., ::-1])
    assert done
    return CompressedImage(**({"format": f"rgb8; {extension[1:]} compressed bgr8", "data": array("B", data.tobytes())} | fields))


def test_png_and_jpeg() -> None:
    smooth = cv2.resize(RGB, (64, 48), interpolation=cv2.INTER_LINEAR)
    np.testing.assert_array_equal(conversions.frame_from_compressed_image(compressed(".png")).image_HWC, smooth)
    jpeg = conversions.frame_from_compressed_image(compressed(".jpg")).image_HWC
    assert np.abs(jpeg.astype(int) - smooth).mean() < 12


@pytest.mark.parametrize(
    "cause, image",
    [
        ("size", CompressedImage(format="jpeg")),
        ("decode", CompressedImage(format="jpeg", data=array("B", b"this is no picture"))),
        ("decode", compressed(".png", data=compressed(".png").data[:40])),
        ("data", compressed(".jpg", data=compressed(".jpg").data[:-200])),
        ("encoding", compressed(".png", format="16UC1; compressedDepth")),
    ],
)
def test_bad_compressed_images(cause: str, image: CompressedImage) -> None:
    with pytest.raises(BadImage) as raised:
        conversions.frame_from_compressed_image(image)
    assert raised.value.cause == cause


def test_jpeg_with_padding_behind_it_is_whole() -> None:
    image = compressed(".jpg")
    image.data = array("B", image.data.tobytes() + bytes(500))
    assert conversions.frame_from_compressed_image(image).image_HWC.shape == (48, 64, 3)


def test_frames_carry_the_headers_stamp_or_the_one_given() -> None:
    image = message(RGB, "rgb8")
    image.header.stamp, image.header.frame_id = conversions.time_from_ns(STAMP_NS), "camera"
    assert conversions.frame_from_image(image).stamp_ns == STAMP_NS
    assert conversions.frame_from_image(image).frame_id == "camera"
    assert conversions.frame_from_image(image, stamp_ns=5).stamp_ns == 5


@pytest.mark.parametrize("stamp_ns", [0, 1, 999_999_999, 10**9, STAMP_NS, 2**31 * 10**9 - 1, -1])
def test_stamps_there_and_back(stamp_ns: int) -> None:
    assert conversions.ns_from_time(conversions.time_from_ns(stamp_ns)) == stamp_ns


def unit(seed: int, size: int = 16) -> np.ndarray:
    vector = np.random.default_rng(seed).normal(size=size).astype(np.float32)
    return vector / np.linalg.norm(vector)


def same(one: object, other: object) -> None:
    for name, value in vars(one).items():
        if isinstance(value, np.ndarray):
            np.testing.assert_array_equal(value, getattr(other, name))
        else:
            assert getattr(other, name) == (pytest.approx(value) if isinstance(value, float) else value), name


def test_embeddings_there_and_back() -> None:
    embedding = Embedding(unit(0), STAMP_NS, STAMP_NS - 10**9, 3, 2**40, "0123456789abcdef", "Is the lamp on?", "camera", 1.5)
    sent = conversions.embedding_to_message(embedding)
    assert isinstance(sent.vector, array) and sent.vector.typecode == "f"
    same(embedding, conversions.embedding_from_message(sent))


def test_transitions_there_and_back() -> None:
    transition = Transition(STAMP_NS, STAMP_NS - 7, 3, 4, STAMP_NS - 10**10, 0.3, 0.2, "0123456789abcdef", unit(1), unit(2), "")
    same(transition, conversions.transition_from_message(conversions.transition_to_message(transition)))


def test_texts_there_and_back() -> None:
    request = DecodeRequest(np.empty(0, np.float32), STAMP_NS, STAMP_NS - 10**9, 4, 3, Trigger.CHANGE, "", "What?", "camera")
    text = DecodedText(request, "The lamp is on. ✓", 0.75, True, 0.02, "lamp on", 0.5)
    sent = conversions.text_to_message(text)
    back = conversions.text_from_message(sent)
    same(request, back.request)
    assert (back.text, back.confidence, back.familiar, back.label, back.score) == (text.text, 0.75, True, "lamp on", 0.5)
    assert conversions.ns_from_time(sent.segment_end) == STAMP_NS


@pytest.mark.parametrize("vector", [[], [0.0] * 16, [2.0] + [0.0] * 15, [float("nan")] * 16, [float("inf")] * 16])
def test_vectors_that_are_not_of_norm_1_are_refused(vector: list[float]) -> None:
    sent = conversions.embedding_to_message(Embedding(unit(0), 1, 1, 0, 0, "0"))
    sent.vector = array("f", vector)
    with pytest.raises(BadVector, match="norm"):
        conversions.embedding_from_message(sent)
