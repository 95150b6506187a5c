"""What people may set about transitions. How the values are used: `transitions.py`."""

from __future__ import annotations

from dataclasses import dataclass

from vljepa_ros.streaming.parameters import check, parameter


@dataclass(frozen=True)
class TransitionParams:
    """When a change counts.

    Distances are between unit vectors (0 equal, 1.41 orthogonal); costs are seconds times squared distance. A checkpoint whose
    states lie closer or further apart may need other distances (`min_change`, `prior_change`); the rest is about time and noise.
    """

    threshold: float = parameter(
        0.0, "merge cost above which the state changes; 0: calibrate it from the stream's own noise", (0.0, 100.0)
    )
    window_s: float = parameter(0.4, "seconds of newest embeddings that are held against the segment", (0.05, 10.0))
    settle_s: float = parameter(0.4, "seconds for which the cost must stay above the threshold", (0.0, 10.0))
    evidence_s: float = parameter(
        0.8,
        "seconds of evidence, each weighing cost / threshold - hysteresis: what barely passes the threshold must stay longer",
        (0.0, 10.0),
    )
    patience_s: float = parameter(
        2.5, "seconds above the threshold after which a change counts though embeddings still move", (0.0, 60.0)
    )
    rest: float = parameter(
        0.15, "embeddings are still when a window moves by less than this share of the change so far", (0.0, 1.0)
    )
    arrival: float = parameter(
        0.85, "share of the way from the old mean to the new one at which the new segment begins", (0.05, 0.95)
    )
    min_segment_s: float = parameter(1.0, "seconds a segment lasts at least", (0.0, 60.0))
    cap_s: float = parameter(
        4.0, "seconds of memory in a segment's mean: an old segment is as sensitive as one of this age", (0.1, 600.0)
    )
    hysteresis: float = parameter(0.6, "share of the threshold below which a suspected change is forgotten", (0.0, 1.0))
    max_weight_s: float = parameter(0.3, "seconds one embedding stands for at most; drops beyond it weigh nothing", (0.01, 10.0))
    min_change: float = parameter(
        0.3, "distance between unit vectors below which no change counts, however quiet the stream", (0.0, 2.0)
    )
    noise_quantile: float = parameter(0.5, "quantile of the stream's merge costs that stands for its noise", (0.05, 0.95))
    noise_factor: float = parameter(5.0, "calibrated threshold as a multiple of that noise", (1.0, 1000.0))
    noise_memory_s: float = parameter(60.0, "seconds of merge costs that the noise is measured on", (1.0, 3600.0))
    prior_change: float = parameter(0.45, "distance that counts as a change before the noise is known", (0.0, 2.0))
    prior_s: float = parameter(4.0, "seconds of evidence that outweigh prior_change by half", (0.0, 600.0))

    def __post_init__(self) -> None:
        check(self, "transition")

    def cost_of(self, distance: float) -> float:
        """Merge cost of a window at `distance` from the mean of a segment as old as `cap_s`."""
        return self.cap_s * self.window_s / (self.cap_s + self.window_s) * distance**2
