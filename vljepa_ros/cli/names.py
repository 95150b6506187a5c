# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Where the demo's nodes and topics are."""
from __future__ import annotations

from dataclasses import dataclass

NAMESPACE = "/vljepa"
CAMERA_TOPIC = "/camera/image_raw"


@dataclass(frozen=True)
class Names:
    """Where things are."""

    camera: str = CAMERA_TOPIC
    compressed: bool = True
    predictor: str = "predictor_node"
    decoder: str = "decoder_node"
    namespace: str = NAMESPACE

    @property
    def image(self) -> str:
        return f"{self.camera}/compressed" if self.compressed else self.camera

    def of_predictor(self, topic: str) -> str:
        return f"{self.namespace}/{self.predictor}/{topic}"

    def of_decoder(self, topic: str) -> str:
        return f"{self.namespace}/{self.decoder}/{topic}"
