# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""From frames to the moments worth words: frames -> clips -> embeddings -> transitions -> decode requests. Knows no ROS."""

from vljepa_ros.streaming.clips import ClipBuffer, ClipParams
from vljepa_ros.streaming.decode_policy import DecodeParams, DecodePolicy
from vljepa_ros.streaming.mailbox import Mailbox
from vljepa_ros.streaming.transition_params import TransitionParams
from vljepa_ros.streaming.transitions import TransitionDetector
from vljepa_ros.streaming.types import Clip, DecodedText, DecodeRequest, Distance, Embedding, Frame, Transition, Trigger

__all__ = [
    "Clip",
    "ClipBuffer",
    "ClipParams",
    "DecodeParams",
    "DecodePolicy",
    "DecodeRequest",
    "DecodedText",
    "Distance",
    "Embedding",
    "Frame",
    "Mailbox",
    "Transition",
    "TransitionDetector",
    "TransitionParams",
    "Trigger",
]
