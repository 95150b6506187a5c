# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Batches of worker processes: the same ones in the same order however many times it is broken off, and a dead worker is told."""

from __future__ import annotations

import io
import multiprocessing
import os
import re
import signal
import sys
from collections import Counter, namedtuple
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest
import torch

from vljepa_training.sources import loader as loaders
from vljepa_training.sources.listing import read_listing
from vljepa_training.sources.loader import Loader, LoaderError
from vljepa_training.sources.media import Shape
from vljepa_training.sources.sample import Share

sys.path.append(str(Path(__file__).parent))
from source_files import collate, make_many, refuse, write_listing

STEPS, ROWS = 20, 3


@pytest.fixture(scope="module")
def mixture(tmp_path_factory) -> partial:
    root = tmp_path_factory.mktemp("data")
    listing = read_listing(write_listing(root, make_many(root)))
    return partial(listing.mixture, {"image": 2, "video": 1, "vqa": 1}, Shape(4, 32), 3)


@pytest.fixture
def load(mixture):
    """`load(workers, ...)`; all are closed."""
    made = []

    def make(workers: int, collate=collate, **more) -> Loader:
        made.append(Loader(mixture, collate, ROWS, workers, **more))
        return made[-1]

    yield make
    for one in made:
        one.close()


def through_a_file(state: dict) -> dict:
    """As last.pt keeps it."""
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


def same(one: dict, other: dict) -> bool:
    tensors = all(torch.equal(one[k], other[k]) and one[k].dtype == other[k].dtype for k in ("frames", "length", "none"))
    return tensors and one["key"] == other["key"]


def by_hand(mixture, workers: int, steps: int) -> tuple[list[dict], list[Counter]]:
    """What the batches must be: worker s % workers makes the batch of step s. And what was skipped before each step."""
    parts = [mixture(Share(0, 1, worker, workers)) for worker in range(workers)]
    batches, broken = [], [Counter()]
    for step in range(steps):
        batches.append(collate(parts[step % workers].batch(ROWS)))
        broken.append(sum((source.broken for part in parts for source in part.sources), Counter()))
    return batches, broken


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_broken_off_after_any_step_gives_the_same_batches(mixture, load, workers):
    expected, broken = by_hand(mixture, max(1, workers), STEPS)
    assert broken[-1].total() >= 5 and len(broken[-1]) >= 3 and len({key for batch in expected for key in batch["key"]}) > 20
    whole, states = load(workers), []
    for batch in expected:
        states.append(through_a_file(whole.state_dict()))
        assert same(whole.next(), batch)
    states.append(through_a_file(whole.state_dict()))
    report = whole.report()
    for stop in range(STEPS + 1) if workers == 0 else (0, 1, 4, STEPS - 1):
        skipped = [Counter(one["broken"]) for part in states[stop]["states"] if part for one in part["sources"]]
        assert sum(skipped, Counter()) == broken[stop], "what was made ahead does not count"
        resumed = load(workers, step=stop, state=states[stop])
        assert all(same(resumed.next(), batch) for batch in expected[stop:])
        assert resumed.state_dict() == states[-1]
        if stop < STEPS - workers:
            assert resumed.report() == report
        resumed.close()
    told = Counter()
    for count, cause in re.findall(r"(\d+) ([a-z ]+)(?=[,)])", report):
        told[cause] += int(count)
    assert told == broken[-1] and report.count("\n") == 2


def test_one_worker_is_as_good_as_none(load):
    here = load(0)
    for _ in range(3):
        here.next()
    there = load(1, step=3, state=here.state_dict())
    assert all(same(here.next(), there.next()) for _ in range(4))


def test_ranks_read_different_records(load):
    seen = []
    for rank in range(2):
        loader = load(0, rank=rank, ranks=2)
        seen.append([key for _ in range(3) for key in loader.next()["key"] if "gqa" in key])
    assert seen[0] and seen[1] and not set(seen[0]) & set(seen[1])


def test_a_state_of_something_else_is_refused(load):
    loader = load(0)
    loader.next()
    state = loader.state_dict()
    for wrong, said in (
        ({"workers": 2, "step": 1}, "workers 1, this is 2: go on with workers 1 .--workers."),
        ({"workers": 0, "step": 1, "ranks": 2}, "ranks 1, this is 2: go on with ranks 1"),
        ({"workers": 0, "step": 1, "rank": 1, "ranks": 2}, "rank 0, this is 1"),
        ({"workers": 0, "step": 5}, "step 1, this is 5"),
    ):
        with pytest.raises(ValueError, match=said):
            load(**wrong, state=state)
    with pytest.raises(ValueError, match="workers .* at least 0, got 3, -1"):
        load(-1)


def test_without_its_state_a_run_begins_an_epoch_of_its_own(mixture, load):
    """Every record of the sources comes once, in an order that was not yet seen, and the same again at another try."""
    gqa = partial(mixture.func, {"vqa": 1}, Shape(4, 32), 3)
    first, later, again = (Loader(gqa, collate, 5, 0, step=step) for step in (0, 6, 6))
    order = [[key for _ in range(3) for key in one.next()["key"]] for one in (first, later, again)]
    assert order[0] != order[1] == order[2]
    assert sorted(order[0]) == sorted(order[1]) and len(set(order[0])) == 15
    resumed = Loader(gqa, collate, 5, 0, step=9, state=later.state_dict())
    assert same(resumed.next(), later.next())


@pytest.mark.parametrize("workers", [0, 2])
def test_an_error_in_a_worker_reaches_next_with_its_message(load, workers):
    loader = load(workers, collate=refuse)
    for _ in range(2):
        with pytest.raises(LoaderError, match="worker 0 of rank 0, step 0: KeyError: '3 samples are not to my taste'"):
            loader.next()


def test_sources_that_cannot_be_opened_are_told_from_workers(mixture):
    loader = Loader(mixture, collate, ROWS, 5)
    with pytest.raises(LoaderError, match=r"entry 1 \(shards\): .*4 shards for 1 ranks of 5 workers.*lower workers to 4"):
        loader.next()
    loader.close()


def test_a_worker_that_is_killed_ends_the_training_and_not_in_silence(load):
    """In a thread, as the trainer asks for batches, and without torch's handler of the signal, which is the main thread's."""
    handler = signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    try:
        before = set(multiprocessing.active_children())
        with ThreadPoolExecutor(1) as thread:
            loader = load(2)
            thread.submit(loader.next).result(timeout=120)
            started = [one for one in multiprocessing.active_children() if one not in before]
            assert len(started) == 2
            os.kill(started[1].pid, signal.SIGKILL)
            with pytest.raises(LoaderError, match="worker . of rank 0, step .*dead.*: go on from the last checkpoint"):
                for _ in range(1000):  # what was made ahead may still come
                    thread.submit(loader.next).result(timeout=120)
        for one in started:
            one.join(timeout=60)
            assert one.exitcode is not None
    finally:
        signal.signal(signal.SIGCHLD, handler)


def test_a_training_draws_the_same_numbers_with_and_without(load):
    torch.manual_seed(5)
    drawn = torch.rand(3)
    torch.manual_seed(5)
    load(2).next()
    assert torch.equal(torch.rand(3), drawn)


def test_shared_memory_that_is_full_is_said_before_it_is_written_to(monkeypatch):
    monkeypatch.setattr(loaders.shutil, "disk_usage", lambda folder: namedtuple("Usage", "free")(1_000_000))
    with pytest.raises(MemoryError, match=r"a batch takes 4.0 MB in /dev/shm, 1.0 MB are free: .*--shm-size.*fewer workers"):
        loaders._packed(({"frames": torch.zeros(1_000_000)}, {}, None))
