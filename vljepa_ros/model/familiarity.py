"""How far a clip lies from what the X-Encoder saw in training, judged from its visual tokens.

The evidence is there and not in the vectors: the Predictor folds whatever it gets into the space that it knows, and the Y-Decoder
says what it says there as surely as ever. A clip is described by the mean of its tokens and by their spread; its distance is
Mahalanobis's, divided by the square root of the number of features, so that training clips lie around 1 whatever the width.

Shapes: B clips, N tokens, D hidden size, F = 2 D features. Knows no threshold: that is calibration's, in the checkpoint's config.
"""
from __future__ import annotations

import torch
from torch import Tensor, nn

SPREAD_FLOOR = 1e-2  # added to a spread before its logarithm: footage without any detail has finite features


class Familiarity(nn.Module):
    """Mean and whitening matrix of the training clips' features. As made, it measures plain distance from zero."""

    def __init__(self, hidden_size: int) -> None:
        super().__init__()
        features = 2 * hidden_size
        self.register_buffer("mean_F", torch.zeros(features))
        self.register_buffer("whiten_FF", torch.eye(features))

    def forward(self, tokens_BND: Tensor) -> Tensor:
        """(B,) float32 distances, 0 and more."""
        with torch.autocast(tokens_BND.device.type, enabled=False):  # a small eigenvalue of the covariance does not survive bf16
            return self.distance(describe(tokens_BND))

    def distance(self, features_BF: Tensor) -> Tensor:
        """(B,) of clips already described."""
        return ((features_BF - self.mean_F) @ self.whiten_FF).square().mean(-1).sqrt()


def describe(tokens_BND: Tensor) -> Tensor:
    """(B, F) float32: per channel the mean over tokens, then the logarithm of the standard deviation over tokens."""
    tokens_BND = tokens_BND.float()
    spread_BD = tokens_BND.std(1, correction=0)
    return torch.cat([tokens_BND.mean(1), (spread_BD + SPREAD_FLOOR).log()], -1)
