# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The package's own messages for those who read and write bags without ROS: our `.msg` files, registered with `rosbags`."""
from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

import vljepa_ros
from vljepa_ros.streaming import DecodedText, Distance, Embedding, Transition

NS = 1_000_000_000


def folder() -> Path:
    """Where the `.msg` files lie: beside the assets of an installed package, at the root of a checkout."""
    package = Path(vljepa_ros.__file__).parent
    installed, checkout = package / "assets" / "interfaces", package.parent / "msg"
    return installed if installed.is_dir() else checkout


@cache
def typestore() -> Any:
    """ROS 2's types and ours. FileNotFoundError where this package was installed without its messages."""
    from rosbags.typesys import Stores, get_types_from_msg, get_typestore

    store = get_typestore(Stores.ROS2_JAZZY)
    files = sorted(folder().glob("*.msg"))
    if not files:
        raise FileNotFoundError(f"{folder()}: the package's message definitions are not there; install it again")
    for path in files:
        store.register(get_types_from_msg(path.read_text(), f"vljepa_ros/msg/{path.stem}"))
    return store


def embedding_cdr(embedding: Embedding) -> bytes:
    """A `vljepa_ros/SemanticEmbedding`."""
    return _cdr(
        "SemanticEmbedding",
        header=_header(embedding.stamp_ns, embedding.frame_id), clip_start=_time(embedding.clip_start_ns),
        epoch=embedding.epoch, sequence=embedding.sequence, space_id=embedding.space_id, query=embedding.query,
        novelty=float(embedding.novelty), vector=_floats(embedding.vector_D),
    )  # fmt: skip


def transition_cdr(transition: Transition) -> bytes:
    """A `vljepa_ros/WorldStateTransition`."""
    return _cdr(
        "WorldStateTransition",
        header=_header(transition.stamp_ns, transition.frame_id), boundary=_time(transition.boundary_ns),
        segment_start=_time(transition.segment_start_ns), epoch=transition.epoch, segment=transition.segment,
        distance=float(transition.distance), threshold=float(transition.threshold), space_id=transition.space_id,
        before=_floats(transition.before_D), after=_floats(transition.after_D),
    )  # fmt: skip


def distance_cdr(distance: Distance) -> bytes:
    """A `vljepa_ros/WorldStateDistance`."""
    return _cdr(
        "WorldStateDistance",
        header=_header(distance.stamp_ns, distance.frame_id), epoch=distance.epoch, segment=distance.segment,
        segment_start=_time(distance.segment_start_ns), distance=float(distance.distance), threshold=float(distance.threshold),
    )  # fmt: skip


def text_cdr(text: DecodedText) -> bytes:
    """A `vljepa_ros/DecodedText`. `decode_seconds` is 0: what decoding took is no fact of the stream, and bags compare."""
    request = text.request
    return _cdr(
        "DecodedText",
        header=_header(request.stamp_ns, request.frame_id), segment_start=_time(request.segment_start_ns),
        segment_end=_time(request.stamp_ns), segment=request.segment, epoch=request.epoch, trigger=request.trigger.value,
        query=request.query, text=text.text, confidence=float(text.confidence), familiar=bool(text.familiar), label=text.label,
        score=float(text.score), decode_seconds=0.0,
    )  # fmt: skip


def space_cdr(config: Any, space_id: str, sha256: str, queries: list[str]) -> bytes:
    """A `vljepa_ros/EmbeddingSpace`."""
    return _cdr(
        "EmbeddingSpace",
        space_id=space_id, model=config.name, sha256=sha256, dim=config.dim, clip_frames=config.vision.frames,
        clip_period=float(config.clip_period_s), image_size=config.preprocess.image_size, queries=queries,
    )  # fmt: skip


def _cdr(name: str, **fields: Any) -> bytes:
    store, msgtype = typestore(), f"vljepa_ros/msg/{name}"
    return bytes(store.serialize_cdr(store.types[msgtype](**fields), msgtype))


def _time(stamp_ns: int) -> Any:
    return typestore().types["builtin_interfaces/msg/Time"](*divmod(stamp_ns, NS))


def _header(stamp_ns: int, frame_id: str) -> Any:
    return typestore().types["std_msgs/msg/Header"](_time(stamp_ns), frame_id)


def _floats(vector_D: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(vector_D, np.float32)
