# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The tabletop world without pictures: what happens is possible, exact and repeatable."""

from __future__ import annotations

import numpy as np
import pytest

from vljepa_training.tabletop import language
from vljepa_training.tabletop.dataset import training_stream
from vljepa_training.tabletop.motion import Channel
from vljepa_training.tabletop.scene import HELD_OUT_PAIRS, ROW_Y, sample_scene
from vljepa_training.tabletop.state import CHANGING, EVENTS, WorldState
from vljepa_training.tabletop.stream import Stream

SEEDS = range(40)


def facts(state: WorldState) -> list:
    return [state.lamp_on, state.drawer_open, *state.objects]


@pytest.mark.parametrize("gap_s", [(2.0, 10.0), (1.8, 4.5)])
def test_boundaries_are_the_ends_of_changing_events_at_irregular_gaps(gap_s):
    for seed in SEEDS:
        s = Stream(seed, 60.0, gap_s=gap_s)
        starts = [g.start_s for g in s.segments]
        assert starts[0] == 0.0
        assert starts[1:] == [e.end for e in s.events if e.kind in CHANGING]
        gaps = np.diff(starts)
        assert (gaps >= gap_s[0] - 1e-9).all() and (gaps <= gap_s[1] + 1e-9).all()


def test_every_event_changes_the_facts_it_should_and_only_at_its_end():
    kinds = set()
    for seed in SEEDS:
        s = Stream(seed, 60.0)
        for e in s.events:
            before, just_before, after = s.state_at(e.start), s.state_at(e.end - 1e-6), s.state_at(e.end)
            assert just_before == before
            changed = sum(a != b for a, b in zip(facts(before), facts(after)))
            assert changed == (1 if e.kind in CHANGING else 0), e
            kinds.add(e.kind)
    assert kinds == {*EVENTS, "attempt"} - {"nothing"}


def test_the_world_stays_possible():
    for seed in SEEDS:
        s = Stream(seed, 60.0)
        for _, state in s.script.states:
            slots = [o.slot for o in state.objects if o.slot is not None]
            assert len(slots) == len(set(slots)), "two objects in one place"
            assert sum(o.held for o in state.objects) <= 1
            for o in state.objects:
                assert sum([o.slot is not None, o.held, o.in_drawer, o.on is not None]) == 1
                assert o.on is None or state.objects[o.on].slot is not None
        for a, b in zip(s.events, s.events[1:]):
            assert a.start < a.end <= a.rest <= b.start + 1e-9


def test_objects_move_only_while_an_event_runs():
    for seed in SEEDS:
        s = Stream(seed, 40.0)
        busy = [(e.start, e.rest) for e in s.events]
        for t in np.arange(0, 39.0, 0.25):
            if not any(a - 0.01 <= t + d <= b + 0.01 for a, b in busy for d in (0.0, 0.1)):
                for channel in (*s.script.objects, s.script.tip, s.script.tray):
                    np.testing.assert_allclose(channel.at(t), channel.at(t + 0.1), atol=1e-12)


def test_what_is_given_up_leaves_all_as_it_was():
    seen, moved = set(), 0.0
    for seed in range(60):
        s = training_stream(seed, "busy")
        for e in (e for e in s.events if e.kind == "attempt"):
            held = s.state_at(e.start).held
            for i, channel in enumerate((*s.script.objects, s.script.tray)):
                if i != held:
                    np.testing.assert_allclose(channel.at(e.start), channel.at(e.rest), atol=1e-9)
                    times = np.linspace(e.start, e.end, 9)
                    moved = max(moved, *(np.abs(channel.at(t) - channel.at(e.start)).max() for t in times))
            reached = [s.script.tip.at(t)[2] for t in np.linspace(e.start, e.end, 30)]
            assert max(reached) - min(reached) > 0.02, "it sets out for something"
            assert s.event_at((e.start + e.end) / 2 + 0.3, 1.4) is None
            seen.add(held is None)
    assert seen == {True, False} and moved > 0.03, "some are begun and taken back"


def test_plain_streams_have_no_clutter_and_of_the_others_half_do():
    assert not any(training_stream(s).scene.props or training_stream(s).busy for s in range(20))
    assert all(training_stream(s, "busy").busy for s in range(20))
    assert 60 < sum(Stream(s, 20.0).busy for s in range(200)) < 140
    props = [len(training_stream(s, "busy").scene.props) for s in range(100)]
    assert min(props) <= 1 and max(props) >= 5 and np.mean(props) > 2


def test_no_training_table_is_teal():
    for seed in range(300):
        r, g, b = training_stream(seed, "busy").scene.table_rgb[0]
        assert g <= r or b <= r
        r, g, b = Stream(seed, 4.0, split="heldout_texture").scene.table_rgb[0]
        assert g > r and b > r


def test_a_push_moves_to_the_side_it_says():
    seen = set()
    for seed in SEEDS:
        s = Stream(seed, 60.0)
        for e in s.events:
            if e.kind in ("push_left", "push_right"):
                dx = s.script.objects[e.object].at(e.end)[0] - s.script.objects[e.object].at(e.start)[0]
                assert (dx < -0.1) == (e.kind == "push_left") and abs(dx) > 0.1
                seen.add(e.kind)
    assert seen == {"push_left", "push_right"}


def test_the_same_seed_is_the_same_stream_and_splits_share_nothing():
    a, b, c = Stream(5, 30.0), Stream(5, 30.0), Stream(5, 30.0, split="train")
    assert a.segments == b.segments and a.scene == b.scene
    assert a.scene != c.scene


def test_held_out_pairs_are_never_in_training_and_always_in_their_split():
    rng = np.random.default_rng(0)
    for _ in range(300):
        assert not {(o.colour, o.shape) for o in sample_scene(rng, "train").objects} & set(HELD_OUT_PAIRS)
        assert {(o.colour, o.shape) for o in sample_scene(rng, "heldout_pairs").objects} & set(HELD_OUT_PAIRS)


def test_event_at_names_what_a_clip_shows():
    shown = set()
    for seed in range(200):
        s = training_stream(seed)
        for e in s.events:
            if e.kind in CHANGING and e.end > 1.5:
                assert s.event_at(e.end + 0.1, 1.4) == e
                assert s.event_at(e.end - 0.05, 1.4) in (None, *s.events[: s.events.index(e)])
        shown |= {e.kind for t in np.arange(1.5, 23.5, 0.4) if (e := s.event_at(t, 1.4))}
    assert shown == set(EVENTS)


def test_captions_name_their_action_in_every_phrasing():
    rng = np.random.default_rng(0)
    for seed in SEEDS:
        s = Stream(seed, 60.0)
        for e in (e for e in s.events if e.kind in EVENTS):
            for held_out in (False, True):
                assert language.named_action(language.caption(e, s.scene, rng, held_out)) == e.kind
    assert language.named_action("A dog runs.") is None


def test_questions_hold_their_answer_among_distinct_candidates():
    for seed in SEEDS:
        s = Stream(seed, 30.0)
        for _, state in s.script.states:
            for q in language.questions(state, s.scene):
                assert q.answer in q.candidates and len(set(q.candidates)) == len(q.candidates)
                assert "{" not in q.ask() + q.say(np.random.default_rng(0))


def test_equal_states_have_equal_texts_and_a_changed_visible_fact_changes_the_text():
    for seed in SEEDS:
        s = Stream(seed, 60.0)
        texts = [g.state for g in s.segments]
        assert all(a != b for a, b in zip(texts, texts[1:]))


def test_channel_refuses_to_go_back_in_time():
    c = Channel([0.0])
    c.move(1.0, 2.0, [1.0])
    assert c.at(1.5)[0] == pytest.approx(0.5) and c.at(9.0)[0] == 1.0 and c.at(-1.0)[0] == 0.0
    with pytest.raises(ValueError, match="2.000 s"):
        c.move(1.5, 3.0, [2.0])


def test_bad_length_names_the_value():
    with pytest.raises(ValueError, match="-1"):
        Stream(0, -1.0)


def test_rows_leave_room_for_the_open_drawer():
    from vljepa_training.tabletop.scene import CABINET_POS, DRAWER_TRAVEL, TRAY_HALF

    front = CABINET_POS[1] - DRAWER_TRAVEL - TRAY_HALF[1] - 0.04
    assert max(ROW_Y) + 0.065 + 0.015 < front + 0.03
