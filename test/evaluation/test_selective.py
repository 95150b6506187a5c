# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Ways of choosing when to speak, on streams whose right answer is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.cluster import AgglomerativeClustering
from sklearn.feature_extraction.image import grid_to_graph

from vljepa_ros.evaluation import selective
from vljepa_ros.evaluation.selective import CLOCKED, RecordedEmbeddings, Setting, online, segments, sweep, uniform, ward
from vljepa_ros.evaluation.synthetic import KINDS, START_NS, SyntheticStream, make
from vljepa_ros.streaming import DecodeParams, TransitionParams

NS = 1_000_000_000


def recorded_of(stream: SyntheticStream) -> RecordedEmbeddings:
    stamps_s = np.array([(one.stamp_ns - START_NS) / NS for one in stream.embeddings])
    return RecordedEmbeddings(stamps_s, np.stack([one.vector_D for one in stream.embeddings]))


def a_stream(kind: str, seed: int = 0, rate_hz: float = 5.0) -> tuple[RecordedEmbeddings, list[float]]:
    made = make(replace(KINDS[kind], rate_hz=rate_hz), seed)
    return recorded_of(made), made.truth_s


def steps(*states: int, each: int = 4) -> RecordedEmbeddings:
    """`each` embeddings a second apart of every state, a state being a direction of its own."""
    vectors = np.repeat(np.eye(8, dtype=np.float32)[list(states)], each, axis=0)
    return RecordedEmbeddings(np.arange(len(vectors), dtype=float), vectors)


def test_a_clock_decodes_the_newest_embedding_in_the_middle_of_every_stride():
    recorded = steps(0, 1, 2)  # 0 to 11 s
    got = uniform(recorded, 2)
    assert got.times_s.tolist() == [2.75, 8.25] and got.vectors_ND.argmax(1).tolist() == [0, 2]
    assert uniform(recorded, 1).times_s.tolist() == [5.5]
    recorded, _ = a_stream("usual")
    got = uniform(recorded, 40)
    assert np.allclose(np.diff(got.times_s), recorded.seconds / 40)
    at = [np.flatnonzero(recorded.stamps_s <= t + 1e-9)[-1] for t in got.times_s]
    assert np.array_equal(got.vectors_ND, recorded.vectors_TD[at])


def test_a_pooling_clock_decodes_the_mean_of_the_stride():
    got = uniform(steps(0, 1, 2), 3, pooled=True)  # strides end at 11/3 and 22/3: four embeddings each
    assert np.allclose(got.vectors_ND, np.eye(8)[:3]) and np.array_equal(got.times_s, uniform(steps(0, 1, 2), 3).times_s)
    both = uniform(steps(0, 1), 1, pooled=True).vectors_ND[0]
    assert np.allclose(both[:2], np.sqrt(0.5)) and np.linalg.norm(both) == pytest.approx(1)


def test_a_stride_whose_embeddings_were_lost_takes_the_newest():
    recorded = RecordedEmbeddings(np.array([0.0, 1.0, 9.0, 10.0]), np.eye(4, dtype=np.float32))
    for pooled in (False, True):
        got = uniform(recorded, 4, pooled)  # strides of 2.5 s, nothing in the second and the third
        assert got.vectors_ND[1].tolist() == got.vectors_ND[2].tolist() == [0, 1, 0, 0]


@pytest.mark.parametrize("kind", ["usual", "noisy", "a third lost, bursts", "still"])
def test_one_tree_cut_anywhere_is_a_clustering_fitted_anew(kind):
    recorded, _ = a_stream(kind, seed=3)
    count = len(recorded.stamps_s)
    for n in (1, 2, 3, 7, 20, 61, count - 1, count):
        fitted = AgglomerativeClustering(n_clusters=n, linkage="ward", connectivity=grid_to_graph(count, 1))
        labels = fitted.fit(recorded.vectors_TD.astype(np.float64)).labels_ if n < count else np.arange(count)
        cuts = [0, *(np.flatnonzero(np.diff(labels)) + 1).tolist(), count]
        assert segments(recorded, n) == list(zip(cuts[:-1], cuts[1:])), n


@pytest.mark.parametrize("seed", range(4))
def test_ward_finds_the_states_and_speaks_in_their_middle(seed):
    recorded, truth_s = a_stream("quick events", seed, rate_hz=10.0)
    n = len(truth_s) + 1
    found = [recorded.stamps_s[a] for a, _ in segments(recorded, n)[1:]]
    assert np.abs(np.array(found) - truth_s).max() < 0.35
    exact, pooled = ward(recorded, n), ward(recorded, n, pooled=True)
    edges_s = [0.0, *truth_s, recorded.stamps_s[-1]]
    middles_s = np.array([(a + b) / 2 for a, b in zip(edges_s[:-1], edges_s[1:])])
    assert np.abs(exact.times_s - middles_s).max() < 0.4 and np.array_equal(exact.times_s, pooled.times_s)
    for (a, b), time_s, one, mean in zip(segments(recorded, n), exact.times_s, exact.vectors_ND, pooled.vectors_ND):
        at = int(np.flatnonzero((recorded.vectors_TD == one).all(1))[0])
        assert abs(recorded.stamps_s[at] - time_s) <= np.abs(recorded.stamps_s[a:b] - time_s).min() + 1e-9
        middle = recorded.vectors_TD[a:b].mean(0)
        assert np.allclose(mean, middle / np.linalg.norm(middle), atol=1e-5)


def test_pooling_a_state_comes_nearer_to_it_than_one_embedding():
    recorded, truth_s = a_stream("quick events", 1)
    clean = make(replace(KINDS["quick events"], rate_hz=5.0, white=0.0, shared=0.0, drift=0.0), 1)
    exact, pooled = (ward(recorded, len(truth_s) + 1, flag) for flag in (False, True))
    truth = ward(recorded_of(clean), len(truth_s) + 1).vectors_ND
    assert np.sum(pooled.vectors_ND * truth, 1).mean() > np.sum(exact.vectors_ND * truth, 1).mean() + 0.002


def test_online_says_each_state_after_it_began_from_embeddings_of_it():
    recorded, truth_s = a_stream("quiet", 2)
    got = online(recorded)
    assert len(got) == len(truth_s) + 1
    delays = got.times_s[1:] - truth_s
    assert (delays > 0).all() and delays.max() < 3.0
    for time_s, vector_D in zip(got.times_s, got.vectors_ND):
        at = int(np.flatnonzero(recorded.stamps_s <= time_s + 1e-6)[-1])
        assert vector_D @ recorded.vectors_TD[at] > 0.98


def test_online_knows_nothing_of_what_comes_later():
    recorded, _ = a_stream("usual", 5)
    changed = RecordedEmbeddings(recorded.stamps_s, recorded.vectors_TD.copy())
    changed.vectors_TD[150:] = np.roll(recorded.vectors_TD[150:], 17, axis=1)
    limit = recorded.stamps_s[150]
    for setting in (selective.SHIPPED, Setting(decode=DecodeParams(max_silence_s=1.0))):
        one, two = online(recorded, setting), online(changed, setting)
        before = one.times_s < limit - 1e-6
        assert before.sum() > 2 and np.array_equal(one.times_s[before], two.times_s[: before.sum()])
        assert np.array_equal(one.vectors_ND[before], two.vectors_ND[: before.sum()])
        assert not np.array_equal(one.vectors_ND[-1], two.vectors_ND[-1])


def test_the_sweep_covers_the_range_and_speaks_more_and_more():
    recorded, _ = a_stream("usual", 1)
    decodes = [len(online(recorded, setting)) for setting in sweep()]
    rates = np.array(decodes) / recorded.seconds
    assert decodes[0] == 1 and rates[-1] > 2
    by_hand = [r for r, s in zip(rates, sweep()) if s.transition.threshold]
    again = [r for r, s in zip(rates, sweep()) if s.decode.max_silence_s]
    assert by_hand == sorted(by_hand) and again == sorted(again) and len(by_hand) + len(again) == len(rates)
    assert all(s.decode == DecodeParams() or s.transition == TransitionParams() for s in sweep())


def test_a_stream_that_ends_before_anything_settled_says_nothing():
    got = online(RecordedEmbeddings(np.array([0.0, 0.2]), np.eye(2, 5, dtype=np.float32)))
    assert len(got) == 0 and got.vectors_ND.shape == (0, 5)


def test_a_rate_becomes_a_number_of_decodes():
    recorded = steps(0, 1, 2)  # 11 s
    assert [recorded.decodes_at(rate) for rate in (0.001, 0.1, 0.5, 1.0, 50.0)] == [1, 1, 6, 11, 12]
    for way in CLOCKED.values():
        assert len(way(recorded, 5)) == 5 and (np.diff(way(recorded, 5).times_s) > 0).all()
    alone = RecordedEmbeddings(np.array([3.0]), np.eye(1, 4, dtype=np.float32))
    assert all(way(alone, 1).times_s.tolist() == [3.0] for way in CLOCKED.values())


@pytest.mark.parametrize("way", CLOCKED.values(), ids=CLOCKED)
@pytest.mark.parametrize("n", [0, 13])
def test_impossible_numbers_of_decodes_are_named(way, n):
    with pytest.raises(ValueError, match=f"12 embeddings.*got {n}"):
        way(steps(0, 1, 2), n)


def test_streams_that_are_none_are_named():
    with pytest.raises(ValueError, match="ascend"):
        RecordedEmbeddings(np.array([0.0, 2.0, 1.0]), np.eye(3))
    with pytest.raises(ValueError, match="3 of 2"):
        RecordedEmbeddings(np.arange(3.0), np.eye(2))
    with pytest.raises(ValueError, match="got 0"):
        steps(0).decodes_at(0)
