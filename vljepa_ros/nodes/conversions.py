# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Messages become types, and types messages: here and nowhere else. How an image's bytes become pixels: `streaming/images.py`.

Stamps are integer nanoseconds inside and builtin_interfaces/Time outside. Vectors are numpy float32 inside and `array.array('f')`
outside, the only form that rclpy takes without looking at every number.
"""
from __future__ import annotations

from array import array
from typing import Any

import cv2
import numpy as np
from builtin_interfaces.msg import Time
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Float32, Header

from vljepa_ros.memory import Recalled
from vljepa_ros.model import Decoded, ModelConfig
from vljepa_ros.msg import DecodedText as DecodedTextMessage
from vljepa_ros.msg import EmbeddingSpace, MemorySegment, SemanticEmbedding, WorldStateDistance, WorldStateTransition
from vljepa_ros.srv import DecodeText, EncodeText, Predict
from vljepa_ros.streaming import DecodedText, DecodeRequest, Distance, Embedding, Frame, Transition, Trigger
from vljepa_ros.streaming.images import BadImage, compressed_image_HWC, image_HWC

__all__ = [
    "BadImage", "BadVector", "decoded_to_response", "distance_from_message", "distance_to_message", "embedding_from_message",
    "embedding_to_message", "embedding_to_response", "frame_from_compressed_image", "frame_from_image",
    "frame_to_compressed_image", "frame_to_image", "ns_from_time", "number_to_message", "recalled_to_message",
    "space_to_message", "text_from_message", "text_to_message", "time_from_ns", "transition_from_message",
    "transition_to_message", "vectors_from_request", "vectors_to_response",
]

NS = 1_000_000_000
NORM_TOLERANCE = 1e-2  # float32 and a lossy recorder stay far inside; an unnormalised vector far outside


class BadVector(ValueError):
    """A message whose vector is none of norm 1; the text says what is wrong with it."""


def ns_from_time(time: Time) -> int:
    return time.sec * NS + time.nanosec


def time_from_ns(stamp_ns: int) -> Time:
    return Time(sec=stamp_ns // NS, nanosec=stamp_ns % NS)


def frame_from_image(message: Image, stamp_ns: int | None = None) -> Frame:
    """`stamp_ns`: the stamp to use instead of the header's, for drivers without stamps. Raises BadImage."""
    return _frame(message, image_HWC(message), stamp_ns)


def frame_from_compressed_image(message: CompressedImage, stamp_ns: int | None = None) -> Frame:
    """As `frame_from_image`."""
    return _frame(message, compressed_image_HWC(message), stamp_ns)


def frame_to_image(frame: Frame) -> Image:
    """rgb8."""
    height, width = frame.image_HWC.shape[:2]
    return Image(
        header=_header(frame.stamp_ns, frame.frame_id), height=height, width=width, encoding="rgb8", is_bigendian=0,
        step=3 * width, data=array("B", np.ascontiguousarray(frame.image_HWC).tobytes()),
    )


def frame_to_compressed_image(frame: Frame, quality: int) -> CompressedImage:
    """JPEG, `quality` from 1 to 100."""
    done, jpeg = cv2.imencode(".jpg", frame.image_HWC[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        raise BadImage("encode", f"no JPEG can be made of a picture of shape {frame.image_HWC.shape}")
    return CompressedImage(
        header=_header(frame.stamp_ns, frame.frame_id), format="rgb8; jpeg compressed bgr8", data=array("B", jpeg.tobytes())
    )


def number_to_message(number: float) -> Float32:
    """For plots: they have no use for a header."""
    return Float32(data=float(number))


def embedding_to_message(embedding: Embedding) -> SemanticEmbedding:
    return SemanticEmbedding(
        header=_header(embedding.stamp_ns, embedding.frame_id), clip_start=time_from_ns(embedding.clip_start_ns),
        epoch=embedding.epoch, sequence=embedding.sequence, space_id=embedding.space_id, query=embedding.query,
        novelty=float(embedding.novelty), vector=_floats(embedding.vector_D),
    )


def embedding_from_message(message: SemanticEmbedding) -> Embedding:
    """Raises BadVector."""
    return Embedding(
        vector_D=_vector(message.vector), stamp_ns=ns_from_time(message.header.stamp),
        clip_start_ns=ns_from_time(message.clip_start), epoch=message.epoch, sequence=message.sequence, space_id=message.space_id,
        query=message.query, frame_id=message.header.frame_id, novelty=message.novelty,
    )


def transition_to_message(transition: Transition) -> WorldStateTransition:
    return WorldStateTransition(
        header=_header(transition.stamp_ns, transition.frame_id), boundary=time_from_ns(transition.boundary_ns),
        segment_start=time_from_ns(transition.segment_start_ns), epoch=transition.epoch, segment=transition.segment,
        distance=float(transition.distance), threshold=float(transition.threshold), space_id=transition.space_id,
        before=_floats(transition.before_D), after=_floats(transition.after_D),
    )


def transition_from_message(message: WorldStateTransition) -> Transition:
    """Raises BadVector."""
    return Transition(
        stamp_ns=ns_from_time(message.header.stamp), boundary_ns=ns_from_time(message.boundary), epoch=message.epoch,
        segment=message.segment, segment_start_ns=ns_from_time(message.segment_start), distance=message.distance,
        threshold=message.threshold, space_id=message.space_id, before_D=_vector(message.before), after_D=_vector(message.after),
        frame_id=message.header.frame_id,
    )


def distance_to_message(distance: Distance) -> WorldStateDistance:
    return WorldStateDistance(
        header=_header(distance.stamp_ns, distance.frame_id), epoch=distance.epoch, segment=distance.segment,
        segment_start=time_from_ns(distance.segment_start_ns), distance=float(distance.distance),
        threshold=float(distance.threshold),
    )


def distance_from_message(message: WorldStateDistance) -> Distance:
    return Distance(
        stamp_ns=ns_from_time(message.header.stamp), epoch=message.epoch, segment=message.segment,
        segment_start_ns=ns_from_time(message.segment_start), distance=message.distance, threshold=message.threshold,
        frame_id=message.header.frame_id,
    )


def text_to_message(text: DecodedText) -> DecodedTextMessage:
    request = text.request
    return DecodedTextMessage(
        header=_header(request.stamp_ns, request.frame_id), segment_start=time_from_ns(request.segment_start_ns),
        segment_end=time_from_ns(request.stamp_ns), segment=request.segment, epoch=request.epoch, trigger=request.trigger.value,
        query=request.query, text=text.text, confidence=float(text.confidence), familiar=bool(text.familiar), label=text.label,
        score=float(text.score), decode_seconds=float(text.seconds),
    )


def text_from_message(message: DecodedTextMessage) -> DecodedText:
    """The message carries no vector and no space: the request's are empty."""
    request = DecodeRequest(
        vector_D=np.empty(0, np.float32), stamp_ns=ns_from_time(message.header.stamp),
        segment_start_ns=ns_from_time(message.segment_start), segment=message.segment, epoch=message.epoch,
        trigger=Trigger(message.trigger), space_id="", query=message.query, frame_id=message.header.frame_id,
    )
    return DecodedText(
        request=request, text=message.text, confidence=message.confidence, familiar=message.familiar,
        seconds=message.decode_seconds, label=message.label, score=message.score,
    )


def recalled_to_message(recalled: Recalled) -> MemorySegment:
    segment = recalled.segment
    return MemorySegment(
        start=time_from_ns(segment.start_ns), end=time_from_ns(segment.end_ns), before=time_from_ns(recalled.before_ns or 0),
        epoch=segment.epoch, segment=segment.segment, frame_id=segment.frame_id, score=recalled.score, text=segment.text,
        confidence=segment.confidence, familiar=segment.familiar, label=segment.label, thumbnail=array("B", segment.thumbnail),
    )


def space_to_message(config: ModelConfig, space_id: str, sha256: str, queries: tuple[str, ...]) -> EmbeddingSpace:
    """`sha256` is the checkpoint's, `queries` are the node's standing ones, query 0 first."""
    return EmbeddingSpace(
        space_id=space_id, model=config.name, sha256=sha256, dim=config.dim, clip_frames=config.vision.frames,
        clip_period=float(config.clip_period_s), image_size=config.preprocess.image_size, queries=list(queries),
    )


def embedding_to_response(embedding: Embedding) -> Predict.Response:
    return Predict.Response(success=True, embedding=embedding_to_message(embedding))


def vectors_to_response(vectors_ND: np.ndarray, space_id: str) -> EncodeText.Response:
    return EncodeText.Response(success=True, space_id=space_id, dim=vectors_ND.shape[1], vectors=_floats(vectors_ND))


def vectors_from_request(request: DecodeText.Request, dim: int) -> np.ndarray:
    """(N, D) float32 of norm 1, D = `dim`. Raises BadVector."""
    if request.dim != dim or len(request.vectors) % dim:
        raise BadVector(f"{len(request.vectors)} numbers of dim {request.dim}; this space's vectors have {dim} numbers each")
    vectors_ND = np.array(request.vectors, np.float32).reshape(-1, dim)
    for index, norm in enumerate(np.linalg.norm(vectors_ND, axis=1)):
        if not abs(norm - 1) <= NORM_TOLERANCE:  # written so that a NaN fails
            raise BadVector(f"vectors[{index}] has norm {norm:.4g}; it must be 1")
    return vectors_ND


def decoded_to_response(decoded: list[Decoded]) -> DecodeText.Response:
    return DecodeText.Response(
        success=True, texts=[one.text for one in decoded], confidences=array("f", [one.confidence for one in decoded]),
        familiar=[one.familiar for one in decoded],
    )


def _frame(message: Any, image: np.ndarray, stamp_ns: int | None) -> Frame:
    stamp_ns = ns_from_time(message.header.stamp) if stamp_ns is None else stamp_ns
    return Frame(stamp_ns=stamp_ns, image_HWC=image, frame_id=message.header.frame_id)


def _header(stamp_ns: int, frame_id: str) -> Header:
    return Header(stamp=time_from_ns(stamp_ns), frame_id=frame_id)


def _floats(vectors: np.ndarray) -> array:
    floats = array("f")
    floats.frombytes(np.ascontiguousarray(vectors, np.float32).tobytes())
    return floats


def _vector(floats: Any) -> np.ndarray:
    vector_D = np.array(floats, np.float32)
    norm = float(np.linalg.norm(vector_D))
    if not abs(norm - 1) <= NORM_TOLERANCE:  # written so that a NaN fails
        raise BadVector(f"vector of {len(vector_D)} numbers has norm {norm:.4g}; it must be 1")
    return vector_D
