# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Words for the tabletop world: action labels, captions with paraphrases, state texts, questions and answers.

Every text is a function of the simulator's facts; the words themselves lie in `phrases` and `phrases_state`. Without `rng` a text
comes in its canonical phrasing, with `rng` in any that training sees; `held_out=True` asks for those that it never sees.
Knows nothing of pictures or time.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache

import numpy as np

from .phrases import ACTIONS, CAPTIONS, Phrasings
from .phrases_state import (
    ACTION_PROMPT,
    CAPTION_PROMPT,
    COLOUR,
    COUNT,
    DETAIL_PROMPT,
    DRAWER,
    EMPTY,
    LAMP,
    PAST,
    PLACES,
    QUESTIONS,
    STATE_PROMPT,
)
from .scene import COLOURS, SHAPES, Scene
from .state import COLUMNS, Event, WorldState
from .synonyms import alternatives

__all__ = ["ACTIONS", "ACTION_PROMPT", "CAPTIONS", "CAPTION_PROMPT", "DETAIL_PROMPT", "QUESTIONS", "STATE_PROMPT"]

_COLUMN = ("on the left", "in the middle", "on the right")
_NUMBERS = ("one", "two", "three", "four")
NOTHING_HELD = EMPTY.train[0]


@dataclass(frozen=True)
class Question:
    """One question about one moment. `answer` is one of the `candidates`, canonical; `answer_class` is what answers are balanced
    over; `words` and `slots_of_answer` say the answer otherwise."""

    kind: str
    slots: dict[str, str]
    answer: str
    candidates: tuple[str, ...]
    answer_class: str
    words: Phrasings
    slots_of_answer: dict[str, str] = field(default_factory=dict)

    def ask(self, rng: np.random.Generator | None = None, held_out: bool = False) -> str:
        return phrase_question(self.kind, self.slots, rng, held_out)

    def say(self, rng: np.random.Generator | None = None, held_out: bool = False) -> str:
        """The answer; the canonical one without `rng`."""
        return self.words.pick(rng, held_out).format(**self.slots_of_answer) if rng is not None or held_out else self.answer


def caption(event: Event, scene: Scene, rng: np.random.Generator | None = None, held_out: bool = False) -> str:
    column = _COLUMN[event.column] if event.column is not None else ""
    return (
        CAPTIONS[event.kind]
        .pick(rng, held_out)
        .format(
            o=scene.objects[event.object].name if event.object is not None else "",
            t=scene.objects[event.target].name if event.target is not None else "",
            c=column,
            C=_start(column),
        )
    )


def action_label(kind: str, rng: np.random.Generator | None = None, held_out: bool = False) -> str:
    return ACTIONS[kind].pick(rng, held_out)


def where(state: WorldState, scene: Scene, i: int) -> str:
    """The place of object i as a phrase that follows "is"."""
    return _place(state, scene, i)[2]


def _place(state: WorldState, scene: Scene, i: int) -> tuple[str, dict[str, str], str]:
    """(kind of place, slots of its phrasings, the phrase that follows "is") of object i."""
    o, slots = state.objects[i], {"o": scene.objects[i].name}
    if o.held:
        return "held", slots, "in the gripper"
    if o.in_drawer:
        return "drawer", slots, "in the drawer"
    if o.on is not None:
        below = scene.objects[o.on].name
        return "top", {**slots, "t": below}, f"on top of the {below}"
    column = _COLUMN[o.slot[0]]
    slots |= {"c": column, "C": _start(column)}
    return ("lying", slots, f"lying {column}") if o.lying else ("column", slots, column)


def state_text(state: WorldState, scene: Scene, rng: np.random.Generator | None = None, held_out: bool = False) -> str:
    """All visible facts in a fixed order, lamp and drawer first, then the objects from left to right.

    The order is canonical so that equal states have equal texts; `rng` varies the phrasing of each sentence.
    """

    def key(i: int) -> tuple:
        column = state.column(i)
        return (column if column is not None else len(COLUMNS), scene.objects[i].name)

    parts = [LAMP[state.lamp_on].pick(rng, held_out), DRAWER[state.drawer_open].pick(rng, held_out)]
    for i in sorted(state.seen, key=key):
        kind, slots, _ = _place(state, scene, i)
        parts.append(PLACES[kind].pick(rng, held_out).format(**slots))
    return " ".join(parts)


def detail(event: Event, state: WorldState, scene: Scene, rng: np.random.Generator | None = None, held_out: bool = False) -> str:
    """What happens and how everything stands afterwards: the long description, by which one clip is told from hundreds."""
    return f"{caption(event, scene, rng, held_out)} {state_text(state, scene, rng, held_out)}"


def _start(text: str) -> str:
    return text[:1].upper() + text[1:]


def questions(state: WorldState, scene: Scene) -> list[Question]:
    """All questions about a state: lamp, drawer, count, held, and for every visible object where it is and of which colour."""
    seen = state.seen
    out = [_lamp(state), _drawer(state), _held(state, scene, seen)]
    if seen:
        number = _NUMBERS[len(seen) - 1]
        texts = tuple(COUNT[n == "one"].train[0].format(n=n) for n in _NUMBERS)
        slots = {"n": number, "N": _start(number)}
        out.append(Question("count", {}, texts[len(seen) - 1], texts, number, COUNT[len(seen) == 1], slots))
    for i in seen:
        out.append(_where(state, scene, i, seen))
        spec = scene.objects[i]
        if sum(scene.objects[j].shape == spec.shape for j in seen) == 1:
            texts = tuple(f"The {spec.shape} is {c}." for c in COLOURS)
            slots = {"o": spec.shape, "k": spec.colour}
            out.append(
                Question("colour", {"o": spec.shape}, f"The {spec.shape} is {spec.colour}.", texts, spec.colour, COLOUR, slots)
            )
    return out


def _lamp(state: WorldState) -> Question:
    words = LAMP[state.lamp_on]
    return Question(
        "lamp", {}, words.train[0], tuple(LAMP[f].train[0] for f in (True, False)), "on" if state.lamp_on else "off", words
    )


def _drawer(state: WorldState) -> Question:
    words = DRAWER[state.drawer_open]
    texts = tuple(DRAWER[f].train[0] for f in (True, False))
    return Question("drawer", {}, words.train[0], texts, "open" if state.drawer_open else "closed", words)


def _held(state: WorldState, scene: Scene, seen: list[int]) -> Question:
    texts = (NOTHING_HELD, *(f"The gripper holds the {scene.objects[i].name}." for i in seen))
    if state.held is None:
        return Question("held", {}, NOTHING_HELD, texts, "nothing", EMPTY)
    name = scene.objects[state.held].name
    return Question("held", {}, f"The gripper holds the {name}.", texts, "object", PLACES["held"], {"o": name})


def _where(state: WorldState, scene: Scene, i: int, seen: list[int]) -> Question:
    name = scene.objects[i].name
    kind, slots, place = _place(state, scene, i)
    others = [f"on top of the {scene.objects[j].name}" for j in seen if j != i]
    places = ["in the gripper", "in the drawer", *_COLUMN, *(f"lying {c}" for c in _COLUMN), *others]
    texts = tuple(f"The {name} is {p}." for p in places)
    shown = "on top" if kind == "top" else place
    return Question("where", {"o": name}, f"The {name} is {place}.", texts, shown, PLACES[kind], slots)


def event_questions(before: WorldState, after: WorldState, scene: Scene) -> list[Question]:
    """What an event can be asked about: how lamp, drawer, gripper and every object were before it and are after it.

    Kinds "before_lamp" ... "after_where". The answer's class also says whether the event changed it: who cannot see what happened
    does as well as chance on those, and who sees only the present fails all of the changed ones before. Objects count where they
    are visible before or after; what a closed drawer hides afterwards is not asked for.
    """
    out = []
    seen = sorted({*before.seen, *after.seen})
    now = {("where", i): _where(after, scene, i, seen) for i in after.seen}
    now |= {("lamp", 0): _lamp(after), ("drawer", 0): _drawer(after), ("held", 0): _held(after, scene, seen)}
    then = {("where", i): _where(before, scene, i, seen) for i in seen}
    then |= {("lamp", 0): _lamp(before), ("drawer", 0): _drawer(before), ("held", 0): _held(before, scene, seen)}
    for key, q in then.items():
        other = now.get(key)
        changed = "changed" if other is None or other.answer != q.answer else "unchanged"
        said = {"S": _past(q.answer)[:-1]}
        said["s"] = said["S"][0].lower() + said["S"][1:]
        texts = tuple(_past(c) for c in q.candidates)
        out.append(Question(f"before_{q.kind}", q.slots, _past(q.answer), texts, f"{changed}: {q.answer_class}", PAST, said))
        if other is not None:
            out.append(
                Question(
                    f"after_{q.kind}",
                    q.slots,
                    other.answer,
                    other.candidates,
                    f"{changed}: {other.answer_class}",
                    other.words,
                    other.slots_of_answer,
                )
            )
    return out


def _past(answer: str) -> str:
    return answer.replace(" is ", " was ", 1).replace(" holds ", " held ", 1)


def all_phrasings() -> Iterator[Phrasings]:
    """Every list of phrasings that there is, slots unfilled."""
    for table in (ACTIONS, CAPTIONS, LAMP, DRAWER, PLACES, COUNT, QUESTIONS):
        yield from table.values()
    yield from (EMPTY, COLOUR, PAST)


def phrase_question(kind: str, slots: dict[str, str], rng: np.random.Generator | None = None, held_out: bool = False) -> str:
    return QUESTIONS[kind].pick(rng, held_out).format(**slots)


_NO_SLOTS = [kind for kind, words in CAPTIONS.items() if "{" not in words.train[0]]
_MEANING = {CAPTIONS[kind].train[0]: ACTIONS[kind].train[0] for kind in _NO_SLOTS}


def meaning(canonical: str) -> str:
    """What two canonical texts share if they say the same: "Nothing happens." and "nothing happens", what is in the gripper and
    what the gripper holds. Texts of one meaning are never negatives of each other."""
    held = re.fullmatch(r"The (\w+ \w+) is in the gripper\.", canonical)
    return f"The gripper holds the {held[1]}." if held else _MEANING.get(canonical, canonical)


_COLUMNS = "|".join(_COLUMN)
_SLOTS = {"{o}": r"\w+ \w+", "{t}": r"\w+ \w+", "{c}": f"(?:{_COLUMNS})", "{C}": f"(?:{'|'.join(map(_start, _COLUMN))})"}


def _pattern(piece: str) -> str:
    return "".join(_SLOTS.get(part, re.escape(part)) for part in re.split(r"(\{\w\})", piece))


_PATTERNS = [
    (kind, re.compile("".join(f"(?:{'|'.join(map(_pattern, words))})" for words in alternatives(template))))
    for kind, phrasings in CAPTIONS.items()
    for template in phrasings.all
]


def named_action(text: str) -> str | None:
    """The kind of event that a caption tells of, whatever objects it names; None where it follows no known template."""
    listed = next((kind for kind, pattern in _PATTERNS if pattern.fullmatch(text.strip())), None)
    return listed or _composed().get(_blank(text.strip()))


@cache
def _composed() -> dict[str, str]:
    """Kinds of all composed captions: too many for a pattern each."""
    return {_blank(t): kind for kind, words in CAPTIONS.items() if words.composed for t in words.composed.all()}


def _blank(text: str) -> str:
    """Without the names of objects and columns, be they slots or words."""
    objects = rf"\{{[ot]\}}|\b(?:{'|'.join(COLOURS)}) (?:{'|'.join(SHAPES)})\b"
    return re.sub(rf"\{{c\}}|\b(?:{_COLUMNS})\b", "@", re.sub(objects, "#", text))
