# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The facts that belong to weights: frozen dataclasses, the same for the tiny, the tabletop and the paper size.

A fact lives here when changing it without retraining makes the weights wrong (sizes, means, clip period). What a user chooses
lives in the nodes' parameters. `to_dict`/`from_dict` are what a checkpoint's config.json holds; an unknown or a missing key is an
error that names it, so that a checkpoint written by a newer version never loads half understood. The presets are in `presets.py`.
"""
from __future__ import annotations

import dataclasses
import types
import typing
from dataclasses import dataclass, field
from typing import Any, TypeVar

T = TypeVar("T", bound="_Config")
ROTARY = ("vjepa2", "vjepa2.1")


class _Config:
    """Strict dictionary form, shared by all configurations."""

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types only: tuples become lists, nested configurations become dictionaries."""
        return _plain(dataclasses.asdict(self))

    @classmethod
    def from_dict(cls: type[T], values: dict[str, Any], where: str = "") -> T:
        """The inverse of `to_dict`. Raises ValueError naming an unknown, a missing or a wrongly typed key."""
        where = where or cls.__name__
        if not isinstance(values, dict):
            raise ValueError(f"{where} must be a dictionary, got {type(values).__name__}")
        hints = typing.get_type_hints(cls)
        names = {f.name for f in dataclasses.fields(cls)}
        if unknown := sorted(set(values) - names):
            raise ValueError(f"{where} has the unknown key {', '.join(unknown)}; known are {', '.join(sorted(names))}")
        required = {
            f.name
            for f in dataclasses.fields(cls)
            if f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
        }
        if missing := sorted(required - set(values)):
            raise ValueError(f"{where} lacks the key {', '.join(missing)}")
        return cls(**{name: _typed(hints[name], value, f"{where}.{name}") for name, value in values.items()})


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value


def _typed(hint: Any, value: Any, where: str) -> Any:
    """`value` as the type that the field declares; ValueError where it is another."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return None if value is None else _typed(next(a for a in arguments if a is not types.NoneType), value, where)
    if isinstance(hint, type) and issubclass(hint, _Config):
        return hint.from_dict(value, where)
    if origin is tuple:
        if not isinstance(value, (list, tuple)) or len(value) != len(arguments):
            raise ValueError(f"{where} must hold {len(arguments)} values, got {value!r}")
        return tuple(_typed(a, v, where) for a, v in zip(arguments, value))
    if origin is dict and isinstance(value, dict):
        return {key: _typed(arguments[1], item, f"{where}[{key!r}]") for key, item in value.items()}
    if hint is Any:
        return value
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    expected = origin or hint
    if not isinstance(value, expected) or (isinstance(value, bool) and expected is not bool):
        raise ValueError(f"{where} must be {expected.__name__}, got {value!r}")
    return value


def _positive(config: Any, *names: str) -> None:
    for name in names:
        if getattr(config, name) <= 0:
            raise ValueError(f"{type(config).__name__}.{name} must be above 0, got {getattr(config, name)}")


def _heads(config: Any) -> None:
    if config.heads % config.kv_heads:
        raise ValueError(
            f"{type(config).__name__}.heads must be a multiple of kv_heads, got {config.heads} and {config.kv_heads}"
        )
    if config.head_dim % 2:
        raise ValueError(f"{type(config).__name__}.head_dim must be even for the rotary positions, got {config.head_dim}")


@dataclass(frozen=True)
class VisionConfig(_Config):
    """A V-JEPA 2 encoder. Tokens per clip: frames / tubelet_size * (image_size / patch_size)**2."""

    image_size: int  # pixels, square
    patch_size: int
    tubelet_size: int  # frames per token
    frames: int  # per clip
    hidden_size: int
    layers: int
    heads: int
    mlp_ratio: float = 4.0
    layer_norm_eps: float = 1e-6
    rotary: str = "vjepa2"  # or "vjepa2.1": one angle per pair, positions stretched to the first training's grid

    def __post_init__(self) -> None:
        if self.rotary not in ROTARY:
            raise ValueError(f"VisionConfig.rotary must be one of {', '.join(ROTARY)}, got {self.rotary!r}")
        _positive(self, "image_size", "patch_size", "tubelet_size", "frames", "hidden_size", "layers", "heads", "mlp_ratio")
        if self.image_size % self.patch_size:
            raise ValueError(
                f"VisionConfig.image_size must be a multiple of patch_size, got {self.image_size} and {self.patch_size}"
            )
        if self.frames % self.tubelet_size:
            raise ValueError(f"VisionConfig.frames must be a multiple of tubelet_size, got {self.frames} and {self.tubelet_size}")
        if self.hidden_size % (2 * self.heads):
            raise ValueError(
                f"VisionConfig.hidden_size must be a multiple of 2 * heads, got {self.hidden_size} and {self.heads} heads"
            )

    @property
    def grid(self) -> int:
        """Tokens along one side of a frame."""
        return self.image_size // self.patch_size

    @property
    def tokens(self) -> int:
        """Visual tokens per clip."""
        return self.frames // self.tubelet_size * self.grid**2


@dataclass(frozen=True)
class PredictorConfig(_Config):
    """Llama layers without a causal mask over visual and query tokens."""

    hidden_size: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    intermediate_size: int
    vocab_size: int
    rope_theta: float = 500000.0
    rope_scaling: dict[str, Any] | None = None  # as in a Llama 3 config.json; None = plain rotary positions
    rms_norm_eps: float = 1e-5
    max_query_tokens: int = 512  # longer queries are cut
    merge: int = 1  # 2 = each 2x2 of neighbouring visual tokens becomes one (concatenated, nothing is lost)
    merge_time: int = 1  # 4 = four neighbours in time at one place become one token (concatenated too)
    visual_grid: int = 0  # visual tokens along one side of a frame; read only where tokens are merged
    visual_positions: int = 0  # visual tokens, after merging, each with a learned position; 0: none has, as published
    query_bos: bool = False  # queries begin with the tokenizer's BOS token

    def __post_init__(self) -> None:
        _positive(self, "hidden_size", "layers", "heads", "kv_heads", "head_dim", "intermediate_size", "vocab_size")
        _positive(self, "merge", "merge_time")
        _heads(self)
        if self.visual_positions < 0:
            raise ValueError(f"PredictorConfig.visual_positions must be >= 0, got {self.visual_positions}")
        if self.merges > 1 and (self.visual_grid <= 0 or self.visual_grid % self.merge):
            raise ValueError(
                f"PredictorConfig.visual_grid must be a positive multiple of merge={self.merge}, got {self.visual_grid}"
            )

    @property
    def merges(self) -> int:
        """Visual tokens of the X-Encoder that become one of the Predictor."""
        return self.merge**2 * self.merge_time


@dataclass(frozen=True)
class TextEncoderConfig(_Config):
    """Any Hugging Face text encoder: `hub` is its config as a dictionary with `model_type`."""

    hub: dict[str, Any]
    max_tokens: int = 512  # longer texts are cut
    bos: bool = False  # texts begin with the tokenizer's BOS token
    eos: bool = False  # texts end with the tokenizer's EOS token

    def __post_init__(self) -> None:
        if "model_type" not in self.hub:
            raise ValueError(f"TextEncoderConfig.hub must name a model_type, got the keys {sorted(self.hub)}")


@dataclass(frozen=True)
class TextDecoderConfig(_Config):
    """A causal language model that starts from a few tokens made of the embedding."""

    hidden_size: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    intermediate_size: int
    vocab_size: int
    prefix_tokens: int = 4
    max_tokens: int = 96  # longest text, BOS and EOS not counted
    rope_theta: float = 10000.0
    rms_norm_eps: float = 1e-5
    pad_id: int = 0
    bos_id: int = 1
    eos_id: int = 2

    def __post_init__(self) -> None:
        _positive(self, "hidden_size", "layers", "heads", "kv_heads", "head_dim", "intermediate_size", "vocab_size")
        _positive(self, "prefix_tokens", "max_tokens")
        _heads(self)


@dataclass(frozen=True)
class PreprocessConfig(_Config):
    """Centre square crop, area resize, /255, minus mean, by std (per RGB channel)."""

    image_size: int
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)

    def __post_init__(self) -> None:
        _positive(self, "image_size")
        if min(self.std) <= 0:
            raise ValueError(f"PreprocessConfig.std must be above 0 for every channel, got {self.std}")


@dataclass(frozen=True)
class ModelConfig(_Config):
    """Everything about one checkpoint that is not a weight."""

    name: str
    dim: int  # of the shared space
    clip_period_s: float  # seconds between the frames of a clip
    preprocess: PreprocessConfig
    vision: VisionConfig
    predictor: PredictorConfig
    text_encoder: TextEncoderConfig | None = None
    text_decoder: TextDecoderConfig | None = None
    prompts: dict[str, str] = field(default_factory=dict)  # "state" is the default standing query
    calibration: dict[str, float] = field(default_factory=dict)  # familiar_{logprob,distance}, confidence_{scale,bias}

    def __post_init__(self) -> None:
        _positive(self, "dim", "clip_period_s")
        if self.preprocess.image_size != self.vision.image_size:
            raise ValueError(
                f"ModelConfig.preprocess.image_size must equal vision.image_size, "
                f"got {self.preprocess.image_size} and {self.vision.image_size}"
            )
        tokens = self.vision.tokens // self.predictor.merges
        if self.predictor.visual_positions not in (0, tokens):
            raise ValueError(
                f"ModelConfig.predictor.visual_positions must be 0 or {tokens}, one for each visual token after merging, "
                f"got {self.predictor.visual_positions}"
            )
        if self.predictor.merges > 1 and self.predictor.visual_grid != self.vision.grid:
            raise ValueError(
                f"ModelConfig.predictor.visual_grid must equal image_size / patch_size = {self.vision.grid}, "
                f"got {self.predictor.visual_grid}"
            )
