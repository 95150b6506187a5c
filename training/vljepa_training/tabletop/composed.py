# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Phrasings put together from a verb in all its forms, who acts, and a clause around them: thousands where a list has dozens.

Of a list the Y-Encoder learns its lines by heart; of these it must learn what the words do. In a clause, AGENT, IT, DO, DOES,
DOING, DONE, REST and STATE are places for words; all else, slots in braces too, stays as it is. Of two opposites the tables run
parallel, so that equal draws give two texts that differ in few words; of setting down and dropping they do not, which are no
such opposites. Knows nothing of the simulator.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

AGENTS = ("the gripper", "the robot", "the hand", "the arm")
THINGS = ("something", "an object", "a thing")

# A lamp that "is lit" and a drawer that "is pulled out" are states: what is done to them is told in other clauses.
_DONE_TO = """AGENT DOES IT REST | AGENT is DOING IT REST | IT is DONE REST by AGENT | IT gets DONE REST
    | IT gets DONE REST by AGENT | IT is being DONE REST | IT is being DONE REST by AGENT | DOING IT REST
    | AGENT is seen DOING IT REST | one can see AGENT DO IT REST | one sees IT being DONE REST
    | AGENT can be seen DOING IT REST"""
_IS_DONE = " | IT is DONE REST"
_BY_BUTTON = """ | pressing the button to DO IT REST | AGENT presses the button to DO IT REST
    | AGENT presses the button and so IT gets DONE REST | AGENT DOES IT REST by its button"""
_BY_HANDLE = """ | AGENT DOES IT REST by its handle | DOING IT REST by its handle | IT is DONE REST by its handle
    | AGENT is DOING IT REST by its handle"""
_BY_ITSELF = "IT DOES REST | IT is DOING REST | one can see IT begin to DO REST"
_MADE = """AGENT makes IT DO REST | making IT DO REST | AGENT is making IT DO REST | IT is made to DO REST by AGENT
    | IT is made to DO REST | AGENT can be seen making IT DO REST | IT is being made to DO REST"""
_HAS_BEEN = """IT has been DONE REST | IT was DONE REST | IT has been DONE REST by AGENT | IT was DONE REST by AGENT
    | AGENT has DONE IT REST | somebody has DONE IT REST | AGENT has just DONE IT REST | IT has just been DONE REST"""
_LAMP_DOES = """IT DOES REST | IT is DOING REST | IT does DO REST | IT is now DOING REST | IT is seen DOING REST
    | one can see IT DO REST | IT has begun to DO REST | IT still DOES REST"""
_LAMP_DOES_NOT = """IT does not DO REST | IT is not DOING REST | IT no longer DOES REST | IT is no longer DOING REST
    | IT is not seen DOING REST | one can not see IT DO REST | IT has stopped DOING REST | IT still does not DO REST"""
_STANDS = """IT is STATE | IT stays STATE | IT remains STATE | IT is now STATE | IT is left STATE | AGENT has left IT STATE
    | somebody has left IT STATE | IT is seen to be STATE | one can see that IT is STATE | IT was found STATE"""
_DRAWER_STANDS = " | IT stands STATE | IT is standing STATE | one can see IT standing STATE"
_NOT = """IT is not STATE | IT is no longer STATE | IT does not stay STATE | one can see that IT is not STATE
    | IT is not left STATE"""
# Whose forms are not made by the rules for regular verbs: third person, -ing, participle.
_FORMS = {
    "come": "comes coming come",
    "drag": "drags dragging dragged",
    "draw": "draws drawing drawn",
    "drop": "drops dropping dropped",
    "fall": "falls falling fallen",
    "give": "gives giving given",
    "go": "goes going gone",
    "grab": "grabs grabbing grabbed",
    "lay": "lays laying laid",
    "let": "lets letting let",
    "light": "lights lighting lit",
    "put": "puts putting put",
    "send": "sends sending sent",
    "set": "sets setting set",
    "shed": "sheds shedding shed",
    "shine": "shines shining shone",
    "shut": "shuts shutting shut",
    "slide": "slides sliding slid",
    "stop": "stops stopping stopped",
    "take": "takes taking taken",
    "throw": "throws throwing thrown",
    "tip": "tips tipping tipped",
}


@dataclass(frozen=True)
class Clauses:
    """Clauses with what may stand in them. Of `words` one is a verb and its REST ("slide out"), or a STATE."""

    clauses: tuple[str, ...]
    words: tuple[str, ...]
    it: tuple[str, ...]

    def draw(self, rng: np.random.Generator) -> str:
        """Draws equally often whatever the words are."""
        return self._said(*(items[int(rng.random() * len(items))] for items in (self.clauses, self.words, self.it, AGENTS)))

    def all(self) -> Iterator[str]:
        return (self._said(*one) for one in product(self.clauses, self.words, self.it, AGENTS))

    def _said(self, clause: str, words: str, it: str, agent: str) -> str:
        verb, _, rest = words.partition(" ")
        it = it if verb != "light" else it.replace("light", "lamp")  # nobody lights a light
        does, doing, done = forms(verb)
        places = {"AGENT": agent, "IT": it, "DO": verb, "DOES": does, "DOING": doing, "DONE": done, "REST": rest, "STATE": words}
        return " ".join(re.sub(r"\b[A-Z]{2,}\b", lambda m: places[m[0]], clause).split())


@dataclass(frozen=True)
class Composed:
    """Several tables of clauses that mean the same; one is as likely as it has clauses."""

    tables: tuple[Clauses, ...]
    sentence: bool  # "The lamp shines." or "the lamp shines"

    def draw(self, rng: np.random.Generator) -> str:
        sizes = np.cumsum([len(table.clauses) for table in self.tables])
        return self._written(self.tables[int(np.searchsorted(sizes, rng.random() * sizes[-1], side="right"))].draw(rng))

    def all(self) -> set[str]:
        """Every text that may be drawn."""
        return {self._written(text) for table in self.tables for text in table.all()}

    def _written(self, text: str) -> str:
        return f"{text[0].upper()}{text[1:]}." if self.sentence else text


def forms(verb: str) -> tuple[str, str, str]:
    """Third person, -ing form and participle."""
    if verb in _FORMS:
        does, doing, done = _FORMS[verb].split()
        return does, doing, done
    stem = verb.removesuffix("e")
    return verb + ("es" if verb.endswith(("sh", "ss", "ch")) else "s"), stem + "ing", stem + "ed"


def _split(text: str) -> tuple[str, ...]:
    return tuple(" ".join(part.split()) for part in text.split("|") if part.strip())


def _clauses(clauses: str, words: str, it: Sequence[str]) -> Clauses:
    return Clauses(_split(clauses), _split(words), tuple(it))


# Verbs for what is done to a thing, by kind of event: REST follows the thing. {c} stands in captions alone.
_DOINGS = {
    "pick": "pick up | lift | lift up | raise | raise into the air | take up | grab | grasp",
    "place": "place {c} | set down {c} | put down {c} | lower {c} | lay down {c} | put back {c} | set back {c}",
    "put_in_drawer": """put in the drawer | put into the drawer | place in the drawer | place inside the drawer
        | lower into the drawer | stow in the drawer | stow away in the drawer | store in the drawer | lay in the drawer
        | set inside the drawer""",
    "stack": """stack on {t} | put on top of {t} | set upon {t} | place on top of {t} | pile on {t} | lower onto {t}
        | lay upon {t}""",
    "knock_over": "knock over | tip over | push over | topple | knock down | tip on its side | push on its side",
    "drop": """drop {c} | drop from above {c} | drop onto the table {c} | release above the table {c} | let fall {c}
        | let drop {c}""",
}
_PUSHES = """push {side} | push to the {side} | slide {side} | slide to the {side} | shove {side} | shove to the {side}
    | nudge {side} | nudge to the {side} | move {side} | move to the {side} | shift {side} | shift to the {side}"""
_LAMP = ("the lamp", "the light")
_LIGHTS = {  # what is done to it, what it does, what it is made to do
    "switch_on": (
        "switch on | turn on | put on | light | light up",
        "light up | come on | go on | turn bright",
        "shine | light up | come on | go on | give light | burn",
    ),
    "switch_off": (
        "switch off | turn off | put off | put out | turn out",
        "turn dark | go out | go off | go dark",
        "stop shining | turn dark | go out | go off | stop giving light | go dark",
    ),
}
_DRAWER = ("the drawer",)
_DRAWS = {
    "open_drawer": (
        "open | pull open | pull out | drag open | drag out | slide open | slide out | draw open | draw out",
        *2 * ("open | slide open | slide out | come out | come open | go out",),
    ),
    "close_drawer": (
        "close | push shut | push in | shove shut | shove in | slide shut | slide in | shut | draw in",
        *2 * ("close | slide shut | slide in | go in | fall shut | go back in",),
    ),
}


def event_clauses(kind: str, caption: bool) -> Composed | None:
    """What happens, as a caption with slots or as a label without any; None for what nobody does to anything."""
    if kind in _LIGHTS or kind in _DRAWS:
        done, does, made = _LIGHTS.get(kind) or _DRAWS[kind]
        more, it = (_BY_BUTTON, _LAMP) if kind in _LIGHTS else (_BY_HANDLE, _DRAWER)
        return Composed((_clauses(_DONE_TO + more, done, it), _clauses(_BY_ITSELF, does, it), _clauses(_MADE, made, it)), caption)
    if kind.startswith("push_"):
        words = _PUSHES.replace("{side}", kind.removeprefix("push_"))
    elif kind in _DOINGS:
        words = _DOINGS[kind]
    else:
        return None
    if caption:
        words, it = words.replace("{t}", "the {t}"), ("the {o}", "a {o}")
    else:
        words, it = words.replace(" {c}", " on the table" if kind == "place" else "").replace("{t}", "another"), THINGS
    return Composed((_clauses(_DONE_TO + _IS_DONE, words, it),), caption)


def lamp_clauses(on: bool) -> Composed:
    """How the lamp is."""
    lit, dark = "on | lit | shining | burning", "off | dark | out | put out"
    return Composed(
        (
            _clauses(_HAS_BEEN, _LIGHTS["switch_on" if on else "switch_off"][0], _LAMP),
            _clauses(
                _LAMP_DOES if on else _LAMP_DOES_NOT,
                "shine | burn | glow | give light | send out light | shed light | throw light on the table",
                _LAMP,
            ),
            _clauses(_STANDS, lit if on else dark, _LAMP),
            _clauses(_NOT, dark if on else lit, _LAMP),
        ),
        sentence=True,
    )


def drawer_clauses(out: bool) -> Composed:
    """How the drawer is."""
    opened, shut = "open | out | pulled out | drawn out | wide open", "closed | in | pushed in | shut | fully closed"
    return Composed(
        (
            _clauses(_HAS_BEEN, _DRAWS["open_drawer" if out else "close_drawer"][0], _DRAWER),
            _clauses(_STANDS + _DRAWER_STANDS, opened if out else shut, _DRAWER),
            _clauses(_NOT + " | IT does not stand STATE", shut if out else opened, _DRAWER),
        ),
        sentence=True,
    )
