"""Words for the tabletop world: action labels, captions with paraphrases, state texts, questions and answers.

Every text is a function of the simulator's facts. The last template of each list is held out: training never sees it
(`held_out=True` asks for it). Knows nothing of pictures or time.
"""

from __future__ import annotations

import re

import numpy as np

from .scene import ObjectSpec, Scene
from .state import COLUMNS, Event, WorldState

CAPTION_PROMPT = "Describe this video in one sentence."
ACTION_PROMPT = "What is the action shown?"
STATE_PROMPT = "What is the state of the scene?"

ACTIONS = {
    "push_left": [
        "pushing something to the left",
        "something is pushed left",
        "a push to the left",
        "moving something left across the table",
    ],
    "push_right": [
        "pushing something to the right",
        "something is pushed right",
        "a push to the right",
        "moving something right across the table",
    ],
    "pick": ["picking something up", "something is lifted", "grasping and lifting something", "taking something up from below"],
    "place": [
        "placing something on the table",
        "something is set down",
        "putting something down on the table",
        "setting something on the table",
    ],
    "put_in_drawer": [
        "putting something in the drawer",
        "something goes into the drawer",
        "placing something inside the drawer",
        "laying something into the drawer",
    ],
    "open_drawer": ["opening the drawer", "the drawer is pulled open", "pulling the drawer out", "drawing the drawer open"],
    "close_drawer": ["closing the drawer", "the drawer is pushed shut", "pushing the drawer in", "shutting the drawer"],
    "switch_on": ["switching the lamp on", "the lamp is turned on", "turning on the light", "making the lamp shine"],
    "switch_off": ["switching the lamp off", "the lamp is turned off", "turning off the light", "making the lamp go dark"],
    "stack": [
        "stacking something on something else",
        "something is put on top of another thing",
        "building a stack",
        "setting one thing on another",
    ],
    "knock_over": ["knocking something over", "something is tipped over", "something falls over", "toppling something"],
    "drop": ["dropping something", "something falls onto the table", "letting something fall", "releasing something in the air"],
    "wander": [
        "moving the gripper around",
        "the gripper wanders about",
        "the empty motion of the gripper",
        "the gripper roams over the table",
    ],
    "nothing": ["nothing happens", "everything stands still", "no motion", "all is quiet"],
}
_CAPTIONS = {
    "push_left": [
        "The gripper pushes the {o} to the left.",
        "The {o} is pushed left.",
        "A push moves the {o} to the left.",
        "The robot slides the {o} left.",
    ],
    "push_right": [
        "The gripper pushes the {o} to the right.",
        "The {o} is pushed right.",
        "A push moves the {o} to the right.",
        "The robot slides the {o} right.",
    ],
    "pick": [
        "The gripper picks up the {o}.",
        "The {o} is lifted by the gripper.",
        "The gripper grasps the {o} and lifts it.",
        "The robot takes the {o} up.",
    ],
    "place": [
        "The gripper places the {o} {c}.",
        "The {o} is set down {c}.",
        "The gripper puts the {o} down {c}.",
        "The robot sets the {o} {c}.",
    ],
    "put_in_drawer": [
        "The gripper puts the {o} in the drawer.",
        "The {o} goes into the drawer.",
        "The gripper places the {o} inside the drawer.",
        "The robot lays the {o} into the drawer.",
    ],
    "open_drawer": [
        "The gripper opens the drawer.",
        "The drawer is pulled open.",
        "The gripper pulls the drawer out.",
        "The robot draws the drawer open.",
    ],
    "close_drawer": [
        "The gripper closes the drawer.",
        "The drawer is pushed shut.",
        "The gripper pushes the drawer in.",
        "The robot shuts the drawer.",
    ],
    "switch_on": [
        "The gripper switches the lamp on.",
        "The lamp is turned on.",
        "The gripper presses the button and the lamp goes on.",
        "The robot makes the lamp shine.",
    ],
    "switch_off": [
        "The gripper switches the lamp off.",
        "The lamp is turned off.",
        "The gripper presses the button and the lamp goes off.",
        "The robot makes the lamp go dark.",
    ],
    "stack": [
        "The gripper stacks the {o} on the {t}.",
        "The {o} is put on top of the {t}.",
        "The gripper sets the {o} upon the {t}.",
        "The robot builds a stack of the {o} on the {t}.",
    ],
    "knock_over": [
        "The gripper knocks the {o} over.",
        "The {o} is tipped over.",
        "The gripper hits the {o} and it falls over.",
        "The robot topples the {o}.",
    ],
    "drop": [
        "The gripper drops the {o} {c}.",
        "The {o} falls onto the table {c}.",
        "The gripper lets the {o} fall {c}.",
        "The robot releases the {o} in the air {c}.",
    ],
    "wander": [
        "The gripper moves around.",
        "The gripper wanders over the table.",
        "The gripper moves about and changes nothing.",
        "The robot roams over the table.",
    ],
    "nothing": ["Nothing happens.", "Everything stands still.", "Nothing moves on the table.", "All is quiet on the table."],
}
_COLUMN = ("on the left", "in the middle", "on the right")
_LAMP = ["The lamp is {s}.", "The light is {s}.", "The lamp has been turned {s}."]
_DRAWER = ["The drawer is {s}.", "The drawer stands {s}.", "The drawer has been left {s}."]
_QUESTIONS = {  # kind -> phrasings, the last held out
    "action": [ACTION_PROMPT, "Which action is this?", "What is being done?", "Name the action."],
    "caption": [CAPTION_PROMPT, "What happens in the video?", "What happens?", "Say in a sentence what is going on."],
    "state": [STATE_PROMPT, "Describe the scene.", "What does the table look like?", "Tell me how everything stands."],
    "lamp": ["Is the lamp on or off?", "What is the state of the lamp?", "Is the light on?", "Does the lamp shine?"],
    "drawer": [
        "Is the drawer open or closed?",
        "What is the state of the drawer?",
        "Is the drawer open?",
        "Has the drawer been shut?",
    ],
    "held": ["What does the gripper hold?", "Which object is held?", "What is in the gripper?", "What is the gripper carrying?"],
    "where": ["Where is the {o}?", "On which side is the {o}?", "Where can the {o} be found?", "Tell me the place of the {o}."],
    "colour": [
        "What colour is the {o}?",
        "Which colour has the {o}?",
        "What is the colour of the {o}?",
        "Name the {o}'s colour.",
    ],
    "count": [
        "How many objects are on the table?",
        "How many things are there?",
        "Count the objects.",
        "What is the number of objects?",
    ],
}


def pick(templates: list[str], rng: np.random.Generator | None, held_out: bool = False) -> str:
    """A template: the first without `rng`, the held-out one on request, else any of the training ones."""
    if held_out:
        return templates[-1]
    return templates[0] if rng is None else templates[int(rng.integers(len(templates) - 1))]


def caption(event: Event, scene: Scene, rng: np.random.Generator | None = None, held_out: bool = False) -> str:
    names = {
        "o": scene.objects[event.object].name if event.object is not None else "",
        "t": scene.objects[event.target].name if event.target is not None else "",
        "c": _COLUMN[event.column] if event.column is not None else "",
    }
    return pick(_CAPTIONS[event.kind], rng, held_out).format(**names)


def action_label(kind: str, rng: np.random.Generator | None = None, held_out: bool = False) -> str:
    return pick(ACTIONS[kind], rng, held_out)


def where(state: WorldState, scene: Scene, i: int) -> str:
    """The place of object i as a phrase that follows "is"."""
    o = state.objects[i]
    if o.held:
        return "in the gripper"
    if o.in_drawer:
        return "in the drawer"
    if o.on is not None:
        return f"on top of the {scene.objects[o.on].name}"
    return ("lying " if o.lying else "") + _COLUMN[o.slot[0]]


def state_text(state: WorldState, scene: Scene, rng: np.random.Generator | None = None) -> str:
    """All visible facts in a fixed order, lamp and drawer first, then the objects from left to right.

    The order is canonical so that equal states have equal texts; `rng` varies only the phrasing of the lamp and drawer.
    """

    def key(i: int) -> tuple:
        column = state.column(i)
        return (column if column is not None else len(COLUMNS), scene.objects[i].name)

    seen = sorted((i for i in range(len(scene.objects)) if state.visible(i)), key=key)
    parts = [pick(_LAMP, rng).format(s=_on(state.lamp_on)), pick(_DRAWER, rng).format(s=_open(state.drawer_open))]
    parts += [f"The {scene.objects[i].name} is {where(state, scene, i)}." for i in seen]
    return " ".join(parts)


def _on(flag: bool) -> str:
    return "on" if flag else "off"


def _open(flag: bool) -> str:
    return "open" if flag else "closed"


def questions(state: WorldState, scene: Scene) -> list[tuple[str, dict[str, str], str, tuple[str, ...]]]:
    """All questions about a state: (kind, slots of the phrasing, answer, candidate answers that hold the true one)."""
    seen = [i for i in range(len(scene.objects)) if state.visible(i)]
    lamp = tuple(f"The lamp is {s}." for s in ("on", "off"))
    drawer = tuple(f"The drawer is {s}." for s in ("open", "closed"))
    out = [
        ("lamp", {}, lamp[not state.lamp_on], lamp),
        ("drawer", {}, drawer[not state.drawer_open], drawer),
    ]
    numbers = ("one", "two", "three", "four")
    out.append(
        (
            "count",
            {},
            f"There are {numbers[len(seen) - 1]} objects." if len(seen) != 1 else "There is one object.",
            ("There is one object.", *(f"There are {n} objects." for n in numbers[1:])),
        )
    ) if seen else None
    names = [scene.objects[i].name for i in seen]
    nothing = "The gripper holds nothing."
    held = nothing if state.held is None else f"The gripper holds the {scene.objects[state.held].name}."
    out.append(("held", {}, held, (nothing, *(f"The gripper holds the {n}." for n in names))))
    for i in seen:
        spec: ObjectSpec = scene.objects[i]
        others = [f"on top of the {scene.objects[j].name}" for j in seen if j != i]
        places = ["in the gripper", "in the drawer", *_COLUMN, *(f"lying {c}" for c in _COLUMN), *others]
        out.append(
            (
                "where",
                {"o": spec.name},
                f"The {spec.name} is {where(state, scene, i)}.",
                tuple(f"The {spec.name} is {p}." for p in places),
            )
        )
        if sum(scene.objects[j].shape == spec.shape for j in seen) == 1:
            colours = ("red", "green", "blue", "yellow", "purple", "white")
            out.append(
                (
                    "colour",
                    {"o": spec.shape},
                    f"The {spec.shape} is {spec.colour}.",
                    tuple(f"The {spec.shape} is {c}." for c in colours),
                )
            )
    return out


def phrase_question(kind: str, slots: dict[str, str], rng: np.random.Generator | None = None, held_out: bool = False) -> str:
    return pick(_QUESTIONS[kind], rng, held_out).format(**slots)


_SLOTS = {"{o}": r"\w+ \w+", "{t}": r"\w+ \w+", "{c}": "(?:" + "|".join(_COLUMN) + ")"}
_PATTERNS = [
    (kind, re.compile("".join(_SLOTS.get(part, re.escape(part)) for part in re.split(r"(\{\w\})", template))))
    for kind, templates in _CAPTIONS.items()
    for template in templates
]


def named_action(text: str) -> str | None:
    """The kind of event that a caption tells of, whatever objects it names; None where it follows no known template."""
    return next((kind for kind, pattern in _PATTERNS if pattern.fullmatch(text.strip())), None)
