# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""DecodePolicy: once per segment when it has settled, START first in every epoch, whatever order or loss the two topics bring."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vljepa_ros.streaming import DecodeParams, DecodePolicy, DecodeRequest, Embedding, Transition, Trigger

NS = 1_000_000_000
T0 = 1_700_000_000 * NS
A, B, C = np.eye(4, dtype=np.float32)[:3]


def embedding(t: float, vector=A, epoch=0, sequence=None, query="state", space="s", novelty=0.0) -> Embedding:
    sequence = round(t * 10) if sequence is None else sequence
    return Embedding(vector, T0 + round(t * NS), T0 + round((t - 1.4) * NS), epoch, sequence, space, query, "cam", novelty)


def transition(boundary: float, known: float, segment: int, after=B, epoch=0, space="s") -> Transition:
    return Transition(T0 + round(known * NS), T0 + round(boundary * NS), epoch, segment, T0, 1.0, 0.1, space, A, after, "cam")


def stream(start: float, end: float, vector=A, **kw) -> list[Embedding]:
    return [embedding(i / 10, vector, **kw) for i in range(round(start * 10), round(end * 10))]


def feed(policy: DecodePolicy, *things) -> list[DecodeRequest]:
    asked = []
    for one in things:
        got = policy.update(transition=one) if isinstance(one, Transition) else policy.update(one)
        if got is not None:
            asked.append(got)
    return asked


def triggers(asked: list[DecodeRequest]) -> list[str]:
    return [one.trigger.value for one in asked]


def at(request: DecodeRequest) -> float:
    return round((request.stamp_ns - T0) / NS, 3)


def test_a_still_stream_speaks_once():
    asked = feed(DecodePolicy(), *stream(0, 60))
    assert triggers(asked) == ["START"] and at(asked[0]) == 0.6
    one = asked[0]
    assert np.allclose(one.vector_D, A) and one.vector_D.dtype == np.float32
    assert (one.segment, one.epoch, one.segment_start_ns, one.query, one.space_id, one.frame_id) == (
        0,
        0,
        T0,
        "state",
        "s",
        "cam",
    )


def test_a_change_speaks_once_from_the_new_state_alone():
    asked = feed(DecodePolicy(), *stream(0, 5), *stream(5, 5.5, B), transition(5.0, 5.4, 1), *stream(5.5, 20, B))
    assert triggers(asked) == ["START", "CHANGE"] and at(asked[1]) == 5.6
    assert np.allclose(asked[1].vector_D, B) and asked[1].segment == 1 and asked[1].segment_start_ns == T0 + 5 * NS


def test_the_glide_before_the_new_state_stays_out_of_the_mean():
    glide = [embedding(5 + i / 10, C) for i in range(4)]
    asked = feed(DecodePolicy(), *stream(0, 5), *glide, *stream(5.4, 5.9, B), transition(5.0, 5.8, 1), *stream(5.9, 7, B))
    assert np.allclose(asked[1].vector_D, B)


def test_a_transition_that_is_old_enough_speaks_at_once():
    policy = DecodePolicy()
    feed(policy, *stream(0, 6))
    assert triggers(feed(policy, transition(5.0, 5.9, 1))) == ["CHANGE"]


def test_an_embedding_and_its_transition_may_come_in_one_call():
    policy = DecodePolicy()
    feed(policy, *stream(0, 6))
    got = policy.update(embedding(6.0, B), transition(5.0, 6.0, 1))
    assert got is not None and got.trigger is Trigger.CHANGE
    assert policy.update(None, None) is None


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(0, 12), min_size=3, max_size=3), st.integers(0, 10**6))
def test_order_between_the_topics_and_losses_move_neither_number_nor_meaning(delays, seed):
    """Three changes; each transition comes up to 1.2 s late, a third of the embeddings get lost."""
    random = np.random.default_rng(seed)
    states = [A, B, C, A]
    changes = [transition(5 * i, 5 * i + 0.5, i, states[i]) for i in (1, 2, 3)]
    heard = [one for i in range(4) for one in stream(5 * i, 5 * i + 5, states[i])]
    kept = [one for one in heard if random.random() > 0.33 or one.stamp_ns == T0]
    order = sorted(
        kept + changes, key=lambda one: one.stamp_ns + (delays[one.segment - 1] * NS // 10 if isinstance(one, Transition) else 1)
    )
    asked = feed(DecodePolicy(), *order)
    assert triggers(asked) == ["START", "CHANGE", "CHANGE", "CHANGE"]
    assert [one.segment for one in asked] == [0, 1, 2, 3]
    for one, state in zip(asked, states):
        assert one.vector_D @ state > 0.97


def test_transitions_before_all_their_embeddings_wait_for_the_state_to_settle():
    policy = DecodePolicy()
    assert triggers(feed(policy, *stream(0, 5))) == ["START"]
    assert feed(policy, transition(5.0, 5.4, 1)) == []
    assert [at(one) for one in feed(policy, *stream(5, 8, B))] == [5.6]


def test_a_transition_whose_embeddings_are_all_lost_speaks_from_its_own_vector():
    policy = DecodePolicy()
    feed(policy, *stream(0, 5))
    asked = feed(policy, transition(5.0, 5.7, 1))
    assert triggers(asked) == ["CHANGE"] and np.allclose(asked[0].vector_D, B) and at(asked[0]) == 5.7


def test_a_lost_transition_is_skipped_and_the_next_one_sets_the_count_right():
    asked = feed(
        DecodePolicy(), *stream(0, 5), *stream(5, 10, B), *stream(10, 10.5, C), transition(10, 10.4, 2, C), *stream(10.5, 15, C)
    )
    assert triggers(asked) == ["START", "CHANGE"] and asked[1].segment == 2 and np.allclose(asked[1].vector_D, C)


def test_a_transition_heard_twice_speaks_once():
    one = transition(5.0, 5.4, 1)
    asked = feed(DecodePolicy(), *stream(0, 5.5), one, *stream(5.5, 8, B), one, *stream(8, 9, B))
    assert triggers(asked) == ["START", "CHANGE"]


def test_a_segment_that_ends_before_it_settled_is_never_spoken_of():
    asked = feed(
        DecodePolicy(DecodeParams(settle_s=2.0)),
        *stream(0, 5.5),
        transition(5.0, 5.4, 1),
        *stream(5.5, 6.5, B),
        transition(6.1, 6.4, 2, C),
        *stream(6.5, 10, C),
    )
    assert triggers(asked) == ["START", "CHANGE"] and asked[1].segment == 2 and np.allclose(asked[1].vector_D, C)


def test_a_decoder_that_starts_in_mid_stream_says_start_and_then_counts_right():
    asked = feed(DecodePolicy(), *stream(100, 105, epoch=3), transition(105, 105.4, 57, epoch=3), *stream(105, 107, B, epoch=3))
    assert triggers(asked) == ["START", "CHANGE"] and [one.segment for one in asked] == [0, 57]
    assert asked[0].segment_start_ns == T0 + 100 * NS


def test_the_first_text_of_an_epoch_is_start_even_after_a_transition():
    asked = feed(DecodePolicy(), transition(4.9, 5.4, 7), *stream(5.4, 8, B), transition(9, 9.5, 8, C))
    assert triggers(asked)[0] == "START" and asked[0].segment == 7 and np.allclose(asked[0].vector_D, B)
    assert len(asked) == 1
    asked = feed(DecodePolicy(), embedding(5.0, A), embedding(5.1, A), transition(5.1, 5.5, 1), *stream(5.5, 8, B))
    assert triggers(asked) == ["START"] and asked[0].vector_D @ B > 0.99


def test_every_epoch_speaks_start_again():
    asked = feed(DecodePolicy(), *stream(0, 5), *stream(-100, -95, B, epoch=1), *stream(50, 55, C, epoch=4))
    assert triggers(asked) == ["START"] * 3 and [one.epoch for one in asked] == [0, 1, 4]
    assert [one.segment for one in asked] == [0, 1, 2]
    assert np.allclose(asked[1].vector_D, B) and np.allclose(asked[2].vector_D, C)


def test_a_late_transition_of_an_epoch_that_is_over_is_ignored():
    asked = feed(
        DecodePolicy(), *stream(0, 5), *stream(10, 12, B, epoch=1), transition(4.0, 4.9, 1, C), *stream(12, 14, B, epoch=1)
    )
    assert triggers(asked) == ["START", "START"]


def test_stragglers_of_an_old_epoch_are_ignored():
    late = stream(4.8, 5)
    asked = feed(DecodePolicy(), *stream(0, 4.8), *stream(10, 10.3, B, epoch=1), *late, *stream(10.3, 12, B, epoch=1))
    assert triggers(asked) == ["START", "START"] and np.allclose(asked[1].vector_D, B)


@pytest.mark.parametrize("epoch, start", [(0, 200.0), (0, -50.0), (2, 200.0), (2, -50.0)])
def test_a_predictor_that_begins_anew_is_heard(epoch, start):
    """Its epochs and sequences begin at 0 again, its segments too; its stamps may lie anywhere."""
    policy = DecodePolicy()
    feed(policy, *stream(100, 110, epoch=epoch), transition(105, 105.5, 9, epoch=epoch))
    anew = [embedding(start + i / 10, C, sequence=i) for i in range(30)]
    asked = feed(
        policy,
        *anew,
        transition(start + 3, start + 3.5, 1, A),
        *[embedding(start + i / 10, A, sequence=i) for i in range(30, 50)],
    )
    assert triggers(asked) == ["START", "CHANGE"] and [one.segment for one in asked] == [0, 1]
    assert np.allclose(asked[0].vector_D, C) and asked[0].epoch == 0


def test_another_space_is_another_stream():
    asked = feed(DecodePolicy(), *stream(0, 5), *stream(5, 8, B, space="other"))
    assert triggers(asked) == ["START", "START"] and [one.space_id for one in asked] == ["s", "other"]
    assert np.allclose(asked[1].vector_D, B)


def test_embeddings_of_other_queries_are_ignored():
    both = [one for t in range(30) for one in (embedding(t / 10, B, query="action"), embedding(t / 10, A, query="state"))]
    asked = feed(DecodePolicy(query="state"), *both)
    assert triggers(asked) == ["START"] and np.allclose(asked[0].vector_D, A)
    asked = feed(DecodePolicy(), *both)
    assert np.allclose(asked[0].vector_D, B) and asked[0].query == "action", "without a choice, the first query heard"


def test_repeated_embeddings_are_no_new_start():
    asked = feed(DecodePolicy(), *[one for each in stream(0, 5) for one in [each] * 5])
    assert triggers(asked) == ["START"]


def test_long_silence_is_broken_from_the_latest_state():
    asked = feed(DecodePolicy(DecodeParams(max_silence_s=5.0)), *stream(0, 3), *stream(3, 12.5, B))
    assert triggers(asked) == ["START", "MAX_SILENCE", "MAX_SILENCE"] and [at(one) for one in asked] == [0.6, 5.6, 10.6]
    assert np.allclose(asked[2].vector_D, B)


def test_a_change_puts_silence_off():
    asked = feed(DecodePolicy(DecodeParams(max_silence_s=5.0)), *stream(0, 5.4), transition(5.0, 5.4, 1), *stream(5.4, 10.5, B))
    assert triggers(asked) == ["START", "CHANGE"]


def test_long_after_a_transition_the_mean_is_of_the_latest_embeddings():
    asked = feed(
        DecodePolicy(DecodeParams(max_silence_s=5.0)),
        *stream(0, 5.5),
        transition(5, 5.4, 1, B),
        *stream(5.5, 7.5, B),
        *stream(7.5, 12, C),
    )
    assert triggers(asked)[-1] == "MAX_SILENCE" and asked[-1].vector_D @ C > 0.99
    assert asked[-1].segment == 1


def test_a_request_is_as_foreign_as_most_of_its_segment():
    one_s = [0.2, 3.0, 0.4, 3.0, 0.5, 0.3, 0.2, 0.3, 0.1, 0.1]
    asked = feed(DecodePolicy(), *(embedding(i / 10, novelty=n) for i, n in enumerate(one_s)))
    assert asked[0].familiar and asked[0].novelty == pytest.approx(0.4), "the median of the first seven"
    asked = feed(DecodePolicy(), *(embedding(i / 10, novelty=2.0 * (i != 3)) for i in range(10)))
    assert not asked[0].familiar and asked[0].novelty == 2.0


def test_the_segment_before_does_not_make_the_next_one_foreign():
    before = [embedding(i / 10, novelty=5.0) for i in range(40)]
    after = [embedding(i / 10, B, novelty=0.5) for i in range(40, 60)]
    asked = feed(DecodePolicy(), *before, *after[:5], transition(4.0, 4.4, 1), *after[5:])
    assert [(one.trigger.value, one.familiar) for one in asked] == [("START", False), ("CHANGE", True)]


def test_a_segment_of_which_no_embedding_was_heard_is_not_called_foreign():
    asked = feed(DecodePolicy(), embedding(0.0, novelty=9.0), transition(4.0, 4.8, 1))
    assert triggers(asked) == ["START"] and asked[0].novelty == 0.0 and asked[0].familiar


def test_a_novelty_that_is_no_number_is_foreign():
    assert not feed(DecodePolicy(), *(embedding(i / 10, novelty=float("nan")) for i in range(10)))[0].familiar
