# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Composed phrasings: English, of one meaning each, opposites of equal build, none of them held out."""

from __future__ import annotations

import re
from collections import Counter, defaultdict

import numpy as np
import pytest

from vljepa_training.tabletop.composed import event_clauses, forms
from vljepa_training.tabletop.language import named_action
from vljepa_training.tabletop.phrases import _HELD_OUT, ACTIONS, CAPTIONS, _words
from vljepa_training.tabletop.phrases_state import DRAWER, LAMP
from vljepa_training.tabletop.state import EVENTS, OPPOSITE

RNG = np.random.default_rng
TABLES = {"label": ACTIONS, "caption": CAPTIONS, "lamp": LAMP, "drawer": DRAWER}
COMPOSED = [(name, key, p) for name, table in TABLES.items() for key, p in table.items() if p.composed]


@pytest.mark.parametrize(
    ("verb", "its"),
    [
        ("push", "pushes pushing pushed"),
        ("close", "closes closing closed"),
        ("drag", "drags dragging dragged"),
        ("shut", "shuts shutting shut"),
        ("lower", "lowers lowering lowered"),
    ],
)
def test_a_verb_in_its_forms(verb, its):
    assert " ".join(forms(verb)) == its


def test_whatever_somebody_does_to_a_thing_is_composed():
    assert {kind for kind in EVENTS if event_clauses(kind, True)} == set(EVENTS) - {"wander", "nothing"}
    assert {name for name, *_ in COMPOSED} == set(TABLES) and len(COMPOSED) == 12 + 12 + 2 + 2


@pytest.mark.parametrize(("name", "key", "p"), COMPOSED)
def test_hundreds_of_phrasings_in_the_form_of_the_listed_ones(name, key, p):
    texts = p.composed.all()
    assert len(texts) > 250
    for text in texts:
        assert not re.search(r"[A-Z]{2,}|  | [.]", text), text
        assert text[0].isupper() == text.endswith(".") == (name != "label"), text
        assert set(re.findall(r"\{\w\}", text)) <= set(re.findall(r"\{\w\}", p.train[0])), text


def test_no_composed_text_says_two_things_nor_what_a_listed_one_of_another_meaning_says():
    meanings = defaultdict(set)
    for name, key, p in COMPOSED:
        for text in (*p.composed.all(), *p.all):
            meanings[text.lower().strip(".")].add(("event" if name in ("label", "caption") else name, key))
    assert not {text: said for text, said in meanings.items() if len(said) > 1}


@pytest.mark.parametrize("kind", [kind for kind, p in CAPTIONS.items() if p.composed])
def test_a_composed_caption_names_its_action(kind):
    for template in CAPTIONS[kind].composed.all():
        assert named_action(template.format(o="red cube", t="blue ball", c="in the middle")) == kind, template
    assert named_action("The gripper can be seen grasping a white dog.") is None


def test_equal_draws_of_opposites_give_texts_that_differ_in_few_words():
    pairs = [(LAMP[True], LAMP[False]), (DRAWER[True], DRAWER[False])]
    told_apart = [(a, b) for a, b in OPPOSITE.items() if a not in ("place", "drop")]
    pairs += [(t[a], t[b]) for t in (ACTIONS, CAPTIONS) for a, b in told_apart]
    for a, b in pairs:
        assert [(len(x.clauses), len(x.words)) for x in a.composed.tables] == [
            (len(x.clauses), len(x.words)) for x in b.composed.tables
        ]
        other = []
        for i in range(300):
            one, two = (Counter(re.findall(r"\w+", p.composed.draw(RNG(i)).lower())) for p in (a, b))
            other.append(((one - two) + (two - one)).total())
        assert 0 < min(other) and max(other) <= 6 and np.mean(other) < 4, (a.train[0], max(other), np.mean(other))


def test_training_draws_composed_ones_a_third_of_the_time_and_none_that_is_held_out_whoever_acts():
    blocked = 0
    for _, _, p in COMPOSED:
        composed = p.composed.all()
        held = {t for t in composed if _words(t) in _HELD_OUT}
        picked = [p.pick(RNG(i)) for i in range(1000)]
        assert not held & (set(picked) - set(p.train))
        share = np.mean([t in composed and t not in p.train for t in picked])
        assert 0.2 < share < 0.6, "a third, and exchanged ones that may be composed too"
        blocked += len(held)
    assert blocked > 100
    assert {"shutting the drawer", "the robot shoves the drawer in by its handle"} <= ACTIONS["close_drawer"].composed.all()
