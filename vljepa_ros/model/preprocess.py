# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Camera image to network input, for robot and training alike: a second recipe somewhere else is a silent loss of accuracy."""
from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor

from .config import PreprocessConfig


def resize_frame(image_HWC: np.ndarray, size: int) -> np.ndarray:
    """Centre square crop, then `size` x `size` (area average downwards, linear upwards). uint8 RGB in and out, contiguous.

    An image that has the size already comes back as it is. Raises ValueError for anything but uint8 (H, W, 3) with H, W > 0.
    """
    if image_HWC.dtype != np.uint8 or image_HWC.ndim != 3 or image_HWC.shape[2] != 3 or 0 in image_HWC.shape:
        raise ValueError(f"an image must be uint8 (H, W, 3), got {image_HWC.dtype} {image_HWC.shape}")
    height, width = image_HWC.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    square = image_HWC[top : top + side, left : left + side]
    if side == size:
        return np.ascontiguousarray(square)
    return cv2.resize(square, (size, size), interpolation=cv2.INTER_AREA if side > size else cv2.INTER_LINEAR)


def normalise(frames_BTHWC: np.ndarray | Tensor, cfg: PreprocessConfig, device: torch.device | str = "cpu") -> Tensor:
    """uint8 frames (T, H, W, 3) or (B, T, H, W, 3) -> frames_BTCHW float32 on `device`: (x / 255 - mean) / std.

    The result is a view with the channels last in memory, which is what `VisionEncoder` reads fastest. Bytes travel to the
    device, not floats. Raises ValueError for other types or shapes.
    """
    frames = frames_BTHWC
    if isinstance(frames, np.ndarray):
        frames = torch.from_numpy(np.require(frames, requirements=("C", "W")))  # torch takes no read-only memory
    if frames.ndim == 4:
        frames = frames.unsqueeze(0)
    if frames.dtype != torch.uint8 or frames.ndim != 5 or frames.shape[-1] != 3:
        raise ValueError(f"frames must be uint8 (T, H, W, 3) or (B, T, H, W, 3), got {frames.dtype} {tuple(frames.shape)}")
    scale = torch.tensor([1.0 / (255.0 * s) for s in cfg.std], device=device)
    shift = torch.tensor([-m / s for m, s in zip(cfg.mean, cfg.std)], device=device)
    return frames.to(device).float().mul_(scale).add_(shift).permute(0, 1, 4, 2, 3)
