# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Every source on files in its exact format, with broken ones among them: samples, causes, order, shares."""

from __future__ import annotations

import json
import sqlite3
import sys
from pathlib import Path

import numpy as np
import pytest

from vljepa_training.sources import folders, shards
from vljepa_training.sources.annotated import Annotated
from vljepa_training.sources.media import Shape, clip
from vljepa_training.sources.mixture import Mixture
from vljepa_training.sources.sample import BrokenSampleError, Share, Source

sys.path.append(str(Path(__file__).parent))
from source_files import QUERY, RAMP, SHAPE, SOURCES, jpeg, make_bag, make_folders, make_gqa, make_lerobot, mp4, tar


@pytest.fixture(params=SOURCES)
def case(request, tmp_path):
    make, targets, broken = SOURCES[request.param]
    return make(tmp_path), targets, broken


def epoch_of(source: Source) -> list:
    """The samples of the first epoch; the next one has begun."""
    out = []
    while (sample := source.next()) and source.epoch == 0:
        out.append(sample)
    return out


def test_samples_and_causes(case):
    make, targets, broken = case
    source = make()
    samples = epoch_of(source)
    assert {one.target for one in samples} == targets and len(samples) == len(targets)
    for one in samples:
        assert one.frames_THWC.dtype == np.uint8 and one.frames_THWC.shape in ((1, 32, 32, 3), (4, 32, 32, 3))
        assert one.query
    total = {}
    for _, load in make().records(0):
        try:
            load()
        except BrokenSampleError as error:
            total[error.cause] = total.get(error.cause, 0) + 1
    assert total == broken
    assert all(n <= source.broken[cause] <= 2 * n for cause, n in broken.items()) and set(source.broken) == set(broken)
    assert all(cause in source.report() for cause in broken)


def test_resumed_in_the_same_order(case):
    make, _, _ = case
    whole = make(seed=3)
    order = [(one.key, one.target) for _, one in zip(range(9), whole)]
    for stop in (0, 1, 4):
        first = make(seed=3)
        for _ in range(stop):
            first.next()
        second = make(seed=3)
        second.load_state_dict(json.loads(json.dumps(first.state_dict())))
        assert [(one.key, one.target) for _, one in zip(range(9 - stop), second)] == order[stop:]
        assert second.broken == whole.broken
    with pytest.raises(ValueError, match="saved order is of seed"):
        make(seed=4).load_state_dict(whole.state_dict())


def test_shares_are_parts_of_the_whole(case):
    make, _, _ = case
    keys = [[key for key, _ in make(share=Share(rank, 2)).records(0)] for rank in range(2)]
    assert all(keys) and sorted(keys[0] + keys[1]) == sorted(key for key, _ in make().records(0))
    with pytest.raises(ValueError, match="workers"):
        make(share=Share(0, 100))


def test_a_clip_spreads_over_its_span(tmp_path):
    (tmp_path / "v.mp4").write_bytes(mp4(RAMP))
    greys = clip(tmp_path / "v.mp4", SHAPE).mean((1, 2, 3))
    assert np.abs(greys - [20, 80, 140, 210]).max() < 12 and np.all(np.diff(greys) > 40)
    greys = clip(tmp_path / "v.mp4", SHAPE, 1.0, 2.0).mean((1, 2, 3))
    assert np.abs(greys - [120, 150, 180, 210]).max() < 12


def test_episodes_of_one_file_are_told_apart(tmp_path):
    greys = {one.target: one.frames_THWC.mean() for one in epoch_of(make_lerobot(tmp_path)())}
    assert greys["Pick."] < 50 and greys["Place."] > 180


def test_a_source_without_a_good_sample_says_so(tmp_path):
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "1.jpg").write_bytes(b"x")
    with pytest.raises(ValueError, match="none of 1 records can be used: 1 skipped .1 bad picture"):
        folders.folders(tmp_path, SHAPE, QUERY).next()


def test_a_mixture_keeps_weights_and_resumes(tmp_path):
    def make() -> Mixture:
        return Mixture([folder_source(), gqa_source()], [3, 1], seed=1)

    for name in ("f", "g"):
        (tmp_path / name).mkdir()
    folder_source, gqa_source = make_folders(tmp_path / "f"), make_gqa(tmp_path / "g")
    whole = make()
    order = [one.key for one in whole.batch(60)]
    assert 8 <= order.count("02930152") <= 22  # a quarter
    first, second = make(), make()
    first.batch(25)
    second.load_state_dict(json.loads(json.dumps(first.state_dict())))
    assert [one.key for one in second.batch(35)] == order[25:] and second.report() == whole.report()
    with pytest.raises(ValueError, match="weight"):
        Mixture([folder_source()], [0.0])


def test_an_annotated_bag_is_a_source_too(tmp_path):
    bag, segments = make_bag(tmp_path)

    def make(**k) -> Source:
        return Annotated(bag, segments, Shape(4, 32, 0.1), "Lamp?", "What happened?", **k)

    samples = epoch_of(make())
    asked = {(one.query, one.target) for one in samples}
    assert asked == {
        ("Lamp?", "The lamp is off."),
        ("Lamp?", "The lamp is on."),
        ("What happened?", "Somebody turns the lamp on."),
    }
    for one in samples:
        assert one.frames_THWC.shape == (4, 32, 32, 3)
        assert one.query != "Lamp?" or (one.frames_THWC[-1].mean() > 100) == (one.target == "The lamp is on.")
    whole = make(seed=3)
    order = [one.key for _, one in zip(range(12), whole)]
    assert order[: len(samples)] != sorted(order[: len(samples)]) and len(samples) < 12, "no epoch is by time"
    first, second = make(seed=3), make(seed=3)
    for _ in range(5):
        first.next()
    second.load_state_dict(json.loads(json.dumps(first.state_dict())))
    assert [one.key for _, one in zip(range(7), second)] == order[5:]
    keys = [[key for key, _ in make(share=Share(rank, 2)).records(0)] for rank in range(2)]
    assert all(keys) and sorted(keys[0] + keys[1]) == sorted(key for key, _ in make().records(0))
    with pytest.raises(ValueError, match="no record.*lower workers"):
        make(share=Share(0, 1, 90, 100)).next()


@pytest.mark.parametrize(
    ("share", "said"),
    [
        (Share(0, 1, 0, 9), "5 records for 1 ranks of 9 workers.*lower workers to 5"),
        (Share(0, 2, 0, 3), "lower workers to 2"),
        (Share(0, 7, 0, 1), "lower workers to 1 and ranks to 5"),
    ],
)
def test_too_many_workers_are_told_what_to_lower(tmp_path, share, said):
    with pytest.raises(ValueError, match=said):
        make_gqa(tmp_path)(share=share)


def test_an_annotated_bag_gives_clips_of_the_papers_size(tmp_path):
    bag, segments = make_bag(tmp_path)
    sample = Annotated(bag, segments, Shape(frames=16, size=256), "Lamp?").next()
    assert sample.frames_THWC.shape == (16, 256, 256, 3) and sample.target == "The lamp is on."
    greys = sample.frames_THWC.mean((1, 2, 3))  # 16 frames, 0.25 s apart, reach back to where it was dark
    assert greys[0] < 60 and greys[-1] > 180 and 6 <= (greys < 100).sum() <= 8


def test_images_of_a_bag_that_cannot_be_used_are_counted_once(tmp_path):
    bag, segments = make_bag(tmp_path, "sqlite3")
    with sqlite3.connect(next(bag.glob("*.db3"))) as file:
        file.execute("UPDATE messages SET data = substr(data, 1, 300) WHERE id IN (12, 25, 26)")
    sources = [Annotated(bag, segments, Shape(4, 32, 0.1), "Lamp?", share=Share(0, 1, k, 2)) for k in range(2)]
    samples = [epoch_of(source) for source in sources]
    assert all(samples)
    first, second = (dict(source.broken) for source in sources)
    assert list(first.values()) == [3] and next(iter(first)).startswith("bad image (") and not second


def test_a_shard_that_is_behind_is_not_read_again(tmp_path, monkeypatch):
    for k in range(4):
        tar(tmp_path / f"s-{k}.tar", {f"{k}{i}.{end}": data for i in range(3) for end, data in (("jpg", jpeg(k)), ("txt", b"x"))})

    def make() -> Source:
        return shards.Shards(str(tmp_path / "s-{0..3}.tar"), SHAPE, QUERY, seed=1)

    order = [one.key for _, one in zip(range(30), make())]
    opened, read = [], shards.Shards._shard
    for stop in range(25):
        first = make()
        for _ in range(stop):
            first.next()
        second = make()
        second.load_state_dict(json.loads(json.dumps(first.state_dict())))
        monkeypatch.setattr(shards.Shards, "_shard", lambda self, path: (opened.append(path), read(self, path))[1])
        opened.clear()
        assert [one.key for _, one in zip(range(5), second)] == order[stop : stop + 5]
        assert second.state_dict() != first.state_dict()
        monkeypatch.undo()
        assert len(opened) <= 3, "the shard it stood in, and those that five records more take"
