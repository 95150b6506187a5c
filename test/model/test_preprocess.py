# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Preprocessing: crop, resize and arithmetic, on images whose answer is known."""
from __future__ import annotations

import numpy as np
import pytest
import torch

from vljepa_ros.model import PreprocessConfig
from vljepa_ros.model.preprocess import normalise, resize_frame


@pytest.mark.parametrize(("height", "width"), [(480, 640), (640, 480), (128, 128), (40, 30), (1, 7)])
def test_any_size_becomes_the_square_of_its_centre(height, width):
    image = np.zeros((height, width, 3), dtype=np.uint8)
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    image[top : top + side, left : left + side] = (10, 20, 30)
    image.setflags(write=False)
    out = resize_frame(image, 128)
    assert out.shape == (128, 128, 3) and out.dtype == np.uint8 and out.flags.c_contiguous
    assert (out == (10, 20, 30)).all()


def test_downscaling_averages():
    image = np.zeros((4, 4, 3), dtype=np.uint8)
    image[::2] = 100
    assert (resize_frame(image, 2) == 50).all()


def test_the_right_size_stays_as_it_is():
    image = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    assert np.array_equal(resize_frame(image, 32), image)
    assert np.array_equal(resize_frame(np.pad(image, ((0, 0), (5, 5), (0, 0))), 32), image)


@pytest.mark.parametrize(
    "image", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 4), np.uint8), np.zeros((0, 4, 3), np.uint8), np.zeros((4, 4, 3))]
)
def test_what_is_no_image_is_refused(image):
    with pytest.raises(ValueError, match="uint8"):
        resize_frame(image, 8)


def test_normalise_is_the_written_formula():
    cfg = PreprocessConfig(image_size=6, mean=(0.1, 0.2, 0.3), std=(0.5, 0.6, 0.7))
    frames = np.random.default_rng(0).integers(0, 256, (2, 5, 6, 6, 3), dtype=np.uint8)
    expected = np.moveaxis((frames / 255.0 - cfg.mean) / cfg.std, -1, 2)
    out = normalise(frames, cfg)
    assert out.shape == (2, 5, 3, 6, 6) and out.dtype == torch.float32
    np.testing.assert_allclose(out.numpy(), expected, atol=1e-6)
    assert torch.equal(normalise(frames[0], cfg), out[:1])
    assert torch.equal(normalise(torch.from_numpy(frames), cfg), out)


def test_normalise_leaves_its_input_alone_and_takes_read_only_memory(recwarn):
    frames = np.full((1, 2, 2, 3), 7, dtype=np.uint8)
    frames.setflags(write=False)
    normalise(frames, PreprocessConfig(image_size=2))
    assert (frames == 7).all() and not recwarn.list


def test_normalise_refuses_floats_and_planes():
    for wrong in (np.zeros((2, 4, 4, 3), np.float32), np.zeros((2, 3, 4, 4), np.uint8)):
        with pytest.raises(ValueError, match="uint8"):
            normalise(wrong, PreprocessConfig(image_size=4))
