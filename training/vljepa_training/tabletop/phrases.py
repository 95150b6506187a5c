# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The words for what happens on the table, as data: action labels and captions in many phrasings.

One phrasing is separated from the next by "|". The first of a list is the canonical one, which decoding aims at. Held-out
phrasings are never trained on; nearly all of their words are, in other combinations, so that they measure recombination and not
recall. What training draws is varied further by `synonyms` and `composed`.
Slots: {o} the object, {t} what is stacked upon, {c} the column ("on the left"), {C} the same at a sentence's start. Knows nothing
of the simulator.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import cache

import numpy as np

from .composed import Composed, event_clauses
from .synonyms import exchanged

_HELD_OUT: set[tuple[str, ...]] = set()  # the words of all of them: what no exchange of words may lead to


@dataclass(frozen=True)
class Phrasings:
    """All ways to say one thing. `train[0]` is canonical, `held_out` is for evaluation alone."""

    train: tuple[str, ...]
    held_out: tuple[str, ...]
    composed: Composed | None = None

    def pick(self, rng: np.random.Generator | None = None, held_out: bool = False) -> str:
        """Any phrasing that training sees, or any that it never sees; without `rng` the first of them.

        Training's come as they are listed, with words exchanged for others that mean the same here, or composed where the list
        has that, equally often. Equal draws of two opposites give two texts of like build.
        """
        chosen = self.held_out if held_out else self.train
        if rng is None:
            return chosen[0]
        text = chosen[int(rng.integers(len(chosen)))]
        if held_out:
            return text
        way, other = int(rng.integers(3 if self.composed else 2)), exchanged(text, rng)
        if self.composed:
            composed = self.composed.draw(rng)
            other = composed if way == 2 else other
        return other if way and _words(other) not in _HELD_OUT else text

    @property
    def all(self) -> tuple[str, ...]:
        return self.train + self.held_out


def phrasings(train: str, held_out: str, composed: Composed | None = None, **words: str) -> Phrasings:
    """From two texts with " | " between phrasings. `words` replaces {name} at once, where one list serves two opposites."""

    def split(text: str) -> tuple[str, ...]:
        for name, word in words.items():
            text = text.replace("{" + name + "}", word)
        return tuple(" ".join(part.split()) for part in text.split("|") if part.strip())

    made = Phrasings(split(train), split(held_out), composed)
    _HELD_OUT.update(map(_words, made.held_out))
    return made


@cache
def _words(text: str) -> tuple[str, ...]:
    """In alphabetical order and without slots, whoever acts and whatever thing and lamp are called: texts of the same words are
    no two phrasings."""
    plain = re.sub(r"\{\w\}|\b(an?|the)\b", "", text.lower())
    for one, kin in (("agent", "gripper|robot|hand|arm"), ("thing", "something|object|thing"), ("lamp", "light")):
        plain = re.sub(rf"\b({kin})\b", one, plain)
    return tuple(sorted(re.findall(r"[a-z]+", plain)))


def _push_label(side: str) -> Phrasings:
    return phrasings(
        """pushing something to the {side} | something is pushed {side} | a push to the {side} | sliding something to the {side}
        | something is slid {side} | shoving something {side} | an object is shoved to the {side}
        | nudging an object to the {side} | the gripper pushes something {side} | the robot slides an object to the {side}
        | the arm shifts an object {side} | something is moved to the {side} by the hand | a thing slides {side}""",
        """moving something {side} across the table | the hand shoves a thing to the {side} | an object gets nudged {side}""",
        side=side,
    )


def _push_caption(side: str) -> Phrasings:
    return phrasings(
        """The gripper pushes the {o} to the {side}. | The {o} is pushed {side}. | A push moves the {o} to the {side}.
        | The robot pushes the {o} {side}. | The hand slides the {o} to the {side}. | The {o} is slid {side} by the gripper.
        | The arm shoves the {o} {side}. | The {o} is shoved to the {side}. | The gripper nudges the {o} to the {side}.
        | The robot moves the {o} to the {side}. | The {o} slides to the {side} across the table.
        | The hand gives the {o} a push to the {side}. | Pushing the {o} to the {side}.""",
        """The robot slides the {o} {side}. | The arm nudges the {o} {side}. | The {o} is moved {side} by the hand.""",
        side=side,
    )


def _switch_label(word: str, more: str, held_out: str) -> Phrasings:
    return phrasings(
        """switching the lamp {s} | the lamp is turned {s} | turning {s} the light | turning the lamp {s}
        | the light is switched {s} | the lamp goes {s} | the gripper switches the light {s} | the robot turns the lamp {s}
        | the light is put {s} by the hand | the button is pressed and the light goes {s}
        | the arm presses the button of the lamp to turn it {s} |"""
        + more,
        held_out + " | the light gets turned {s} | the hand switches the lamp {s} by its button",
        s=word,
    )


def _switch_caption(word: str, more: str, held_out: str) -> Phrasings:
    return phrasings(
        """The gripper switches the lamp {s}. | The lamp is turned {s}. | The gripper presses the button and the lamp goes {s}.
        | The robot turns the lamp {s}. | The hand switches the light {s}. | The light is switched {s} by the gripper.
        | The arm turns {s} the light. | The light goes {s}. | The button is pressed and the light goes {s}.
        | The robot presses the button of the lamp to turn it {s}. | Switching the lamp {s}. |"""
        + more,
        held_out + " | The lamp is switched {s} by the hand. | The arm presses the button and turns the light {s}.",
        s=word,
    )


ACTIONS: dict[str, Phrasings] = {
    "push_left": _push_label("left"),
    "push_right": _push_label("right"),
    "pick": phrasings(
        """picking something up | something is lifted | grasping and lifting something | lifting an object
        | an object is picked up | grabbing something and raising it | the gripper grasps something and lifts it
        | the robot picks an object up | something is grabbed and taken up | raising a thing into the air
        | the hand takes hold of something and raises it | an object is raised by the arm | a thing goes up in the gripper""",
        """taking something up from below | the arm lifts a thing up | an object gets grabbed and raised""",
    ),
    "place": phrasings(
        """placing something on the table | something is set down | putting something down on the table | an object is put down
        | something is placed on the table | lowering something onto the table below | the gripper puts something down
        | the robot places an object on the table | the hand sets an object down | the arm puts a thing back on the table
        | an object is lowered to its place on the table | something is put back on the table
        | setting an object down on the table""",
        """setting something on the table | a thing gets placed on the table | the hand lowers something to the table""",
    ),
    "put_in_drawer": phrasings(
        """putting something in the drawer | something goes into the drawer | placing something inside the drawer
        | something is put into the drawer | an object is placed in the drawer | the gripper puts an object in the drawer
        | the robot places something inside the drawer | something is stored in the drawer
        | stowing an object away in the drawer | something is lowered into the drawer | the hand lowers a thing into the drawer
        | the arm stows something in the drawer | the drawer receives an object""",
        """laying something into the drawer | an object gets stowed inside the drawer
        | the arm puts a thing away in the drawer""",
    ),
    "open_drawer": phrasings(
        """opening the drawer | the drawer is pulled open | pulling the drawer out | the drawer is opening
        | the gripper opens the drawer | the robot pulls the drawer open | the hand pulls the drawer out | the drawer comes out
        | the drawer slides open | sliding the drawer out | the drawer gets opened | the arm drags the drawer open
        | the gripper draws out the drawer | the drawer is slid out | sliding open the drawer | the robot slides the drawer open
        | the closed drawer is opened""",
        """drawing the drawer open | the drawer is slid out by the arm | the hand drags the drawer out by its handle""",
    ),
    "close_drawer": phrasings(
        """closing the drawer | the drawer is pushed shut | pushing the drawer in | the drawer is closing
        | the gripper closes the drawer | the robot pushes the drawer shut | the hand pushes the drawer in | the drawer goes in
        | the drawer slides shut | sliding the drawer in | the drawer gets closed | the arm shoves the drawer shut
        | the drawer shuts | the drawer is slid in | sliding shut the drawer | the robot slides the drawer shut
        | the open drawer is closed""",
        """shutting the drawer | the drawer is slid in by the arm | the hand shoves the drawer in by its handle""",
    ),
    "switch_on": _switch_label(
        "on",
        """lighting the lamp | the lamp begins to shine | the lamp lights up | the hand lights the lamp | the lamp gets lit
        | the lamp is lit by the robot | the arm makes light | the dark lamp begins to shine | light comes from the lamp again
        | the lamp was dark and now shines""",
        "making the lamp shine | pressing the button to light the lamp",
    ),
    "switch_off": _switch_label(
        "off",
        """putting the light out | the lamp stops shining | the lamp turns dark | the hand puts out the lamp
        | the lamp gets put out | the lamp is put out by the robot | the arm makes it dark | the shining lamp goes dark
        | no more light comes from the lamp | the lamp was shining and now is dark""",
        "making the lamp go dark | pressing the button to put the lamp out",
    ),
    "stack": phrasings(
        """stacking something on something else | something is put on top of another thing | building a stack
        | one object is stacked on another | placing an object on top of another | putting one thing on top of another
        | the gripper stacks one object on another | the robot puts something on top of something else | a stack is built
        | the hand sets an object upon another | an object goes on top of another | one thing is piled on another
        | making a tower of two objects""",
        """setting one thing on another | the arm piles an object on something else | a tower gets built from two things""",
    ),
    "knock_over": phrasings(
        """knocking something over | something is tipped over | something falls over | tipping an object over
        | something is knocked over | the gripper knocks something over | the robot tips an object over
        | hitting something so that it falls over | an object falls on its side | a thing topples over
        | the hand hits a thing and it tips over | making something fall over | an object is pushed over by the arm""",
        """toppling something | the arm knocks a thing on its side | an object gets tipped on its side""",
    ),
    "drop": phrasings(
        """dropping something | something falls onto the table | letting something fall | something is dropped
        | an object is dropped on the table | the gripper drops something | the robot lets an object fall
        | something is released above the table | letting go of an object in the air | the hand lets go of a thing and it falls
        | an object falls from the gripper | a thing falls down from above | the arm drops an object""",
        """releasing something in the air | the arm lets a thing fall from above | an object gets dropped from the hand""",
    ),
    "wander": phrasings(
        """moving the gripper around | the gripper wanders about | the empty motion of the gripper | the gripper moves around
        | moving the hand about | the arm wanders across the table | the robot moves its arm around
        | the hand wanders in the air | waving the gripper about | the gripper moves about and changes nothing
        | motion of the arm that changes nothing | the robot wanders over the table | the hand goes here and there
        | the arm roams about""",
        """the gripper roams over the table | the arm moves here and there | wandering about with the hand""",
    ),
    "nothing": phrasings(
        """nothing happens | everything stands still | no motion | nothing moves | nothing changes | no change
        | the table stays as it is | everything stays where it is | the robot does nothing | the gripper stands still
        | the hand does not move | a still scene | the scene is quiet | there is no motion at all""",
        """all is quiet | no object moves | the robot stands still and nothing happens""",
    ),
}

CAPTIONS: dict[str, Phrasings] = {
    "push_left": _push_caption("left"),
    "push_right": _push_caption("right"),
    "pick": phrasings(
        """The gripper picks up the {o}. | The {o} is lifted by the gripper. | The gripper grasps the {o} and lifts it.
        | The robot picks the {o} up. | The {o} is picked up. | The hand grabs the {o} and raises it.
        | The arm lifts the {o} into the air. | The gripper takes hold of the {o} and raises it.
        | The {o} is grabbed and lifted up. | The {o} goes up in the gripper. | Lifting the {o}.
        | The robot grasps the {o} and takes it up into the air.""",
        """The robot takes the {o} up. | The arm grabs the {o} and lifts it. | The {o} is raised by the hand.""",
    ),
    "place": phrasings(
        """The gripper places the {o} {c}. | The {o} is set down {c}. | The gripper puts the {o} down {c}.
        | The robot places the {o} on the table {c}. | The {o} is placed {c}. | The hand puts the {o} back on the table {c}.
        | The arm lowers the {o} to its place {c}. | The {o} is lowered onto the table {c}. | The hand sets the {o} down {c}.
        | {C} the gripper puts down the {o}. | The robot stands the {o} on the table {c}. | Putting the {o} down {c}.""",
        """The robot sets the {o} {c}. | The arm places the {o} down {c}. | {C} the {o} is put down by the hand.""",
    ),
    "put_in_drawer": phrasings(
        """The gripper puts the {o} in the drawer. | The {o} goes into the drawer.
        | The gripper places the {o} inside the drawer. | The robot puts the {o} into the drawer.
        | The {o} is placed in the drawer. | The hand lowers the {o} into the drawer. | The arm stores the {o} in the drawer.
        | The {o} is stowed away in the drawer. | The robot stows the {o} inside the drawer. | The drawer receives the {o}.
        | Putting the {o} into the drawer. | The {o} is put inside the drawer by the hand.""",
        """The robot lays the {o} into the drawer. | The arm puts the {o} away in the drawer.
        | The {o} is stored inside the drawer by the hand.""",
    ),
    "open_drawer": phrasings(
        """The gripper opens the drawer. | The drawer is pulled open. | The gripper pulls the drawer out.
        | The robot opens the drawer with its arm. | The drawer is opened by the hand. | The hand pulls the drawer open.
        | The arm slides the drawer out. | The drawer slides open. | The robot drags the drawer out by its handle.
        | The drawer comes out. | Opening the drawer. | The gripper draws out the drawer. | The drawer is slid out.
        | The gripper slides the drawer open. | The closed drawer is opened.""",
        """The robot draws the drawer open. | The drawer is slid open by the arm. | The hand drags the drawer open.""",
    ),
    "close_drawer": phrasings(
        """The gripper closes the drawer. | The drawer is pushed shut. | The gripper pushes the drawer in.
        | The robot closes the drawer with its arm. | The drawer is closed by the hand. | The hand pushes the drawer shut.
        | The arm slides the drawer in. | The drawer slides shut. | The robot shoves the drawer in by its handle.
        | The drawer goes in. | Closing the drawer. | The drawer shuts. | The drawer is slid in.
        | The gripper slides the drawer shut. | The open drawer is closed.""",
        """The robot shuts the drawer. | The drawer is slid shut by the arm. | The hand shoves the drawer shut.""",
    ),
    "switch_on": _switch_caption(
        "on",
        """The lamp lights up. | The lamp begins to shine. | The hand lights the lamp. | The lamp is lit by the hand.
        | The robot lights the lamp. | The arm lights up the lamp. | The dark lamp begins to shine. | The lamp gets lit.
        | The gripper makes light. | Light comes from the lamp again.""",
        "The robot makes the lamp shine. | The arm makes the lamp light up.",
    ),
    "switch_off": _switch_caption(
        "off",
        """The lamp turns dark. | The lamp stops shining. | The hand puts the light out. | The lamp is put out by the hand.
        | The robot puts the lamp out. | The arm puts out the light. | The shining lamp goes dark. | The lamp gets put out.
        | The gripper makes it dark. | No more light comes from the lamp.""",
        "The robot makes the lamp go dark. | The arm makes the lamp stop shining.",
    ),
    "stack": phrasings(
        """The gripper stacks the {o} on the {t}. | The {o} is put on top of the {t}. | The gripper sets the {o} upon the {t}.
        | The robot puts the {o} on the {t}. | The {o} is stacked on the {t}. | The hand places the {o} on top of the {t}.
        | The arm lowers the {o} onto the {t}. | The {o} goes on top of the {t}. | The robot piles the {o} on the {t}.
        | The {o} is placed upon the {t}. | Stacking the {o} on the {t}.
        | The gripper builds a tower from the {t} below and the {o}.""",
        """The robot builds a stack of the {o} on the {t}. | The arm sets the {o} on top of the {t}.
        | The {o} is piled on the {t} by the hand.""",
    ),
    "knock_over": phrasings(
        """The gripper knocks the {o} over. | The {o} is tipped over. | The gripper hits the {o} and it falls over.
        | The robot knocks over the {o}. | The {o} is knocked over by the arm. | The hand tips the {o} over.
        | The arm hits the {o} so that it falls on its side. | The {o} falls over. | The {o} topples over.
        | The robot makes the {o} fall over. | Knocking the {o} over. | The gripper pushes the {o} over.""",
        """The robot topples the {o}. | The arm tips the {o} on its side. | The {o} is pushed over by the hand.""",
    ),
    "drop": phrasings(
        """The gripper drops the {o} {c}. | The {o} falls onto the table {c}. | The gripper lets the {o} fall {c}.
        | The robot drops the {o} on the table {c}. | The {o} is dropped {c}. | The hand lets go of the {o} in the air {c}.
        | The arm lets the {o} fall down {c}. | The {o} falls from the gripper {c}.
        | The robot lets go of the {o} and it falls {c}. | {C} the gripper drops the {o}. | Dropping the {o} {c}.
        | The {o} is released above the table {c}.""",
        """The robot releases the {o} in the air {c}. | The arm drops the {o} from above {c}.
        | {C} the {o} falls down from the hand.""",
    ),
    "wander": phrasings(
        """The gripper moves around. | The gripper wanders over the table. | The gripper moves about and changes nothing.
        | The robot moves its arm around. | The hand wanders about. | The arm moves across the table and changes nothing.
        | The hand goes here and there in the air. | The robot waves its hand about. | The gripper roams about.
        | The arm wanders in the air. | Moving the gripper around. | The robot moves but nothing on the table changes.""",
        """The robot roams over the table. | The arm goes about and changes nothing. | The hand moves here and there.""",
    ),
    "nothing": phrasings(
        """Nothing happens. | Everything stands still. | Nothing moves on the table. | There is no motion. | Nothing changes.
        | The robot does nothing. | The gripper stands still. | The arm does not move. | Everything stays where it is.
        | The scene stays as it is. | It is a still scene. | No object moves and the scene is quiet.""",
        """All is quiet on the table. | The hand does nothing and everything stays still. | There is no change at all.""",
    ),
}
for _table, _sentence in ((ACTIONS, False), (CAPTIONS, True)):
    for _kind, _listed in _table.items():
        _table[_kind] = replace(_listed, composed=event_clauses(_kind, _sentence))
