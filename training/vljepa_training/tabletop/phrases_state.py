# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The words for how everything stands, as data: state sentences, answers and questions in many phrasings.

As in `phrases`, the first phrasing of a list is canonical. Slots: {o} an object ("red cube", in questions of colour the shape
alone), {t} what it stands on, {c} and {C} the column, {k} a colour, {n} and {N} a number. Knows nothing of the simulator.
"""

from __future__ import annotations

from .composed import drawer_clauses, lamp_clauses
from .phrases import Phrasings, phrasings

CAPTION_PROMPT = "Describe this video in one sentence."
ACTION_PROMPT = "What is the action shown?"
STATE_PROMPT = "What is the state of the scene?"
DETAIL_PROMPT = "Describe this video in detail."

LAMP = {
    True: phrasings(
        """The lamp is on. | The light is on. | The lamp has been switched on. | The lamp is lit. | The lamp is not off.
        | The lamp shines. | The light is shining. | The lamp gives light. | There is light from the lamp.
        | The light has been switched on. | The light is not off. | The light is not out. | The lamp is shining.
        | The lamp is now on. | Light comes from the lamp. | The lamp is not dark. | Somebody has turned on the lamp.
        | One can see the lamp shine. | The lamp is burning. | The lamp sends out light. | Light is given by the lamp.
        | Somebody has lit the lamp. | The lamp was lit. | The lamp is sending out light. | The lamp is shedding light.
        | The lamp is throwing light on the table. | The light is burning. | The light shines. | The lamp does shed light.
        | The lamp does not stay dark. | The light was lit. | The lamp has not been put out. | Somebody has lit the light.
        | The lamp, once dark, is shining.""",
        """The lamp has been turned on. | The lamp is giving light. | The light has been lit.""",
        lamp_clauses(True),
    ),
    False: phrasings(
        """The lamp is off. | The light is off. | The lamp has been switched off. | The lamp is dark. | The lamp is not on.
        | The lamp does not shine. | The light is out. | The lamp gives no light. | There is no light from the lamp.
        | The light has been switched off. | The light is not on.
        | The light is not lit. | The lamp is not shining. | The lamp is now off. | No light comes from the lamp.
        | The lamp is not lit.
        | Somebody has turned off the lamp. | One can see no light in the lamp. | The lamp is not burning.
        | The lamp sends out no light. | No light is given by the lamp. | Somebody has put out the lamp.
        | The lamp was put out. | The lamp is not sending out light. | The lamp is not shedding light.
        | The lamp is not throwing light on the table. | The light is not burning. | The light does not shine.
        | The lamp does not shed light. | The lamp stays dark. | The light was put out. | The lamp has not been lit.
        | Somebody has put out the light. | The lamp, once shining, is dark.""",
        """The lamp has been turned off. | The lamp is not giving light. | The light has been put out.""",
        lamp_clauses(False),
    ),
}
DRAWER = {
    True: phrasings(
        """The drawer is open. | The drawer stands open. | The drawer is pulled out. | The drawer has been opened.
        | The drawer is out. | The drawer has been pulled out. | The drawer is not closed. | The drawer is not shut.
        | The drawer stays open. | One can see into the drawer. | The drawer is not in. | The drawer is not pushed in.
        | The drawer is now open. | Somebody has opened the drawer. | Somebody has pulled out the drawer.
        | The drawer is wide open. | The drawer sticks out. | The drawer is standing open. | The drawer does not stand closed.
        | The drawer remains open. | The drawer remains pulled out. | The drawer has been drawn out. | The drawer was found open.
        | Somebody has left the drawer standing open. | The drawer was slid open.""",
        """The drawer has been left open. | The drawer stands pulled out. | The drawer has been pulled open.""",
        drawer_clauses(True),
    ),
    False: phrasings(
        """The drawer is closed. | The drawer stands closed. | The drawer is pushed in. | The drawer has been closed.
        | The drawer is in. | The drawer is shut. | The drawer is not open. | The drawer is not pulled out.
        | The drawer stays closed. | One can not see into the drawer. | The drawer is not out.
        | The drawer has not been pulled out. | The drawer is now closed. | Somebody has closed the drawer.
        | Somebody has shut the drawer.
        | The drawer is fully closed. | The drawer does not stick out. | The drawer is standing closed.
        | The drawer does not stand open. | The drawer remains shut. | The drawer remains pushed in.
        | The drawer has been slid in. | The drawer was found shut. | Somebody has left the drawer standing shut.
        | The drawer was slid shut.""",
        """The drawer has been left closed. | The drawer stands shut. | The drawer has been pushed in.""",
        drawer_clauses(False),
    ),
}
# Where one thing is, by the kind of its place.
PLACES = {
    "column": phrasings(
        """The {o} is {c}. | A {o} stands {c}. | {C} is a {o}. | There is a {o} {c}. | The {o} stands {c}. | {C} stands the {o}.
        | A {o} is {c}. | One can see the {o} {c}. | {C} there is a {o}. | The {o} has its place {c}. | The {o} can be seen {c}.
        | {C} one finds the {o}. | One finds a {o} {c}.""",
        """{C} one can see a {o}. | A {o} has its place {c}. | {C} the {o} can be found.""",
    ),
    "lying": phrasings(
        """The {o} is lying {c}. | A {o} lies {c}. | {C} lies a {o}. | There is a {o} lying {c}. | The {o} has fallen over {c}.
        | The {o} lies on its side {c}. | A {o} is lying on its side {c}. | {C} a {o} has fallen over. | {C} the {o} is lying.
        | One can see the {o} lying {c}. | {C} lies a fallen {o}. | {C} one finds the {o} on its side.
        | The fallen {o} lies {c}.""",
        """{C} the {o} is on its side. | A fallen {o} is {c}. | {C} there is a {o} on its side.""",
    ),
    "held": phrasings(
        """The {o} is in the gripper. | The gripper holds the {o}. | The {o} is held by the gripper.
        | The robot has the {o} in its hand. | A {o} is in the gripper. | The hand holds a {o}. | The arm carries the {o}.
        | The {o} is carried by the robot. | There is a {o} in the gripper. | In the hand is the {o}.""",
        """The {o} is held in the hand. | The robot carries a {o}. | One can see the {o} in the gripper.""",
    ),
    "drawer": phrasings(
        """The {o} is in the drawer. | A {o} is in the drawer. | The {o} lies in the drawer. | In the drawer is a {o}.
        | The drawer holds the {o}. | The {o} is inside the drawer. | There is a {o} inside the drawer.
        | The drawer contains a {o}. | Inside the drawer stands the {o}. | The {o} has its place in the drawer.""",
        """In the drawer there is a {o}. | The {o} can be found inside the drawer. | Inside the drawer one can see the {o}.""",
    ),
    "top": phrasings(
        """The {o} is on top of the {t}. | A {o} stands on top of the {t}. | The {o} stands on the {t}.
        | On top of the {t} is a {o}. | The {t} carries the {o}. | There is a {o} on the {t}. | One can see the {o} on the {t}.
        | The {o} stands upon the {t}. | Upon the {t} stands a {o}. | The {o} has its place on the {t}.""",
        """One can see a {o} upon the {t}. | The {o} can be found upon the {t}. | On top of the {t} there is a {o}.""",
    ),
}
EMPTY = phrasings(
    """The gripper holds nothing. | The gripper is empty. | The hand holds nothing. | Nothing is held.
        | Nothing is in the gripper. | The robot has nothing in its hand. | The arm carries nothing.
        | There is nothing in the gripper. | Nothing is held by the robot.""",
    """The hand is empty. | The robot carries nothing. | Nothing is in the hand.""",
)
COLOUR = phrasings(
    """The {o} is {k}. | It is a {k} {o}. | The colour of the {o} is {k}. | The {o} has the colour {k}. | A {k} {o}.
        | The {o} looks {k}. | This {o} is {k}. | There is a {k} {o}. | One can see that the {o} is {k}.
        | The {o} is a {k} one.""",
    """The {o}'s colour is {k}. | One can see a {k} {o} here. | This {o} looks {k}.""",
)
COUNT = {
    True: phrasings(
        """There is one object. | There is one thing. | One can see one object. | The number of objects is one.
        | One object is there. | The table has one object. | One thing can be seen. | One.""",
        """The number of things is one. | One object can be found. | The scene has one thing.""",
    ),
    False: phrasings(
        """There are {n} objects. | There are {n} things. | One can see {n} objects. | The number of objects is {n}.
        | {N} objects are there. | The table has {n} objects. | {N} things can be seen. | {N}.""",
        """The number of things is {n}. | {N} objects can be found. | The scene has {n} things.""",
    ),
}
# A sentence about the past, of the canonical one put into the past: {s} at a sentence's end and start.
PAST = phrasings(
    "{S}. | {S} before. | Before, {s}. | At first {s}. | {S} in the beginning. | Before that, {s}. | {S} at first.",
    "At the start {s}. | {S} at the start.",
)

QUESTIONS: dict[str, Phrasings] = {
    "action": phrasings(
        ACTION_PROMPT
        + """| Which action is this? | What is being done? | Which action is shown? | What action can be seen?
        | What is the robot doing? | What does the gripper do? | What is the hand doing? | Which action does the video show?
        | What is done here? | What is the arm doing on the table? | Tell me the action. | Say which action this is.""",
        "Name the action. | What does the robot do here? | Which action is being done?",
    ),
    "caption": phrasings(
        CAPTION_PROMPT
        + """| What happens in the video? | What happens? | Describe what happens. | Tell me what happens.
        | What can be seen in this video? | Write a sentence about this video. | What is going on? | What happens on the table?
        | Say what the video shows. | Give a short sentence for the video. | What does the video show?""",
        "Say in a sentence what is going on. | Describe in one sentence what is done here. | Tell me what the video shows.",
    ),
    "detail": phrasings(
        DETAIL_PROMPT
        + """| What happens, and how does everything stand? | Describe what happens and what can be seen. | Tell me everything.
        | What does the video show in detail? | Say what happens and where everything is. | Describe the video and the scene.
        | Give a long description of the video. | Write in detail what happens. | Describe everything in this video.""",
        """Tell me in detail what is going on. | Describe in detail what is done and how everything stands.""",
    ),
    "state": phrasings(
        STATE_PROMPT
        + """| Describe the scene. | What does the table look like? | How do things stand? | What is where?
        | Describe the table. | Tell me the state of the scene. | What is on the table, and how are the lamp and the drawer?
        | Give the state of everything. | How does the scene look? | What can be seen on the table?
        | Say where everything is.""",
        "Tell me how everything stands. | What is the state of the table? | How does everything look?",
    ),
    "lamp": phrasings(
        """Is the lamp on or off? | What is the state of the lamp? | Is the light on? | Is the lamp on? | Is the lamp off?
        | Is the light off or on? | Is the lamp lit? | Is the light shining? | Does the lamp give light?
        | Say if the lamp is lit. | Is the lamp switched on? | Has the lamp been turned off? | Is the lamp dark?""",
        "Does the lamp shine? | Is the light lit or dark? | Say if the lamp is turned on.",
    ),
    "drawer": phrasings(
        """Is the drawer open or closed? | What is the state of the drawer? | Is the drawer open? | Is the drawer closed?
        | Is the drawer shut? | Is the drawer pulled out? | Is the drawer shut or open? | Has the drawer been opened?
        | Does the drawer stand open? | Is the drawer pushed in? | Say if the drawer is open. | Can one see into the drawer?""",
        "Has the drawer been shut? | Does the drawer stand closed or open? | Say if the drawer is pushed shut.",
    ),
    "held": phrasings(
        """What does the gripper hold? | Which object is held? | What is in the gripper? | What does the robot hold?
        | What is held? | Is anything in the gripper? | Does the gripper hold anything? | Is the hand empty?
        | Tell me what the gripper holds. | What does the hand carry? | Which thing is in the hand?
        | Name the object in the gripper.""",
        "What is the gripper carrying? | Does the hand hold anything? | Which thing does the robot carry?",
    ),
    "where": phrasings(
        """Where is the {o}? | On which side is the {o}? | Where can the {o} be found? | Where does the {o} stand?
        | In which place is the {o}? | Say where the {o} is. | Where has the {o} been put? | What is the place of the {o}?
        | Tell me where the {o} is. | Where can one see the {o}? | Find the {o}. | The {o} is where?""",
        "Tell me the place of the {o}. | Say on which side the {o} can be found. | Where does one find the {o}?",
    ),
    "colour": phrasings(
        """What colour is the {o}? | Which colour has the {o}? | What is the colour of the {o}? | Which colour is the {o}?
        | What colour does the {o} have? | Tell me the colour of the {o}. | Of which colour is the {o}?
        | Say which colour the {o} has. | The {o} is of which colour? | What is the {o}'s colour? | How is the {o} coloured?
        | Which colour can be seen on the {o}?""",
        "Name the {o}'s colour. | Say of which colour the {o} is. | Tell me which colour the {o} has.",
    ),
    "count": phrasings(
        """How many objects are on the table? | How many things are there? | Count the objects. | How many objects can be seen?
        | How many objects are there? | Count the things on the table. | Tell me how many objects there are.
        | What number of things is there? | How many things can one see? | Say how many objects can be seen.""",
        "What is the number of objects? | Tell me the number of things. | How many objects does the table have?",
    ),
    "before_lamp": phrasings(
        """Was the lamp on or off before? | Was the lamp on before? | Was the light off before?
        | What was the state of the lamp before? | Was the light on at first? | Was the lamp off in the beginning?
        | Before that, was the lamp on or off? | Was the lamp lit before? | Tell me the state of the lamp at the start.
        | Did the lamp shine before?""",
        "In the beginning, was the light on? | Did the light shine at first? | Before, was the lamp dark or lit?",
    ),
    "before_drawer": phrasings(
        """Was the drawer open or closed before? | Was the drawer open before? | Was the drawer closed before?
        | Was the drawer shut at first? | What was the state of the drawer before? | Was the drawer open in the beginning?
        | Before that, was the drawer open or closed? | Was the drawer pulled out before?
        | Tell me the state of the drawer at the start. | Did the drawer stand open before?""",
        "In the beginning, was the drawer shut? | Did the drawer stand closed at first? | Before, was the drawer out or in?",
    ),
    "before_held": phrasings(
        """What did the gripper hold before? | Which object was held before? | What was in the gripper before?
        | What was held at first? | What did the robot hold in the beginning? | Was anything in the gripper before?
        | Before that, what did the gripper hold? | Was the hand empty before? | Tell me what was in the gripper at first.
        | Did the hand carry anything before?""",
        """In the beginning, what was in the hand? | Which thing did the robot hold at first?
        | Before, did the gripper carry anything?""",
    ),
    "before_where": phrasings(
        """Where was the {o} before? | On which side was the {o} before? | Where did the {o} stand before?
        | Where was the {o} at first? | Where was the {o} in the beginning? | Before that, where was the {o}?
        | In which place was the {o} before? | Tell me where the {o} was at first. | What was the place of the {o} before?
        | Where could the {o} be found before?""",
        """In the beginning, where did the {o} stand? | On which side could one find the {o} at first?
        | Say in which place the {o} was at first.""",
    ),
    "after_lamp": phrasings(
        """Is the lamp on or off now? | Is the lamp on now? | Is the light off now? | What is the state of the lamp now?
        | Is the light on after that? | Is the lamp off in the end? | After that, is the lamp on or off? | Is the lamp lit now?
        | Tell me the state of the lamp at the end. | Does the lamp shine after that?""",
        "In the end, is the light on? | Does the light shine now? | Now, is the lamp dark or lit?",
    ),
    "after_drawer": phrasings(
        """Is the drawer open or closed now? | Is the drawer open now? | Is the drawer closed now?
        | Is the drawer shut after that? | What is the state of the drawer now? | Is the drawer open in the end?
        | After that, is the drawer open or closed? | Is the drawer pulled out now?
        | Tell me the state of the drawer at the end. | Does the drawer stand open now?""",
        "In the end, is the drawer shut? | Does the drawer stand closed now? | Now, is the drawer out or in?",
    ),
    "after_held": phrasings(
        """What does the gripper hold now? | Which object is held now? | What is in the gripper now? | What is held after that?
        | What does the robot hold in the end? | Is anything in the gripper now? | After that, what does the gripper hold?
        | Is the hand empty now? | Tell me what is in the gripper at the end. | Does the hand carry anything now?""",
        "In the end, what is in the hand? | Which thing does the robot hold after that? | Now, does the gripper carry anything?",
    ),
    "after_where": phrasings(
        """Where is the {o} now? | On which side is the {o} now? | Where does the {o} stand now? | Where is the {o} after that?
        | Where is the {o} in the end? | After that, where is the {o}? | In which place is the {o} now?
        | Tell me where the {o} is at the end. | What is the place of the {o} now? | Where can the {o} be found now?""",
        """In the end, where does the {o} stand? | On which side can one find the {o} now?
        | Say in which place the {o} is after that.""",
    ),
}
