# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The sources file: every kind is opened as it says, groups and weights are drawn as asked, and a mistake is one line."""

from __future__ import annotations

import pickle
import sys
from collections import Counter
from copy import deepcopy
from pathlib import Path

import pytest
import yaml
from webdataset.shardlists import expand_urls

from vljepa_training.sources.listing import KINDS, ListingError, read_listing
from vljepa_training.sources.media import Shape
from vljepa_training.sources.sample import Share

sys.path.append(str(Path(__file__).parent))
from source_files import make_all, write_listing

ROOT = Path(__file__).resolve().parents[2]
SHAPE = Shape(4, 32, 0.1)


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> tuple[Path, dict]:
    root = tmp_path_factory.mktemp("data")
    return root, make_all(root)


@pytest.fixture
def groups(made) -> dict:
    return deepcopy(made[1])


def test_every_kind_gives_samples(made, groups):
    listing = read_listing(write_listing(made[0], groups))
    assert listing.groups == ("image", "video", "vqa", "held")
    assert {one["kind"] for listed in groups.values() for one in listed} == set(KINDS)
    mixture = listing.mixture({"image": 1, "video": 1, "vqa": 1}, SHAPE, seed=5)
    samples = mixture.batch(60)
    assert len({one.source for one in samples}) == 7
    assert {one.query for one in samples if one.source == "folders"} == {""}
    assert {one.query for one in samples if one.source == "drive"} == {"Lamp?", "What happened?"}
    for one in samples:
        assert one.frames_THWC.shape in ((1, 32, 32, 3), (4, 32, 32, 3)) and one.target


def test_groups_are_drawn_by_share_and_sources_by_weight(made, groups):
    listing = pickle.loads(pickle.dumps(read_listing(write_listing(made[0], groups))))
    names = [one.source for one in listing.mixture({"image": 3, "vqa": 1}, SHAPE, seed=1).batch(400)]
    drawn = {Path(name).name: n / 400 for name, n in Counter(names).items()}
    wanted = {"s-{000..003}.tar": 0.75 * 2 / 3, "folders": 0.75 / 3, "q.json": 0.25 / 1.5, "llava.json": 0.25 * 0.5 / 1.5}
    assert drawn == pytest.approx(wanted, abs=0.08)


def test_shares_draw_sources_each_for_itself(made, groups):
    listing = read_listing(write_listing(made[0], {"image": [groups["image"][1]] * 2, "held": groups["held"]}))
    order = set()
    for rank in range(2):
        mixture = listing.mixture({"image": 1}, SHAPE, share=Share(rank, 2))
        for k, source in enumerate(mixture.sources):
            source.next = lambda k=k: k
        order.add(tuple(mixture.batch(40)))
    assert len(order) == 2


def test_a_share_reads_its_own_records(made, groups):
    listing = read_listing(write_listing(made[0], groups))
    mixtures = [listing.mixture({"vqa": 1}, SHAPE, 0, Share(rank, 2)) for rank in range(2)]
    for one, other in zip(*(mixture.sources for mixture in mixtures)):
        keys = [{key for key, _ in source.records(0)} for source in (one, other)]
        assert keys[0] and keys[1] and not keys[0] & keys[1]


def test_shares_that_cannot_be_are_refused(made, groups):
    listing = read_listing(write_listing(made[0], groups))
    with pytest.raises(ValueError, match="no group images; it has image, video, vqa, held"):
        listing.mixture({"images": 1.0}, SHAPE)
    with pytest.raises(ValueError, match="above 0.*'image': 0"):
        listing.mixture({"image": 0, "vqa": 1}, SHAPE)
    with pytest.raises(ValueError, match="held chooses weights and is never trained on"):
        listing.mixture({"image": 1, "held": 1}, SHAPE)
    with pytest.raises(ListingError, match=r"vqa: entry 1 \(gqa\): q.json has 5 records .* lower workers to 5"):
        listing.mixture({"vqa": 1}, SHAPE, 0, Share(0, 1, 0, 6))


def wrong(group: str, k: int, **fields: object):
    """A change of one entry; None takes the field out."""

    def change(groups: dict) -> dict:
        entry = groups[group][k] | fields
        groups[group][k] = {name: value for name, value in entry.items() if value is not None}
        return groups

    return change


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (wrong("vqa", 1, kind="vqa"), "vqa: entry 2: unknown kind 'vqa'; known are shards"),
        (wrong("vqa", 1, kind=["gqa"]), "vqa: entry 2: unknown kind .'gqa'.;"),
        (wrong("vqa", 1, kind=None), "vqa: entry 2: has no kind; known are shards"),
        (wrong("video", 1, fps=3), r"video: entry 2 \(lerobot\): unknown field 'fps'; known are path, query, camera, weight"),
        (wrong("vqa", 0, query="What?"), r"vqa: entry 1 \(gqa\): unknown field 'query'"),
        (wrong("image", 1, query=None), r"image: entry 2 \(folders\): lacks the field query; empty, it is the recipe"),
        (wrong("video", 2, segments=None), r"video: entry 3 \(annotated\): lacks the field segments$"),
        (wrong("image", 1, text=3), r"image: entry 2 \(folders\): text must be a text, got 3: put it in quotes"),
        (wrong("image", 0, weight=-1), "weight must be a number above 0, got -1: .* take its entry out"),
        (wrong("image", 0, weight="2"), "weight must be a number above 0, got '2'"),
        (wrong("image", 0, weight=float("nan")), "weight must be a number above 0, got nan"),
        (wrong("image", 0, path="shards/s-{000..005}.tar"), "path: 2 of 6 shards are not there, the first: .*s-004.tar"),
        (wrong("vqa", 0, path="gqa"), "path: no such file: .*gqa; paths are relative to the sources file"),
        (wrong("video", 0, videos="videos"), r"video: entry 1 \(msrvtt\): videos: no such folder"),
        (lambda groups: groups | {"more": []}, "more: must list one source at least, got nothing"),
        (lambda groups: groups | {"more": {"kind": "gqa"}}, "more: must list one source at least, got {'kind': 'gqa'}"),
        (lambda groups: groups | {"more": ["gqa"]}, "more: entry 1: must have a kind and its fields, got 'gqa'"),
        (lambda groups: groups | {3: groups["vqa"]}, "a group's name must be a word, got 3"),
        (lambda groups: [], "must hold groups, each a list of sources, got nothing"),
        (lambda groups: "image: [", "no YAML"),
        (lambda groups: yaml.safe_dump(groups) + "image: []\n", "'image' stands there twice"),
    ],
)
def test_a_mistake_is_one_line_with_its_place(made, groups, change, said):
    file = write_listing(made[0], change(groups))
    with pytest.raises(ListingError, match=said) as error:
        read_listing(file)
    assert str(error.value).startswith(f"{file}: ") and "\n" not in str(error.value)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ListingError, match="none.yaml: cannot be read .No such file"):
        read_listing(tmp_path / "none.yaml")


def test_a_source_that_cannot_be_opened_is_named_with_its_entry(made, groups):
    (made[0] / "broken.json").write_text("[]")
    groups["video"][0]["path"] = "broken.json"
    listing = read_listing(write_listing(made[0], groups))
    with pytest.raises(ListingError, match=r"sources.yaml: video: entry 1 \(msrvtt\): .*broken.json has no `videos`"):
        listing.mixture({"video": 1}, SHAPE)
    groups["video"] = [groups["video"][2] | {"topic": "/no/such"}]
    with pytest.raises(ListingError, match=r"video: entry 1 \(annotated\): .*/no/such"):
        read_listing(write_listing(made[0], groups)).mixture({"video": 1}, SHAPE)


def test_the_bundled_example_is_one(tmp_path):
    """Every field of every kind, and only what lies elsewhere is missing: with files in those places it is read."""
    text = (ROOT / "config" / "sources.yaml").read_text()
    (tmp_path / "sources.yaml").write_text(text)
    entries = [one for listed in yaml.safe_load(text).values() for one in listed]
    for one in entries:
        for field, what in KINDS[one["kind"]].paths.items():
            for path in map(Path, expand_urls(str(tmp_path / one[field]))):
                path.parent.mkdir(parents=True, exist_ok=True)
                path.touch() if what in ("file", "shards") else path.mkdir(exist_ok=True)
    listing = read_listing(tmp_path / "sources.yaml")
    assert listing.groups == ("image", "video", "vqa", "held")
    assert {one.kind for listed in listing.entries.values() for one in listed} == set(KINDS)
