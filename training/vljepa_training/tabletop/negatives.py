"""Texts that are nearly right: what a clip does not show, in the words of what it does.

A batch of random clips holds few of them: most other targets speak of other things, and who tells them apart has not looked
closely. Knows nothing of pictures.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from . import language
from .samples import WINDOW_S
from .scene import COLOURS, HELD_OUT_PAIRS, SHAPES, Scene
from .state import OPPOSITE, Event, WorldState
from .stream import Stream


def wrong_answer(question: language.Question, rng: np.random.Generator) -> str | None:
    """One of the other candidates, canonical."""
    others = [c for c in question.candidates if c != question.answer]
    return others[int(rng.integers(len(others)))] if others else None


def wrong_event(event: Event, scene: Scene, rng: np.random.Generator) -> Event | None:
    """The opposite, or the same with another thing, or in another place; None where there is nothing to get wrong."""
    choices: list[Event] = []
    if event.kind in OPPOSITE:
        choices.append(replace(event, kind=OPPOSITE[event.kind]))
    if event.object is not None and event.kind != "wander":
        choices += [replace(event, object=i) for i in range(len(scene.objects)) if i not in (event.object, event.target)]
    if event.column is not None and event.kind in ("place", "drop"):
        choices += [replace(event, column=c) for c in range(3) if c != event.column]
    return choices[int(rng.integers(len(choices)))] if choices else None


def wrong_state(state: WorldState, scene: Scene, rng: np.random.Generator) -> tuple[WorldState, Scene]:
    """One fact is another: the lamp, the drawer's front, or a thing's colour or shape."""
    draw = rng.random()
    if draw < 0.15:
        return replace(state, lamp_on=not state.lamp_on), scene
    seen = [i for i in range(len(scene.objects)) if state.visible(i)]
    if not seen or (draw < 0.3 and not any(o.in_drawer for o in state.objects)):
        return replace(state, drawer_open=not state.drawer_open), scene
    i = seen[int(rng.integers(len(seen)))]
    return state, another_look(scene, i, rng)


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


def wrong_text(kind: str, stream: Stream, t: float, rng: np.random.Generator) -> tuple[str, str] | None:
    """(text, its canonical form) that a clip of the stream that ends at t must not be given for an answer to a query of `kind`.

    `kind`: state, action, caption or detail. None where there is nothing to get wrong.
    """
    scene, state, event = stream.scene, stream.state_at(t), stream.event_at(t, WINDOW_S)
    said = rng if rng.random() < 0.5 else None  # states are trained in their canonical words as often as in others
    if kind == "state":
        state, scene = wrong_state(state, scene, rng)
        return language.state_text(state, scene, said), language.state_text(state, scene)
    if event is None:
        return None
    if kind == "action":
        other = OPPOSITE.get(event.kind)
        return other and (language.action_label(other, rng), language.action_label(other))
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
