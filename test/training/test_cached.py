# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Features on disk: killed anywhere and started again they are those of an undisturbed run, and another's folder is refused."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest

from vljepa_training.sources import cached
from vljepa_training.sources.cached import CachedRows, cache
from vljepa_training.sources.listing import read_listing
from vljepa_training.sources.media import Shape
from vljepa_training.sources.mixture import Mixture
from vljepa_training.sources.sample import Sample, Share

sys.path.append(str(Path(__file__).parent))
from source_files import make_many, write_listing

COUNT, BATCH = 23, 4
MADE_OF = {"sources": "1a", "seed": 3, "encoder": "f0", "shape": [4, 32]}
# Caches in a process of its own, which kills itself in the batch, or after the write, that it is told.
KILLED = """
import os, signal, sys
from pathlib import Path
sys.path.append(sys.argv[1])
import test_cached
from vljepa_training.sources import cached

when, at, calls = sys.argv[3], int(sys.argv[4]), [0]

def die(function):
    def dying(*arguments):
        calls[0] += 1
        if calls[0] == at:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*arguments)
    return dying

encode = test_cached.encode
if when == "encode":
    encode = die(encode)
else:  # features and texts are written, the note of it is not
    cached._write = die(cached._write)
folder = Path(sys.argv[2])
cached.cache(test_cached.mixture(folder), test_cached.COUNT, encode, folder / "killed", test_cached.BATCH, test_cached.MADE_OF)
"""


def mixture(root: Path, share: Share = Share()) -> Mixture:
    return read_listing(root / "sources.yaml").mixture({"image": 2, "video": 1, "vqa": 1}, Shape(4, 32), 3, share)


def encode(samples: list[Sample]) -> np.ndarray:
    """Mean colours of quarters of the picture: (rows, 4, 3)."""
    frames = [one.frames_THWC[-1].reshape(2, 16, 2, 16, 3).mean((1, 3)).reshape(4, 3) / 255 for one in samples]
    return np.stack(frames).astype(np.float32)


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("data")
    write_listing(root, make_many(root))
    return root


@pytest.fixture(scope="module")
def whole(root) -> CachedRows:
    cache(mixture(root), COUNT, encode, root / "whole", BATCH, MADE_OF)
    return CachedRows(root / "whole")


def test_rows_are_the_samples_in_their_order(root, whole):
    drawn = mixture(root).batch(COUNT)
    assert len(whole) == COUNT and len({one.query for one in whole}) > 3
    for row, sample in zip(whole, drawn):
        assert (row.query, row.target) == (sample.query, sample.target)
        assert row.features.dtype == np.float16 and np.array_equal(row.features, encode([sample])[0].astype(np.float16))
    assert whole[-1].target == drawn[-1].target and np.array_equal(whole[-COUNT].features, whole[0].features)
    with pytest.raises(IndexError):
        whole[COUNT]


def files(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


@pytest.mark.parametrize(("when", "at"), [("encode", 4), ("write", 4)])
def test_killed_and_started_again_it_is_the_same_to_a_byte(root, whole, tmp_path, when, at):
    """`write`: the first is what it is made of, then one per batch."""
    (tmp_path / "sources.yaml").write_text((root / "sources.yaml").read_text())
    for one in root.iterdir():
        if one.name not in ("sources.yaml", "whole"):
            (tmp_path / one.name).symlink_to(one)
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(Path(__file__).parent), str(tmp_path), when, str(at)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr[-3000:]
    left = json.loads((tmp_path / "killed" / "part-0-of-1.json").read_text())
    assert left["rows"] == BATCH * (3 if when == "encode" else 2)
    with pytest.raises(ValueError, match=f"holds {left['rows']} of {COUNT} rows: caching goes on"):
        CachedRows(tmp_path / "killed")
    rows = []
    cache(mixture(tmp_path), COUNT, lambda s: (rows.extend(s), encode(s))[1], tmp_path / "killed", BATCH, MADE_OF)
    assert len(rows) == COUNT - left["rows"], "what was there is not computed again"
    found = {name: data for name, data in files(tmp_path / "killed").items() if not name.rpartition(".")[2].isdigit()}
    expected = files(root / "whole")
    assert found.keys() == expected.keys()
    for name in ("part-0-of-1.npy", "made_of.json"):
        assert found[name] == expected[name]
    keys = [[json.loads(line)["key"] for line in data["part-0-of-1.jsonl"].splitlines()] for data in (found, expected)]
    assert keys[0] == keys[1]


def test_a_whole_cache_is_left_alone(root, whole):
    before = files(root / "whole")
    cache(mixture(root), COUNT, lambda samples: pytest.fail("nothing is to be computed"), root / "whole", BATCH, MADE_OF)
    assert files(root / "whole") == before


@pytest.mark.parametrize(
    ("changed", "said"),
    [({"seed": 4}, "seed 3, this is 4"), ({"encoder": "e1"}, "encoder 'f0', this is 'e1'"), ({"x": 1}, "x None, this is 1")],
)
def test_another_ones_folder_is_refused(root, whole, changed, said):
    with pytest.raises(ValueError, match=f"whole was cached with {said}: take another folder"):
        cache(mixture(root), COUNT, encode, root / "whole", BATCH, MADE_OF | changed)
    with pytest.raises(ValueError, match="count 23, this is 24"):
        cache(mixture(root), COUNT + 1, encode, root / "whole", BATCH, MADE_OF)


def test_ranks_write_their_parts_and_read_them_all(root, tmp_path):
    for rank in (1, 0):
        cache(mixture(root, Share(rank, 2)), COUNT, encode, tmp_path, BATCH, MADE_OF, rank, 2)
        if rank:
            with pytest.raises(ValueError, match="holds 12 of 23 rows"):
                CachedRows(tmp_path)
            with pytest.raises(ValueError, match="was begun on 2 ranks, not 1: finish it on as many"):
                cache(mixture(root), COUNT, encode, tmp_path, BATCH, MADE_OF)
    cache(mixture(root), COUNT, lambda samples: pytest.fail("all is there"), tmp_path, BATCH, MADE_OF)  # on one rank
    rows = CachedRows(tmp_path)
    drawn = [one for rank, n in ((0, 11), (1, 12)) for one in mixture(root, Share(rank, 2)).batch(n)]
    assert [(row.query, row.target) for row in rows] == [(one.query, one.target) for one in drawn]
    assert all(np.array_equal(row.features, encode([one])[0].astype(np.float16)) for row, one in zip(rows, drawn))


def test_too_little_space_is_said_before_anything_is_written(root, tmp_path, monkeypatch):
    monkeypatch.setattr(cached.shutil, "disk_usage", lambda folder: namedtuple("Usage", "free")(10_000_000_000))
    with pytest.raises(ValueError, match=r" rows of 4x3 in float16 need 24.0 GB in .*, 10.0 GB are free: .*416666666 fit"):
        cache(mixture(root), 1_000_000_000, encode, tmp_path, BATCH, MADE_OF)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda samples: encode(samples)[:, 0], "must give finite .rows, N, C., got .4, 3. for 4 samples"),
        (lambda samples: encode(samples) * np.nan, "finite"),
        (lambda samples: encode(samples)[1:], "got .3, 4, 3. for 4 samples"),
    ],
)
def test_features_that_are_none_are_refused(root, tmp_path, wrong, said):
    with pytest.raises(ValueError, match=said):
        cache(mixture(root), COUNT, wrong, tmp_path, BATCH, MADE_OF)


def test_a_folder_without_a_cache_is_named(tmp_path):
    with pytest.raises(ValueError, match="holds no cache .No such file.*: make one first"):
        CachedRows(tmp_path)
