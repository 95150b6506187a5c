# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Words of the tabletop world: every phrasing says one thing, held-out ones are reachable and never trained on."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vljepa_training.recipes import DESCRIBE, FINETUNE
from vljepa_training.tabletop import language
from vljepa_training.tabletop.balance import AnswerIndex, family
from vljepa_training.tabletop.dataset import training_stream
from vljepa_training.tabletop.phrases import ACTIONS, CAPTIONS, Phrasings, phrasings
from vljepa_training.tabletop.phrases_state import DRAWER, LAMP, PLACES, QUESTIONS
from vljepa_training.tabletop.samples import TabletopStore
from vljepa_training.tabletop.state import CHANGING, EVENTS, OPPOSITE
from vljepa_training.tabletop.synonyms import exchanged

RNG = np.random.default_rng


def words(text: str) -> list[str]:
    return re.findall(r"[a-z]+", re.sub(r"\{\w\}", "", text).lower())


def plain(text: str) -> str:
    return re.sub(r"\{(\w)\}", lambda m: m[1].lower(), text).lower().strip(" .?")


def everything() -> list[Phrasings]:
    return list(language.all_phrasings())


def test_every_list_is_long_free_of_repetition_and_held_out_is_never_in_training():
    trained = {plain(t) for p in everything() for t in p.train}
    for p in everything():
        assert len(set(p.all)) == len(p.all)
        assert 2 <= len(p.held_out) <= 4 and len(p.train) >= 7
        assert not trained & {plain(t) for t in p.held_out}
    for table in (ACTIONS, CAPTIONS, LAMP, DRAWER, PLACES, QUESTIONS):
        assert all(len(p.train) >= 10 for p in table.values())


def test_training_never_draws_a_held_out_phrasing_and_draws_all_others():
    never = {tuple(sorted(words(t))) for p in everything() for t in p.held_out}
    for p in everything():
        drawn = {p.pick(RNG(i)) for i in range(1000)}
        assert drawn >= set(p.train)
        assert not {tuple(sorted(words(t))) for t in drawn - set(p.train)} & never
        assert {p.pick(RNG(i), held_out=True) for i in range(100)} == set(p.held_out)
        assert p.pick() == p.train[0] and p.pick(held_out=True) == p.held_out[0]


def test_held_out_phrasings_recombine_words_of_training_and_are_no_near_copies():
    trained = [t for p in everything() for t in p.train]
    known = {w for t in trained for w in words(t)}
    unknown = set()
    for p in everything():
        for t in p.held_out:
            new = {w for w in words(t) if w not in known}
            assert len(new) <= 1, t
            assert all(sorted(words(t)) != sorted(words(other)) for other in p.train), t
            unknown |= new
    assert len(unknown) <= 15, unknown  # mostly forms of words that are known otherwise: "shutting" beside "shuts"


def test_exchanged_words_keep_what_is_meant():
    """Who acts, what the thing and the lamp are called: nothing else may change, and opposites stay as alike as they were."""
    agents, things = {"gripper", "robot", "hand", "arm"}, {"something", "an object", "a thing"}
    assert {exchanged("the gripper pushes something left", RNG(i)) for i in range(300)} == {
        f"the {a} pushes {t} left" for a in agents for t in things
    }
    for fixed in ("The lamp gives light.", "something is put on something else", "The drawer is open.", "The lamp turns dark."):
        assert len({exchanged(fixed, RNG(i)) for i in range(50)}) <= 1 + fixed.count("turns")
    for i in range(50):
        on, off = (exchanged(f"The lamp has been switched {word}.", RNG(i)) for word in ("on", "off"))
        assert on.replace(" on.", " off.") == off
    for p in everything():
        for t in p.train:
            slots = re.findall(r"\{\w\}", t)
            assert all(re.findall(r"\{\w\}", exchanged(t, RNG(i))) == slots for i in range(5))


def test_no_text_says_two_things():
    meaning: dict[str, str] = {}
    for table in (ACTIONS, CAPTIONS, LAMP, DRAWER, PLACES):
        for key, p in table.items():
            for t in p.all:
                shared = f"{'action' if table in (ACTIONS, CAPTIONS) else id(table)} {key}"
                assert meaning.setdefault(plain(t), shared) == shared, t
    asked: dict[str, str] = {}
    for key, p in QUESTIONS.items():
        for t in p.all:
            assert asked.setdefault(plain(t), key) == key, t


@pytest.mark.parametrize("kind", EVENTS)
def test_a_caption_names_its_action_and_no_other_in_every_phrasing(kind):
    for template in CAPTIONS[kind].all:
        text = template.format(o="red cube", t="blue ball", c="in the middle", C="In the middle")
        matching = {k for k, pattern in language._PATTERNS if pattern.fullmatch(text)}
        assert matching == {kind}, text
        assert language.named_action(f" {text}\n") == kind


def test_opposites_differ_in_few_words_and_never_share_a_text():
    for a, b in OPPOSITE.items():
        assert OPPOSITE[b] == a
        assert not set(map(plain, ACTIONS[a].all)) & set(map(plain, ACTIONS[b].all))
        assert not set(map(plain, CAPTIONS[a].all)) & set(map(plain, CAPTIONS[b].all))


def clips():
    for seed in range(30):
        s = training_stream(seed)
        for t in np.arange(1.5, 23.5, 0.5):
            if event := s.event_at(t, 1.4):
                yield s, t, event


def test_questions_about_an_event_hold_what_the_simulator_says_of_before_and_after():
    changed = set()
    for s, t, event in clips():
        before, after = s.state_at(event.start), s.state_at(t)
        asked = {(q.kind, q.slots.get("o")): q for q in language.event_questions(before, after, s.scene)}
        assert asked["before_lamp", None].answer == f"The lamp was {'on' if before.lamp_on else 'off'}."
        assert asked["after_drawer", None].answer == f"The drawer is {'open' if after.drawer_open else 'closed'}."
        for i, spec in enumerate(s.scene.objects):
            if before.visible(i):
                assert asked["before_where", spec.name].answer == f"The {spec.name} was {language.where(before, s.scene, i)}."
            assert (("after_where", spec.name) in asked) == after.visible(i)
        for q in asked.values():
            assert q.answer in q.candidates and len(set(q.candidates)) == len(q.candidates)
            for held_out in (False, True):
                assert "{" not in q.ask(RNG(0), held_out) + q.say(RNG(0), held_out)
            if q.answer_class.startswith("changed"):
                changed.add((event.kind, q.kind.split("_")[1]))
        if event.kind in ("wander", "nothing"):
            assert all(q.answer_class.startswith("unchanged") for q in asked.values())
    assert ("switch_on", "lamp") in changed and ("open_drawer", "drawer") in changed
    assert ("pick", "held") in changed and ("push_left", "where") in changed
    assert {k for k, what in changed if what == "lamp"} == {"switch_on", "switch_off"}


def test_a_state_in_other_words_keeps_its_order_and_its_facts():
    for s, t, _ in clips():
        state = s.state_at(t)
        canonical = language.state_text(state, s.scene)
        names = re.findall(r"The (\w+ (?:cube|ball|cylinder|cone)) is", canonical)
        for i in range(3):
            said = language.state_text(state, s.scene, RNG(i)).lower()
            assert said.count(".") == canonical.count(".")
            assert all(n in said for n in names)


@settings(max_examples=30, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(["lamp", "before_lamp", "before_where"]),
        st.dictionaries(st.text("ab", min_size=1), st.integers(1, 50), min_size=1, max_size=4),
        min_size=1,
    )
)
def test_answers_are_drawn_equally_often_however_rare_they_are(counts):
    index = AnswerIndex((k, c, (k, c, i)) for k, classes in counts.items() for c, n in classes.items() for i in range(n))
    rng = RNG(0)
    wanted = index.families[0]
    drawn = [index.draw(rng, wanted) for _ in range(600)]
    kinds = [k for k in counts if family(k) == wanted]
    for kind in kinds:
        of_kind = [c for k, c, item in drawn if k == kind and item[:2] == (k, c)]
        assert len(of_kind) > 0.6 * 600 / len(kinds)
        for c in counts[kind]:
            assert of_kind.count(c) > 0.5 * len(of_kind) / len(counts[kind])
    with pytest.raises(KeyError):
        index.draw(rng, "nobody asked")


def test_texts_of_one_meaning_are_told_and_others_kept_apart():
    assert language.meaning("Nothing happens.") == language.meaning("nothing happens")
    assert language.meaning("The red cube is in the gripper.") == "The gripper holds the red cube."
    assert language.meaning("The red cube is in the drawer.") == "The red cube is in the drawer."
    scene_meanings = {language.meaning(language.action_label(k)) for k in EVENTS}
    assert len(scene_meanings) == len(EVENTS)


def test_an_event_turned_round_still_has_a_caption():
    turned = 0
    for s, _, event in clips():
        if event.kind in OPPOSITE and event.kind in CHANGING:
            other = replace(event, kind=OPPOSITE[event.kind])
            assert language.caption(other, s.scene) != language.caption(event, s.scene)
            turned += 1
    assert turned > 20


def test_words_in_braces_are_filled_in_at_once():
    p = phrasings("go {side} |\n  to the {side} {o}", "off {side}", side="left")
    assert p.train == ("go left", "to the left {o}") and p.held_out == ("off left",)


def test_a_clip_is_trained_on_every_kind_of_query_in_words_that_mean_its_facts():
    store = object.__new__(TabletopStore)
    store.streams, store.length = [training_stream(s) for s in range(8)], 120
    seen = set()
    for s in range(8):
        for k in range(10, 119, 6):
            pairs = store.pairs(s, k, RNG([s, k]))
            seen |= {kind for kind, *_ in pairs}
            for kind in {p[0] for p in pairs}:
                assert {p[0] for p in store.pairs(s, k, RNG(0), only=kind)} == {kind}
            event = store.streams[s].event_at(k / 5, 1.4)
            assert ("before" in {p[0] for p in pairs}) == (event is not None)
            canonical = {p[3] for p in pairs}
            assert {q.answer for q in store.questions(s, k)} <= canonical
    assert seen == set(FINETUNE) >= set(DESCRIBE) and sum(FINETUNE.values()) == pytest.approx(sum(DESCRIBE.values())) == 1
