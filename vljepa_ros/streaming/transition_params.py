# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What people may set about transitions. How the values are used: `transitions.py`."""

from __future__ import annotations

from dataclasses import dataclass

from vljepa_ros.streaming.parameters import check, parameter
from vljepa_ros.streaming.ward import merge_cost


@dataclass(frozen=True)
class TransitionParams:
    """When a change counts.

    Distances are between unit vectors (0 equal, 1.41 orthogonal); costs are seconds times squared distance. A checkpoint whose
    states lie closer or further apart may need another `min_change`; the rest is about time and noise.
    """

    threshold: float = parameter(
        0.0, "merge cost above which the state changes; 0: calibrate it from the stream's own noise", (0.0, 100.0)
    )
    settle_s: float = parameter(0.6, "seconds a new state must have lasted", (0.0, 10.0))
    rest: float = parameter(
        0.25, "embeddings are still when the newest window moved by less than this share of the change", (0.0, 1.0)
    )
    patience_s: float = parameter(1.5, "seconds after which a new state counts though embeddings still move", (0.0, 60.0))
    min_segment_s: float = parameter(1.0, "seconds a segment lasts at least", (0.0, 60.0))
    window_s: float = parameter(0.4, "seconds of newest embeddings that tell whether they are still", (0.05, 10.0))
    span_s: float = parameter(2.5, "seconds of a new state that are held against the old one at most", (0.1, 60.0))
    cap_s: float = parameter(4.0, "seconds of the old state that a new one is held against at most", (0.1, 600.0))
    correlation_s: float = parameter(0.7, "seconds for which the stream's noise stays alike", (0.0, 10.0))
    max_weight_s: float = parameter(0.3, "seconds one embedding stands for at most; drops beyond it weigh nothing", (0.01, 10.0))
    min_change: float = parameter(
        0.55,
        "distance between unit vectors, seen for window_s, below which no change counts, however quiet the stream",
        (0.0, 2.0),
    )
    noise_quantile: float = parameter(0.5, "quantile of the stream's merge costs that stands for its noise", (0.05, 0.95))
    noise_factor: float = parameter(2.5, "calibrated threshold as a multiple of that noise", (1.0, 1000.0))
    noise_memory_s: float = parameter(60.0, "seconds of merge costs that the noise is measured on", (1.0, 3600.0))

    def __post_init__(self) -> None:
        check(self, "transition")

    @property
    def floor(self) -> float:
        """Merge cost of `min_change`, seen for `window_s` after a segment as old as `cap_s`."""
        return merge_cost(self.cap_s, self.window_s, self.min_change**2, self.correlation_s)
