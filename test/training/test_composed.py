# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Composed phrasings: English, of one meaning each, opposites of equal build, none of them held out."""

from __future__ import annotations

import re
from collections import defaultdict

import numpy as np
import pytest

from vljepa_training.tabletop.composed import event_clauses, forms
from vljepa_training.tabletop.phrases import ACTIONS, CAPTIONS
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


def test_equal_draws_of_opposites_give_texts_of_equal_build():
    pairs = [(LAMP[True], LAMP[False]), (DRAWER[True], DRAWER[False])]
    pairs += [(t[a], t[b]) for t in (ACTIONS, CAPTIONS) for a, b in OPPOSITE.items()]
    for a, b in pairs:
        for i in range(200):
            one, other = (p.composed.draw(RNG(i)) for p in (a, b))
            shared = set(one.lower().strip(".").split()) & set(other.lower().strip(".").split())
            assert one != other and shared, (one, other)


def test_training_draws_composed_ones_a_third_of_the_time_and_none_that_is_held_out():
    p = ACTIONS["close_drawer"]
    composed = p.composed.all()
    held_out_but_for_who_acts = {"the robot shoves the drawer in by its handle", "shutting the drawer"}
    assert held_out_but_for_who_acts <= composed
    picked = [p.pick(RNG(i)) for i in range(3000)]
    assert {p.composed.draw(RNG(i)) for i in range(300)} <= composed
    assert not held_out_but_for_who_acts & set(picked)
    assert 0.2 < np.mean([t in composed and t not in p.train for t in picked]) < 0.4
