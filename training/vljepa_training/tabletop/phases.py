# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The steps that an event is made of, and what becomes of them when the gripper gives up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

# How far an attempt goes in what would change the world before it is given up and taken back; others stop short of touching.
_TAKEN_BACK = {
    "open_drawer": (0.3, 0.6),
    "close_drawer": (0.3, 0.6),
    "knock_over": (0.15, 0.3),
    "place": (0.5, 0.8),
    "stack": (0.2, 0.5),
    "put_in_drawer": (0.2, 0.5),
}


@dataclass
class Phase:
    """What changes within `seconds`: targets of the gripper's tip, its fingers, of objects (x, y, z, tilt), of the tray's
    extension."""

    seconds: float
    tip: np.ndarray | None = None
    fingers: float | None = None
    objects: dict[int, np.ndarray] = field(default_factory=dict)
    tray: float | None = None
    ease_object: float = 1.0  # objects arrive after this share of the phase: a falling thing is faster than the hand


def given_up(
    kind: str, phases: list[Phase], holding: bool, poses: Sequence[np.ndarray], tray: float, rng: np.random.Generator
) -> tuple[list[Phase], np.ndarray]:
    """(phases, where the gripper's tip is at their end) of an event `kind` that is given up, from its own `phases`.

    Only the gripper sets out where nothing is touched; else the step that would change the world goes some of its way and is
    taken back. `poses` of all objects and `tray` before; `holding`: the event is one with a thing in the gripper.
    """
    reach, change = ([phases[0]], phases[1]) if holding else (phases[:-1], phases[-1])
    share = rng.uniform(*_TAKEN_BACK[kind]) if kind in _TAKEN_BACK else 0.0
    tip = next(p.tip for p in reversed(reach) if p.tip is not None)
    if not share:
        return list(reach), tip
    reached = {i: next((p.objects[i] for p in reversed(reach) if i in p.objects), poses[i]) for i in change.objects}
    begun = {i: reached[i] + share * (pose - reached[i]) for i, pose in change.objects.items()}
    pulled = None if change.tray is None else tray + share * (change.tray - tray)
    seconds = max(0.3, change.seconds * share)
    there = Phase(seconds, tip=tip + share * (change.tip - tip), objects=begun, tray=pulled)
    back = Phase(seconds, tip=tip, objects=reached, tray=None if change.tray is None else tray)
    return [*reach, there, back], tip
