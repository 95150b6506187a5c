# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Search against brute force, in both modes, over every way in which an index comes to be."""
from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from vljepa_ros.memory import Mode, Question, SegmentReader, SegmentStore, VectorIndex, ask, recall
from vljepa_ros.memory import index as index_module

SPACE, DIM = "5bace00000000001", 32
OTHER = "5bace00000000002"


def brute(made, query_D, mode, count, since_ns=None, until_ns=None):
    """(id, score) of the best, the plain way. `made`: id -> segment, in the order of the stream."""
    out, before = [], None
    for id_, one in made.items():
        if one.space_id != SPACE:
            before = None
            continue
        score = float(one.vector_D.astype(np.float64) @ query_D)
        reach_ns = one.start_ns if mode is Mode.CHANGE else one.end_ns
        inside = (since_ns is None or reach_ns >= since_ns) and (until_ns is None or one.start_ns <= until_ns)
        if mode is Mode.STATE and inside:
            out.append((score, id_))
        if mode is Mode.CHANGE and inside and before is not None and before[0] == one.frame_id and score > before[1]:
            out.append((score - before[1], id_))
        before = (one.frame_id, score)
    return [(id_, score) for score, id_ in sorted(out, key=lambda pair: (-pair[0], -pair[1]))[:count]]


@pytest.fixture
def remembered(segments, vectors, tmp_path, monkeypatch):
    """`remembered(count, ...)` -> (id -> segment, index, reader, store); blocks are small, so that there are many."""
    monkeypatch.setattr(index_module, "BLOCK", 64)
    opened = []

    def make(count, loaded, running=True, foreign=0.0, cameras=1, seed=0):
        rng = np.random.default_rng(seed)
        made = segments(vectors(count, seed=seed))
        for k in range(count):
            fields = {"frame_id": f"camera {rng.integers(cameras)}" if rng.random() < 0.1 else "camera 0"}
            if rng.random() < foreign:
                fields |= {"space_id": OTHER, "vector_D": vectors(1, dim=int(rng.choice([16, 32, 48])), seed=k)[0]}
            made[k] = replace(made[k], **fields)
        store = SegmentStore(tmp_path / "m.sqlite")
        ids = store.write([(None, one) for one in made])
        reader = SegmentReader(store.path)
        opened.extend([reader, store])
        index = VectorIndex(SPACE, DIM)
        index.load(reader.vectors()) if loaded == count else None
        if loaded != count:  # some from the file, the others as they come
            part = list(zip(ids, made))
            head = SegmentStore(tmp_path / "head.sqlite")
            head.write([(None, one) for one in made[:loaded]])
            head_reader = SegmentReader(head.path)
            opened.extend([head_reader, head])
            index.load(head_reader.vectors())
            for id_, one in part[loaded : count - running]:
                index.update(id_, replace(one, vector_D=vectors(1, dim=len(one.vector_D), seed=9)[0]))
                index.add(id_, one)
            if running:
                index.update(*part[-1])
        return dict(zip(ids, made)), index, reader, store

    yield make
    for one in opened:
        one.close()


@pytest.mark.parametrize("mode", Mode)
@pytest.mark.parametrize("loaded", [0, 100, 700])
@pytest.mark.parametrize("foreign, cameras", [(0.0, 1), (0.2, 3)])
def test_it_finds_what_brute_force_finds(remembered, vectors, mode, loaded, foreign, cameras):
    made, index, reader, _ = remembered(700, loaded, foreign=foreign, cameras=cameras)
    starts = [one.start_ns for one in made.values()]
    ranges = [(None, None), (starts[0], starts[-1]), (starts[130], starts[460]), (starts[300] + 1, starts[300] + 2),
              (None, starts[63]), (starts[650], None), (starts[-1] + 10**12, None)]  # fmt: skip
    for k, (since_ns, until_ns) in enumerate(ranges):
        query = vectors(1, seed=100 + k)[0]
        for count in (1, 5, 1000):
            answer = recall(index, reader, Question(query, SPACE, mode, count, since_ns, until_ns))
            expected = brute(made, query, mode, count, since_ns, until_ns)
            assert [one.id for one in answer.recalled] == [id_ for id_, _ in expected]
            assert np.allclose([one.score for one in answer.recalled], [score for _, score in expected], atol=1e-5)
        assert all(one.segment.text == made[one.id].text for one in answer.recalled)
        within = [
            one for one in made.values()
            if (since_ns is None or (one.start_ns if mode is Mode.CHANGE else one.end_ns) >= since_ns)
            and (until_ns is None or one.start_ns <= until_ns)
        ]  # fmt: skip
        assert answer.searched == sum(one.space_id == SPACE for one in within)
        assert answer.skipped == sum(one.space_id != SPACE for one in within)


def test_when_was_the_drawer_opened(segments, remembered, vectors):
    """The state lasts for many segments, in which other things change; the change is one moment."""
    base, drawer, others = vectors(1)[0], vectors(1, seed=1)[0], vectors(60, seed=2)
    opened = {12, 40}
    is_open, states = False, []
    for k in range(60):
        is_open ^= k in (12, 25, 40, 55)
        mixed = base + 0.4 * others[k] + (0.5 if is_open else -0.5) * drawer
        states.append(mixed / np.linalg.norm(mixed))
    index = VectorIndex(SPACE, DIM)
    made = segments(np.array(states, np.float32))
    store = remembered(1, 1)[3]
    ids = store.write([(None, one) for one in made])
    for id_, one in zip(ids, made):
        index.add(id_, one)
    reader = SegmentReader(store.path)
    change = recall(index, reader, Question(drawer, SPACE, Mode.CHANGE, 2))
    assert {one.segment.segment for one in change.recalled} == opened
    assert all(one.before_ns == one.segment.start_ns for one in change.recalled), "no time lies between neighbours"
    state = recall(index, reader, Question(drawer, SPACE, Mode.STATE, 28))
    assert {one.segment.segment for one in state.recalled} == {*range(12, 25), *range(40, 55)}
    assert all(one.before_ns is None for one in state.recalled)
    reader.close()


def test_a_text_against_its_opposite_leaves_what_tells_them_apart(vectors):
    shared, apart = vectors(2, seed=3)
    apart = apart - (apart @ shared) / (shared @ shared) * shared
    text, opposite = (one / np.linalg.norm(one) for one in (shared + 0.2 * apart, shared - 0.2 * apart))
    query = ask(text, opposite)
    assert query.dtype == np.float32 and np.array_equal(ask(text), text)
    left = query - (query @ apart) / (apart @ apart) * apart
    assert np.linalg.norm(left) < 1e-6


def test_what_the_file_has_dropped_is_not_found(remembered, vectors):
    made, index, reader, _ = remembered(700, 300, foreign=0.1)
    ids = list(made)
    for through in (3, 64, 200, 201, 640):
        index.forget(through)
        left = {id_: one for id_, one in made.items() if id_ > through}
        assert index.view().rows.ids_N.tolist() == [id_ for id_, one in left.items() if one.space_id == SPACE]
        query = vectors(1, seed=through)[0]
        for mode in Mode:
            answer = recall(index, reader, Question(query, SPACE, mode, 700))
            assert [one.id for one in answer.recalled] == [id_ for id_, _ in brute(left, query, mode, 700)], (through, mode)
    index.forget(ids[-1])
    assert len(index) == 0


def test_dropped_between_search_and_reading(remembered, vectors):
    made, index, reader, store = remembered(20, 20)
    store._drop(5, "size")  # the index has not heard of it yet
    answer = recall(index, reader, Question(vectors(1)[0], SPACE, count=20))
    assert len(answer.recalled) == 15 and {one.id for one in answer.recalled} == set(list(made)[5:])


def test_an_empty_memory_answers(tmp_path, vectors):
    store = SegmentStore(tmp_path / "m.sqlite")
    reader, index = SegmentReader(store.path), VectorIndex(SPACE, DIM)
    index.load(reader.vectors())
    for mode in Mode:
        answer = recall(index, reader, Question(vectors(1)[0], SPACE, mode))
        assert (answer.recalled, answer.searched, answer.skipped) == ([], 0, 0)


def test_equal_scores_are_ranked_newest_first(remembered, segments, vectors):
    _, index, reader, store = remembered(1, 0, running=False)
    one = vectors(1, seed=7)[0]
    made = segments(np.array([one] * 50))
    for id_, segment in zip(store.write([(None, segment) for segment in made]), made):
        index.add(id_, segment)
    answer = recall(index, reader, Question(one, SPACE, count=5))
    assert [hit.segment.segment for hit in answer.recalled] == [49, 48, 47, 46, 45]


def test_a_view_stays_as_it_was_while_the_memory_goes_on(remembered, segments, vectors):
    made, index, _, _ = remembered(200, 150)
    query = vectors(1, seed=5)[0]
    view = index.view()
    before = view.scores(0, 200, query)
    for id_, one in zip(range(201, 901), segments(vectors(700, seed=8))):
        index.add(id_, one)
        if id_ % 50 == 0:
            index.forget(id_ - 150)
    assert np.array_equal(view.scores(0, 200, query), before) and view.rows.ids_N.tolist() == list(made)


@pytest.mark.parametrize(
    "fields, words",
    [
        ({"space_id": OTHER}, f"question of space {OTHER} to an index of {SPACE}"), ({"query_D": np.zeros(3)}, r"shape \(3,\)"),
        ({"count": 0}, "count must be from 1 to 1000, got 0"), ({"count": 1001}, "got 1001"),
        ({"since_ns": 5, "until_ns": 4}, "nothing lies between"),
    ],
)
def test_questions_that_cannot_be_asked(remembered, vectors, fields, words):
    _, index, reader, _ = remembered(3, 3)
    with pytest.raises(ValueError, match=words):
        recall(index, reader, replace(Question(vectors(1)[0], SPACE), **fields))
