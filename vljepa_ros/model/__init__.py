# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The network, its preprocessing, its checkpoints. Knows no stream, no ROS, no loss."""
from .checkpoint import CheckpointError
from .config import (
    ModelConfig,
    PredictorConfig,
    PreprocessConfig,
    TextDecoderConfig,
    TextEncoderConfig,
    VisionConfig,
)
from .familiarity import Familiarity
from .predictor import Predictor
from .presets import paper, tabletop, tiny
from .text_decoder import TextDecoder
from .text_encoder import TextEncoder
from .tokenizer import Tokenizer, train_tokenizer
from .vision_encoder import VisionEncoder
from .vljepa import VLJEPA, Decoded

__all__ = [
    "VLJEPA",
    "CheckpointError",
    "Decoded",
    "Familiarity",
    "ModelConfig",
    "Predictor",
    "PredictorConfig",
    "PreprocessConfig",
    "TextDecoder",
    "TextDecoderConfig",
    "TextEncoder",
    "TextEncoderConfig",
    "Tokenizer",
    "VisionConfig",
    "VisionEncoder",
    "paper",
    "tabletop",
    "tiny",
    "train_tokenizer",
]
