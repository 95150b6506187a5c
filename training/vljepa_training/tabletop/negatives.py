# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Texts that are nearly right: what a clip does not show, in the words of what it does.

A batch of random clips holds few of them: most other targets speak of other things, and who tells them apart has not looked
closely. Knows nothing of pictures.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from . import language
from .scene import COLOURS, HELD_OUT_PAIRS, SHAPES, Scene
from .state import CHANGING, OPPOSITE, Event, WorldState
from .stream import Stream

# What is taken for another thing beside its opposite: to be told apart one must look where the object ends up, or how it moves.
_MISTAKEN = {
    "place": ("stack", "put_in_drawer"),
    "stack": ("place", "drop"),
    "put_in_drawer": ("place", "stack"),
    "drop": ("stack",),
    "knock_over": ("push_left", "push_right"),
    "push_left": ("knock_over",),
    "push_right": ("knock_over",),
    "wander": ("nothing", "place", "drop"),
    "nothing": ("wander",),
}


# Were they wrong answers of every other cylinder, a prediction would learn to keep away from what it is to be asked for one day.
_NEVER_NAMED = frozenset(f"The {shape} is {colour}." for colour, shape in HELD_OUT_PAIRS)


def wrong_answers(question: language.Question, rng: np.random.Generator, count: int) -> list[str]:
    """Up to `count` of the other candidates, canonical; none that names a held-out pair."""
    others = [c for c in question.candidates if c != question.answer and c not in _NEVER_NAMED]
    return [others[i] for i in rng.permutation(len(others))[:count]]


def wrong_kinds(kind: str) -> tuple[str, ...]:
    """The opposite, and what is easily mistaken for it."""
    return (*([OPPOSITE[kind]] if kind in OPPOSITE else []), *_MISTAKEN.get(kind, ()))


def wrong_event(event: Event, scene: Scene, rng: np.random.Generator) -> Event | None:
    """Another kind, or the same with another thing, or in another place; None where there is nothing to get wrong."""
    choices: list[Event] = []
    for kind in wrong_kinds(event.kind):
        if event.object is None:
            choices += [replace(event, kind=kind)] if kind in OPPOSITE and event.kind in OPPOSITE else []
        elif kind in CHANGING:
            others = [i for i in range(len(scene.objects)) if i != event.object]
            target = others[int(rng.integers(len(others)))] if kind == "stack" else event.target
            column = int(rng.integers(3)) if event.column is None else event.column
            choices.append(replace(event, kind=kind, target=target, column=column))
    if event.object is not None and event.kind != "wander":
        choices += [replace(event, object=i) for i in range(len(scene.objects)) if i not in (event.object, event.target)]
    if event.column is not None and event.kind in ("place", "drop"):
        choices += [replace(event, column=c) for c in range(3) if c != event.column]
    return choices[int(rng.integers(len(choices)))] if choices else None


def wrong_state(state: WorldState, scene: Scene, rng: np.random.Generator) -> tuple[WorldState, Scene]:
    """One fact is another: the lamp, the drawer's front, a thing's place, colour or shape; or two things have changed places,
    colours or shapes, so that every word is right and no sentence of them."""
    draw = rng.random()
    if draw < 0.25:
        return replace(state, lamp_on=not state.lamp_on), scene
    seen = state.seen
    if not seen or (draw < 0.5 and not any(o.in_drawer for o in state.objects)):
        return replace(state, drawer_open=not state.drawer_open), scene
    if draw < 0.65 and (moved := elsewhere(state, seen, rng)):
        return moved, scene
    if draw > 0.8 and (other := _exchanged(scene, seen, rng)):
        if language.state_text(state, other) != language.state_text(state, scene):  # two on the left are told alike either way
            return state, other
    i = seen[int(rng.integers(len(seen)))]
    return state, another_look(scene, i, rng)


def elsewhere(state: WorldState, among: list[int], rng: np.random.Generator) -> WorldState | None:
    """One thing on the table stands in another column, or lies instead of standing; None where all of `among` are elsewhere."""
    free = [i for i in among if state.objects[i].slot is not None and state.objects[i].on is None and state.top_free(i)]
    if not free:
        return None
    i = free[int(rng.integers(len(free)))]
    was = state.objects[i]
    column = (was.slot[0] + int(rng.integers(1, 3))) % 3
    now = replace(was, lying=not was.lying) if rng.random() < 0.25 else replace(was, slot=(column, was.slot[1]))
    return replace(state, objects=tuple(now if j == i else o for j, o in enumerate(state.objects)))


def _exchanged(scene: Scene, seen: list[int], rng: np.random.Generator) -> Scene | None:
    """Two visible things with each other's colour, shape or both; None where nothing comes of it that training may name."""
    if len(seen) < 2:
        return None
    i, j = (int(n) for n in rng.choice(seen, 2, replace=False))
    a, b = scene.objects[i], scene.objects[j]
    looks = [("colour",), ("shape",), ("colour", "shape")]
    objects = list(scene.objects)
    what = looks[int(rng.integers(3))]
    objects[i] = replace(a, **{name: getattr(b, name) for name in what})
    objects[j] = replace(b, **{name: getattr(a, name) for name in what})
    names = [(o.colour, o.shape) for o in objects]
    before = [(o.colour, o.shape) for o in scene.objects]
    fine = len(set(names)) == len(names) and not set(names) & set(HELD_OUT_PAIRS) and names != before
    return replace(scene, objects=tuple(objects)) if fine else None


def another_look(scene: Scene, i: int, rng: np.random.Generator) -> Scene:
    """The scene with object i of another colour or another shape, unlike all that are there."""
    spec = scene.objects[i]
    looks = [(c, spec.shape) for c in COLOURS] + 2 * [(spec.colour, s) for s in SHAPES]
    there = {(o.colour, o.shape) for o in scene.objects}
    looks = [look for look in looks if look not in there and look not in HELD_OUT_PAIRS]  # training never names those
    colour, shape = looks[int(rng.integers(len(looks)))]
    objects = list(scene.objects)
    objects[i] = replace(spec, colour=colour, shape=shape)
    return replace(scene, objects=tuple(objects))


def wrong_text(kind: str, stream: Stream, t: float, event: Event | None, rng: np.random.Generator) -> tuple[str, str] | None:
    """(text, its canonical form) that a clip of the stream that ends at t and shows `event` must not be given for an answer to a
    query of `kind`.

    `kind`: state, action, caption or detail. None where there is nothing to get wrong.
    """
    scene, state = stream.scene, stream.state_at(t)
    said = rng if rng.random() < 0.5 else None  # states are trained in their canonical words as often as in others
    if kind == "state":
        state, scene = wrong_state(state, scene, rng)
        return language.state_text(state, scene, said), language.state_text(state, scene)
    if event is None:
        return None
    if kind == "action":
        if not (others := wrong_kinds(event.kind)):
            return None
        other = others[int(rng.integers(len(others)))]
        return language.action_label(other, rng), language.action_label(other)
    if kind == "detail" and rng.random() < 0.6:
        state, scene = wrong_state(state, scene, rng)
        return language.detail(event, state, scene, said), language.detail(event, state, scene)
    if event.object is not None and event.kind != "wander" and rng.random() < 0.4:
        scene = another_look(scene, event.object, rng)
    elif (event := wrong_event(event, scene, rng)) is None:
        return None
    if kind == "detail":
        return language.detail(event, state, scene, said), language.detail(event, state, scene)
    return language.caption(event, scene, rng), language.caption(event, scene)
