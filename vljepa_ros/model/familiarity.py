# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""How far a clip lies from what the X-Encoder saw in training, judged from its visual tokens.

The evidence is there and not in the vectors: the Predictor folds whatever it gets into the space that it knows, and the Y-Decoder
says what it says there as surely as ever. A clip is described by the mean token of each quarter of the picture: what training
shows stands in its place there, a table below and a wall above. Of the directions in which training clips differ, the largest are
kept and whitened; the rest are what one training set happens to lack. The distance is Mahalanobis's among those, divided by the
square root of their number, so that training clips lie around 1 whatever the width.

Shapes: B clips, N tokens (time before rows before columns), D hidden size, F = 4 D features, K directions. Knows no threshold:
that is calibration's, in the checkpoint's config.
"""
from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

DIRECTIONS = 100


class Familiarity(nn.Module):
    """Mean and whitening matrix of the training clips' features. As made, it measures plain distance from zero along the first
    features.

    `grid`: tokens along one side of a frame (`VisionConfig.grid`).
    """

    def __init__(self, hidden_size: int, grid: int) -> None:
        super().__init__()
        self.grid = grid
        features = 4 * hidden_size
        self.register_buffer("mean_F", torch.zeros(features))
        self.register_buffer("whiten_FK", torch.eye(features, min(features, DIRECTIONS)))

    def forward(self, tokens_BND: Tensor) -> Tensor:
        """(B,) float32 distances, 0 and more."""
        with torch.autocast(tokens_BND.device.type, enabled=False):  # a small eigenvalue of the covariance does not survive bf16
            return self.distance(describe(tokens_BND, self.grid))

    def distance(self, features_BF: Tensor) -> Tensor:
        """(B,) of clips already described."""
        return ((features_BF - self.mean_F) @ self.whiten_FK).square().mean(-1).sqrt()


def describe(tokens_BND: Tensor, grid: int) -> Tensor:
    """(B, F) float32: the mean over time and place of each quarter of the picture, quarter by quarter. A grid of odd size has its
    middle in both halves."""
    size, _, hidden = tokens_BND.shape
    mean_BDHW = tokens_BND.float().view(size, -1, grid, grid, hidden).mean(1).permute(0, 3, 1, 2)
    return F.adaptive_avg_pool2d(mean_BDHW, 2).permute(0, 2, 3, 1).flatten(1)
