# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What is true of the table at one moment, in words' terms, and what an event is. Knows nothing of motion or pictures."""

from __future__ import annotations

from dataclasses import dataclass

EVENTS = (
    "push_left",
    "push_right",
    "pick",
    "place",
    "put_in_drawer",
    "open_drawer",
    "close_drawer",
    "switch_on",
    "switch_off",
    "stack",
    "knock_over",
    "drop",
    "wander",
    "nothing",
)
CHANGING = EVENTS[:12]  # those that leave the world in another state: their completion is a boundary
_OPPOSITES = (("push_left", "push_right"), ("open_drawer", "close_drawer"), ("switch_on", "switch_off"), ("place", "drop"))
OPPOSITE = {a: b for pair in _OPPOSITES for a, b in (pair, pair[::-1])}  # told by the same slots, confused for lack of looking
COLUMNS = ("left", "middle", "right")


@dataclass(frozen=True)
class ObjectState:
    """Where one object is: on the table in `slot` (column, row), or held, or in the drawer, or on top of object `on`."""

    slot: tuple[int, int] | None = None
    held: bool = False
    in_drawer: bool = False
    on: int | None = None
    lying: bool = False


@dataclass(frozen=True)
class WorldState:
    """All facts that a text may speak of. It changes at the moment an event completes, never before."""

    objects: tuple[ObjectState, ...]
    lamp_on: bool
    drawer_open: bool

    @property
    def held(self) -> int | None:
        return next((i for i, o in enumerate(self.objects) if o.held), None)

    @property
    def seen(self) -> list[int]:
        return [i for i in range(len(self.objects)) if self.visible(i)]

    def top_free(self, i: int) -> bool:
        return all(o.on != i for o in self.objects)

    def visible(self, i: int) -> bool:
        """Things in the closed drawer cannot be seen, nor can what stands on top of them (nothing does)."""
        return self.drawer_open or not self.objects[i].in_drawer

    def column(self, i: int) -> int | None:
        """Column of an object on the table or on another object; None for held things and those in the drawer."""
        o = self.objects[i]
        if o.on is not None:
            return self.column(o.on)
        return o.slot[0] if o.slot is not None else None


@dataclass(frozen=True)
class Event:
    """One thing that happens. `end` is the moment it completes: the boundary, where `kind` changes the world."""

    kind: str  # of EVENTS, or "attempt": what was given up, which no text speaks of
    start: float  # seconds, the gripper sets out
    end: float  # the change is complete
    rest: float  # the gripper stands still again
    object: int | None = None
    target: int | None = None  # what is stacked upon
    column: int | None = None  # where something is placed, dropped or pushed to
