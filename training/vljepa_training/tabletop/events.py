# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Events as keyframes: what the gripper does, and what moves with it. No physics: the script is the truth.

An event is a list of phases; the last phase before the retreat ends at the event's completion. Knows nothing of pictures or
words.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from .motion import Channel
from .phases import Phase, given_up
from .scene import BUTTON_POS, CABINET_POS, COLUMN_X, DRAWER_TRAVEL, ROW_Y, TRAY_HALF, Scene
from .state import Event, ObjectState, WorldState

CARRY_Z = 0.24  # tip height of the gripper on its way over the table
CLOSED = 0.012  # half the gap between closed fingers
TRAY_SPOTS = (-0.058, 0.058)  # x of the two places in the tray, from its centre
HANDLE = np.array([CABINET_POS[0], CABINET_POS[1] - TRAY_HALF[1] - 0.022, 0.06])


class Script:
    """A world that runs: `do(kind, completes_at)` appends an event; `*_at(t)` say how everything lies at a time."""

    def __init__(self, scene: Scene, rng: np.random.Generator, speeds: tuple[float, float] = (0.85, 1.2)) -> None:
        self.scene, self._rng, self._speeds = scene, rng, speeds
        slots = [(c, r) for c in range(len(COLUMN_X)) for r in range(len(ROW_Y))]
        chosen = [slots[i] for i in rng.choice(len(slots), len(scene.objects), replace=False)]
        self.state = WorldState(tuple(ObjectState(slot=s) for s in chosen), bool(rng.random() < 0.5), bool(rng.random() < 0.5))
        self.states: list[tuple[float, WorldState]] = [(0.0, self.state)]
        self.events: list[Event] = []
        self._jitter = {s: rng.uniform(-0.015, 0.015, 2) for s in slots}
        self.tip = Channel(self._rest())
        self.fingers = Channel([rng.uniform(CLOSED, 0.05)])
        self.tray = Channel([DRAWER_TRAVEL * self.state.drawer_open])
        self.objects = [Channel([*self._on_table(i, s), 0.0]) for i, s in enumerate(chosen)]
        self.yaw = rng.uniform(0, np.pi, len(scene.objects))
        self.free_from = 0.0  # the gripper is at rest from here on

    # --- what can happen
    # ---------------------------------------------------------------------------------------------------------

    def options(self, kind: str) -> list[dict]:
        """All ways in which `kind` can happen now, as keyword arguments of its event."""
        s, n = self.state, len(self.scene.objects)
        held = s.held
        if kind in ("wander", "nothing"):
            return [{}]
        if held is not None:
            free = [slot for slot in self._jitter if all(o.slot != slot for o in s.objects)]
            if kind in ("place", "drop"):
                return [{"object": held, "slot": slot} for slot in free]
            if kind == "put_in_drawer" and s.drawer_open and sum(o.in_drawer for o in s.objects) < len(TRAY_SPOTS):
                return [{"object": held}]
            if kind == "stack":
                ok = (i for i, o in enumerate(s.objects) if o.slot and not o.lying and s.top_free(i))
                return [{"object": held, "target": i} for i in ok if self.scene.objects[i].shape in ("cube", "cylinder")]
            return []
        movable = [i for i in range(n) if s.visible(i) and s.top_free(i) and not s.objects[i].lying]
        if kind == "pick":
            return [{"object": i} for i in movable]
        if kind in ("push_left", "push_right"):
            step = -1 if kind == "push_left" else 1
            goals = {i: (s.objects[i].slot[0] + step, s.objects[i].slot[1]) for i in movable if s.objects[i].slot}
            return [
                {"object": i, "slot": g} for i, g in goals.items() if g in self._jitter and all(o.slot != g for o in s.objects)
            ]
        if kind == "knock_over":
            return [{"object": i} for i in movable if s.objects[i].slot and self.scene.objects[i].shape in ("cylinder", "cone")]
        possible = {
            "open_drawer": not s.drawer_open,
            "close_drawer": s.drawer_open,
            "switch_on": not s.lamp_on,
            "switch_off": s.lamp_on,
        }
        return [{}] if possible.get(kind, False) else []

    def do(self, kind: str, completes_at: float, **choice) -> Event:
        """Let `kind` happen so that it completes at `completes_at`. Speeds up where the time since the last event is short."""
        phases, after, state, retreat = getattr(self, f"_{kind}")(**choice)
        speed = self._rng.uniform(*self._speeds)
        seconds = [p.seconds * speed for p in phases]
        start = max(self.free_from, completes_at - sum(seconds))
        scale = (completes_at - start) / sum(seconds)
        if scale < 0.35:
            raise ValueError(f"{kind} has {completes_at - start:.2f} s, needs {0.35 * sum(seconds):.2f} s")
        now = start
        for phase, s in zip(phases, seconds):
            self._run(phase, now, now + s * scale)
            now += s * scale
        self.free_from = self._play(retreat, completes_at, min(scale, 1.0))
        if state is not self.state:
            self.state = state
            self.states.append((completes_at, state))
        event = Event(kind, start, completes_at, self.free_from, **after)
        self.events.append(event)
        return event

    def attempt(self, kind: str, until: float, **choice) -> Event:
        """Let the gripper set out for `kind` and give it up: aborted before anything is touched, or begun and taken back. All is
        as it was by `until`, and no state changes."""
        phases, facts, _, _ = getattr(self, f"_{kind}")(**choice)
        held = self.state.held
        poses, tray = [channel.last for channel in self.objects], float(self.tray.last[0])
        plan, tip = given_up(kind, phases, held is not None, poses, tray, self._rng)
        if held is None:
            plan += self._lift_and_leave(tip)
        else:
            rest = self._rest()
            plan.append(Phase(0.4, tip=rest, objects={held: self._carried(held, rest)}))
        start, seconds = self.free_from, sum(p.seconds for p in plan)
        scale = (until - start) / seconds
        if scale < 0.35:
            raise ValueError(f"an attempt of {kind} has {until - start:.2f} s, needs {0.35 * seconds:.2f} s")
        self.free_from = self._play(plan, start, scale)
        event = Event("attempt", start, self.free_from, self.free_from, object=facts.get("object"))
        self.events.append(event)
        return event

    def state_at(self, t: float) -> WorldState:
        return next(s for t0, s in reversed(self.states) if t0 <= t or t0 == 0.0)

    def _play(self, phases: list[Phase], start: float, scale: float) -> float:
        """One phase after the other, each `scale` times as long as it says. Returns when the last one ends."""
        for phase in phases:
            self._run(phase, start, start + phase.seconds * scale)
            start += phase.seconds * scale
        return start

    def _run(self, phase: Phase, t0: float, t1: float) -> None:
        if phase.tip is not None:
            self.tip.move(t0, t1, phase.tip)
        if phase.fingers is not None:
            self.fingers.move(t0, t1, [phase.fingers])
        if phase.tray is not None:
            self.tray.move(t0, t1, [phase.tray])
        for i, pose in phase.objects.items():
            self.objects[i].move(t0, t0 + (t1 - t0) * phase.ease_object, pose)

    # --- places
    # ------------------------------------------------------------------------------------------------------------------

    def _rest(self) -> np.ndarray:
        return self._rng.uniform([-0.2, 0.0, 0.24], [0.2, 0.16, 0.34])

    def _on_table(self, i: int, slot: tuple[int, int]) -> np.ndarray:
        dx, dy = self._jitter[slot]
        return np.array([COLUMN_X[slot[0]] + dx, ROW_Y[slot[1]] + dy, self.scene.objects[i].height / 2])

    def _with(self, i: int, **change) -> WorldState:
        objects = list(self.state.objects)
        objects[i] = replace(ObjectState(), **change)
        return replace(self.state, objects=tuple(objects))

    def _carried(self, i: int, tip: np.ndarray) -> np.ndarray:
        return np.array([*tip, 0.0])

    def _grip(self, i: int) -> float:
        return self.scene.objects[i].radius + 0.008

    def _go_to(self, tip: np.ndarray, seconds: float, fingers: float | None = None) -> list[Phase]:
        """Over the place first, then down."""
        over = np.array([tip[0], tip[1], max(CARRY_Z, tip[2])])
        return [Phase(seconds * 0.6, tip=over, fingers=fingers), Phase(seconds * 0.4, tip=tip)]

    def _leave(self) -> list[Phase]:
        up = np.array([*self._last_tip[:2], CARRY_Z])
        return [Phase(0.25, tip=up), Phase(0.35, tip=self._rest(), fingers=self._rng.uniform(CLOSED, 0.05))]

    def _lift_and_leave(self, tip: np.ndarray) -> list[Phase]:
        self._last_tip = tip
        return self._leave()

    # --- the events: (phases, facts for the Event, state afterwards, retreat)
    # ----------------------------------------------------

    def _push(self, object: int, slot: tuple[int, int], side: int):
        here, there = self.objects[object].last, self._on_table(object, slot)
        reach = self.scene.objects[object].radius + 0.022
        start = np.array([here[0] - side * reach, here[1], 0.04])
        end = np.array([there[0] - side * reach, there[1], 0.04])
        phases = [*self._go_to(start, 0.8, CLOSED), Phase(0.8, tip=end, objects={object: np.array([*there, 0.0])})]
        facts = {"object": object, "column": slot[0]}
        return phases, facts, self._with(object, slot=slot), self._lift_and_leave(end)

    def _push_left(self, object: int, slot: tuple[int, int]):
        return self._push(object, slot, -1)

    def _push_right(self, object: int, slot: tuple[int, int]):
        return self._push(object, slot, 1)

    def _pick(self, object: int):
        here = self.objects[object].last[:3]
        up = np.array([here[0], here[1], CARRY_Z + 0.02])
        phases = [
            *self._go_to(here, 0.8, self._grip(object) + 0.03),
            Phase(0.15, fingers=self._grip(object)),
            Phase(0.5, tip=up, objects={object: self._carried(object, up)}),
        ]
        rest = self._rest()
        retreat = [Phase(0.4, tip=rest, objects={object: self._carried(object, rest)})]
        return phases, {"object": object}, self._with(object, held=True), retreat

    def _release(self, object: int, goal: np.ndarray, facts: dict, state: WorldState):
        over = np.array([goal[0], goal[1], CARRY_Z + 0.02])
        phases = [
            Phase(0.6, tip=over, objects={object: self._carried(object, over)}),
            Phase(0.5, tip=goal, objects={object: np.array([*goal, 0.0])}),
            Phase(0.2, fingers=self._grip(object) + 0.03),
        ]
        return phases, facts, state, self._lift_and_leave(goal)

    def _place(self, object: int, slot: tuple[int, int]):
        return self._release(
            object, self._on_table(object, slot), {"object": object, "column": slot[0]}, self._with(object, slot=slot)
        )

    def _put_in_drawer(self, object: int):
        used = {round(float(self.objects[i].last[0]), 3) for i, o in enumerate(self.state.objects) if o.in_drawer}
        x = next(v for v in (CABINET_POS[0] + s for s in TRAY_SPOTS) if round(v, 3) not in used)
        goal = np.array([x, CABINET_POS[1] - DRAWER_TRAVEL, 0.012 + self.scene.objects[object].height / 2])
        return self._release(object, goal, {"object": object}, self._with(object, in_drawer=True))

    def _stack(self, object: int, target: int):
        base = self.objects[target].last
        goal = np.array([base[0], base[1], self.scene.objects[target].height + self.scene.objects[object].height / 2])
        facts = {"object": object, "target": target, "column": self.state.column(target)}
        return self._release(object, goal, facts, self._with(object, on=target))

    def _drop(self, object: int, slot: tuple[int, int]):
        goal = self._on_table(object, slot)
        over = np.array([goal[0], goal[1], CARRY_Z + 0.02])
        phases = [
            Phase(0.6, tip=over, objects={object: self._carried(object, over)}),
            Phase(0.35, fingers=self._grip(object) + 0.04, objects={object: np.array([*goal, 0.0])}, ease_object=0.9),
        ]
        retreat = [Phase(0.4, tip=self._rest())]
        return phases, {"object": object, "column": slot[0]}, self._with(object, slot=slot), retreat

    def _knock_over(self, object: int):
        here, spec = self.objects[object].last, self.scene.objects[object]
        side = int(self._rng.choice([-1, 1]))
        start = np.array([here[0] - side * (spec.radius + 0.03), here[1], spec.height * 0.8])
        end = np.array([here[0] + side * 0.05, here[1], spec.height * 0.75])
        fallen = np.array([here[0] + side * 0.05, here[1], spec.radius, side * np.pi / 2])
        phases = [*self._go_to(start, 0.8, CLOSED), Phase(0.5, tip=end, objects={object: fallen})]
        return (
            phases,
            {"object": object},
            self._with(object, slot=self.state.objects[object].slot, lying=True),
            self._lift_and_leave(end),
        )

    def _drawer(self, opening: bool):
        here, there = self._handle(not opening), self._handle(opening)
        shift = there - here
        moved = {i: self.objects[i].last + [*shift, 0.0] for i, o in enumerate(self.state.objects) if o.in_drawer}
        phases = [*self._go_to(here, 0.8, CLOSED + 0.01), Phase(0.7, tip=there, objects=moved, tray=DRAWER_TRAVEL * opening)]
        return phases, {}, replace(self.state, drawer_open=opening), self._lift_and_leave(there)

    def _handle(self, is_open: bool) -> np.ndarray:
        return HANDLE + np.array([0.0, -DRAWER_TRAVEL * is_open, 0.0])

    def _open_drawer(self):
        return self._drawer(True)

    def _close_drawer(self):
        return self._drawer(False)

    def _switch(self, on: bool):
        button = np.array(BUTTON_POS)
        phases = [*self._go_to(button + [0, 0, 0.06], 0.9, CLOSED), Phase(0.3, tip=button)]
        return phases, {}, replace(self.state, lamp_on=on), self._lift_and_leave(button)

    def _switch_on(self):
        return self._switch(True)

    def _switch_off(self):
        return self._switch(False)

    def _wander(self):
        held = self.state.held
        phases = []
        for _ in range(3):
            goal = self._rng.uniform([-0.26, -0.2, 0.12 if held is None else 0.2], [0.26, 0.14, 0.32])
            moved = {} if held is None else {held: self._carried(held, goal)}
            phases.append(Phase(self._rng.uniform(0.5, 0.8), tip=goal, objects=moved))
        return phases, {"object": held}, self.state, []
