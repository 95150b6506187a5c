# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What the frozen X-Encoder sees in a drawn number of samples, computed once and kept on disk with their texts.

    FOLDER/made_of.json             what it was made of, as the caller says; another cache is refused by it
    FOLDER/part-0-of-2.npy          float16 (rows of this part, N, C), a memory map
    FOLDER/part-0-of-2.jsonl        a line per row: query, target, source, key
    FOLDER/part-0-of-2.json         how far it is, and the samples' state there

A rank writes the part that is its own, from its own share of the samples; all ranks read all parts, so that FOLDER must be one
that they share. Knows nothing of encoders.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from tqdm import tqdm

from .sample import Sample

log = logging.getLogger(__name__)
GB = 1e9


class Samples(Protocol):
    """A `Mixture`, a `Source`."""

    def next(self) -> Sample: ...

    def state_dict(self) -> dict: ...

    def load_state_dict(self, state: dict) -> None: ...

    def report(self) -> str: ...


def cache(
    samples: Samples,
    count: int,
    encode: Callable[[list[Sample]], np.ndarray],
    folder: Path,
    batch: int,
    made_of: Mapping[str, Any],
    rank: int = 0,
    ranks: int = 1,
) -> None:
    """Draw this rank's part of `count` samples of all ranks and keep what `encode` makes of `batch` at once: (rows, N, C).

    Goes on where it was killed; does nothing where all is there. `made_of`: all that the features depend on, in JSON's
    types: the sources file's sha256, shares, shape, seed, the encoder's sha256.
    ValueError: a folder that was made of something else, too little space for what all ranks have to write, shapes that change.
    """
    if not 0 <= rank < ranks <= count or batch < 1:
        got = f"{count} rows, rank {rank} of {ranks}, batch {batch}"
        raise ValueError(f"count must give every rank a row and batch be at least 1, got {got}")
    folder.mkdir(parents=True, exist_ok=True)
    made_of = json.loads(json.dumps({**made_of, "count": count, "ranks": ranks}))
    if _whole(folder, made_of):
        return
    part = _Part(folder / _stems(ranks)[rank], count * (rank + 1) // ranks - count * rank // ranks)
    if part.done == part.rows:
        return
    if part.done:
        samples.load_state_dict(part.state)
    with tqdm(total=part.rows, initial=part.done, desc="features", unit="row", disable=rank > 0, mininterval=2.0) as bar:
        while part.done < part.rows:
            drawn = [samples.next() for _ in range(min(batch, part.rows - part.done))]
            features = np.asarray(encode(drawn)).astype(np.float16)  # what is too large for it must be noticed now
            if not part.done:
                _check_space(folder, features.shape[1:], part.rows * ranks)
                _write(folder / "made_of.json", made_of)
            part.add(features, drawn, samples.state_dict())
            bar.update(len(drawn))
    for line in samples.report().splitlines():
        log.info("cached: %s", line)


class _Part:
    """A rank's rows; `done` of them are on disk, and what lies behind them was not finished."""

    def __init__(self, stem: Path, rows: int) -> None:
        self.rows, self._stem = rows, stem
        self._progress = stem.with_name(stem.name + ".json")
        known = json.loads(self._progress.read_text()) if self._progress.exists() else {"rows": 0, "bytes": 0, "state": None}
        self.done, self._bytes, self.state = known["rows"], known["bytes"], known["state"]
        self._features: np.ndarray | None = None

    def _file(self, ending: str) -> Path:
        return self._stem.with_name(f"{self._stem.name}.{ending}")

    def add(self, features: np.ndarray, drawn: list[Sample], state: dict) -> None:
        if features.ndim != 3 or len(features) != len(drawn) or not np.isfinite(features).all():
            raise ValueError(f"an encoder must give finite (rows, N, C), got {features.shape} for {len(drawn)} samples")
        if self._features is None:
            mode, shape = ("r+", None) if self.done else ("w+", (self.rows, *features.shape[1:]))
            self._features = np.lib.format.open_memmap(self._file("npy"), mode, np.float16, shape)
            with self._file("npy").open("r+b") as file:  # a disk that is full later on would kill a writer to mapped memory
                os.posix_fallocate(file.fileno(), 0, self._file("npy").stat().st_size)
        if features.shape[1:] != self._features.shape[1:]:
            raise ValueError(f"rows of {self._features.shape[1:]} were cached, the encoder now gives {features.shape[1:]}")
        self._features[self.done : self.done + len(drawn)] = features
        self._features.flush()
        with self._file("jsonl").open("r+b" if self.done else "wb") as lines:
            lines.truncate(self._bytes)
            lines.seek(self._bytes)
            for one in drawn:
                row = {"query": one.query, "target": one.target, "source": one.source, "key": one.key}
                lines.write(json.dumps(row).encode() + b"\n")
            lines.flush()
            os.fsync(lines.fileno())
            self._bytes = lines.tell()
        self.done += len(drawn)
        _write(self._progress, {"rows": self.done, "bytes": self._bytes, "state": state})


def _whole(folder: Path, made_of: dict[str, Any]) -> bool:
    """Whether nothing is left to do, whatever the number of ranks that did it. ValueError where it is another's."""
    file = folder / "made_of.json"
    known = json.loads(file.read_text()) if file.exists() else made_of
    for name in sorted({*known, *made_of} - {"ranks"}):
        one, other = known.get(name), made_of.get(name)
        if one != other:
            raise ValueError(f"{folder} was cached with {name} {one!r}, this is {other!r}: take another folder, or remove it")
    if sum(_done(folder, known["ranks"])) == made_of["count"]:
        return True
    if (ranks := known["ranks"]) != made_of["ranks"]:
        raise ValueError(f"{folder} was begun on {ranks} ranks, not {made_of['ranks']}: finish it on as many, or remove it")
    return False


def _stems(ranks: int) -> list[str]:
    return [f"part-{rank}-of-{ranks}" for rank in range(ranks)]


def _done(folder: Path, ranks: int) -> list[int]:
    """Rows of each part."""
    files = [folder / f"{stem}.json" for stem in _stems(ranks)]
    return [json.loads(file.read_text())["rows"] if file.exists() else 0 for file in files]


def _check_space(folder: Path, shape: tuple[int, ...], rows: int) -> None:
    """Of all ranks together, before the first row is written."""
    needed = rows * int(np.prod(shape)) * np.dtype(np.float16).itemsize
    if needed > (free := shutil.disk_usage(folder).free):
        raise ValueError(
            f"{rows} rows of {'x'.join(map(str, shape))} in float16 need {needed / GB:.1f} GB in {folder}, {free / GB:.1f} GB "
            f"are free: cache fewer ({free * rows // needed} fit), or elsewhere"
        )


def _write(file: Path, value: Any) -> None:
    """Whole or not at all."""
    beside = file.with_name(f"{file.name}.{os.getpid()}")
    beside.write_text(json.dumps(value))
    beside.replace(file)


@dataclass(frozen=True, eq=False)
class CachedRow:
    features: np.ndarray  # float16 (N, C)
    query: str
    target: str


class CachedRows(Sequence[CachedRow]):
    """The rows of all parts of a folder, part after part. ValueError where one is missing or not whole."""

    def __init__(self, folder: Path) -> None:
        try:
            made_of = json.loads((folder / "made_of.json").read_text())
        except OSError as error:
            raise ValueError(f"{folder} holds no cache ({error.strerror}): make one first") from None
        count, ranks = made_of["count"], made_of["ranks"]
        stems, done = _stems(ranks), _done(folder, ranks)
        if sum(done) != count:
            raise ValueError(f"{folder} holds {sum(done)} of {count} rows: caching goes on where it was when it is started again")
        self._features = [np.load(folder / f"{stem}.npy", mmap_mode="r") for stem in stems]
        lines = [line for stem in stems for line in (folder / f"{stem}.jsonl").read_text().splitlines()]
        self._texts = [(row["query"], row["target"]) for row in map(json.loads, lines)]
        self._ends = list(accumulate(done))

    def __len__(self) -> int:
        return len(self._texts)

    def __getitem__(self, i: int) -> CachedRow:
        if not -len(self) <= i < len(self):
            raise IndexError(f"row {i} of {len(self)}")
        i %= len(self)
        part = bisect_right(self._ends, i)
        query, target = self._texts[i]
        return CachedRow(self._features[part][i - self._ends[part] + len(self._features[part])], query, target)
