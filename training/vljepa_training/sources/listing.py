# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The sources file: which data lies where, in groups that a recipe draws from by share, written by a person in YAML.

    image:
      - {kind: shards, path: "data/cc3m-{000000..000331}.tar", query: "Describe this picture.", weight: 3}
    held: [...]    # for choosing weights, never trained on

Every kind is a row of `KINDS`. When the file is read, data is only looked for; `Listing.mixture` opens it, in the process that
reads it. Knows nothing of what is trained.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any

import yaml
from webdataset.shardlists import expand_urls

from vljepa_ros.evaluation.recorded.types import SourceError

from .annotated import Annotated
from .captions import msrvtt
from .folders import folders
from .lerobot import lerobot
from .media import Shape
from .mixture import Mixture
from .questions import gqa, llava
from .sample import Share, Source
from .shards import Shards

HELD = "held"


class ListingError(ValueError):
    """A mistake in a sources file: one line with the file, the group, the number of the entry and the remedy."""


@dataclass(frozen=True)
class Kind:
    """`make(*paths, shape, **texts, seed, share)`. `paths`: fields and what must lie there; the others are texts."""

    make: Callable[..., Source]
    paths: Mapping[str, str]  # "file", "folder", "shards", "bag" (either of the first two)
    needed: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()

    @property
    def fields(self) -> list[str]:
        return [*self.paths, *self.needed, *self.optional, "weight"]


KINDS = {
    "shards": Kind(Shards, {"path": "shards"}, ("query",)),
    "msrvtt": Kind(msrvtt, {"path": "file", "videos": "folder"}, ("query",), ("split",)),
    "gqa": Kind(gqa, {"path": "file", "images": "folder"}),
    "llava": Kind(llava, {"path": "file", "images": "folder"}),
    "folders": Kind(folders, {"path": "folder"}, ("query",), ("text",)),
    "lerobot": Kind(lerobot, {"path": "folder"}, ("query",), ("camera",)),
    "annotated": Kind(Annotated, {"path": "bag", "segments": "file"}, (), ("state", "caption", "topic")),
}


@dataclass(frozen=True)
class Entry:
    """One source of a group. `where`: for messages."""

    where: str
    kind: str
    paths: tuple[Path, ...]
    texts: Mapping[str, str]
    weight: float

    def open(self, shape: Shape, seed: int, share: Share) -> Source:
        paths = [str(path) if kind == "shards" else path for path, kind in zip(self.paths, KINDS[self.kind].paths.values())]
        try:
            return KINDS[self.kind].make(*paths, shape, **self.texts, seed=seed, share=share)
        except (ValueError, OSError, SourceError) as error:
            raise ListingError(f"{self.where}: {' '.join(str(error).split())}") from None


@dataclass(frozen=True)
class Listing:
    """What `read_listing` found. Can be pickled, so that worker processes open their own shares of it."""

    file: Path
    entries: Mapping[str, tuple[Entry, ...]]  # by group
    sha256: str  # of the file's bytes

    @cached_property
    def groups(self) -> tuple[str, ...]:
        return tuple(self.entries)

    def mixture(self, shares: Mapping[str, float], shape: Shape, seed: int = 0, share: Share = Share()) -> Mixture:
        """Groups by `shares` (in any unit), within each its sources by weight. ValueError for a group that is not there, shares
        that are none, `held` among others; ListingError for a source that cannot be opened.
        """
        if missing := sorted(set(shares) - set(self.groups)):
            raise ValueError(f"{self.file} has no group {', '.join(missing)}; it has {', '.join(self.groups)}")
        bad = {group: part for group, part in shares.items() if not 0 < part < float("inf")}
        if bad or not shares:
            raise ValueError(f"shares of groups must be above 0, and of one group at least, got {dict(shares)}")
        if HELD in shares and len(shares) > 1:
            raise ValueError(f"the group {HELD} chooses weights and is never trained on: leave it out of {dict(shares)}")
        chosen = [(one, part) for group, part in shares.items() for one in self.entries[group]]
        total = {group: sum(one.weight for one in self.entries[group]) for group in shares}
        weights = [part * one.weight / total[group] for group, part in shares.items() for one in self.entries[group]]
        return Mixture([one.open(shape, seed, share) for one, _ in chosen], weights, seed)


def read_listing(file: Path) -> Listing:
    """ListingError for every mistake; paths in the file are relative to it."""
    try:
        data = file.read_bytes()
        known = yaml.load(data, _Loader)
    except OSError as error:
        raise ListingError(f"{file}: cannot be read ({error.strerror}): give the sources file, see config/sources.yaml") from None
    except (yaml.YAMLError, UnicodeDecodeError, ValueError) as error:
        raise ListingError(f"{file}: no YAML: {' '.join(str(error).split())}") from None
    if not isinstance(known, dict) or not known:
        raise ListingError(f"{file}: must hold groups, each a list of sources, got {_said(known)}; see config/sources.yaml")
    entries = {}
    for group, listed in known.items():
        if not isinstance(group, str):
            raise ListingError(f"{file}: a group's name must be a word, got {group!r}: put it in quotes")
        if not isinstance(listed, list) or not listed:
            raise ListingError(f"{file}: {group}: must list one source at least, got {_said(listed)}: add one or leave it out")
        entries[group] = tuple(_entry(one, file.parent, f"{file}: {group}: entry {k}") for k, one in enumerate(listed, 1))
    return Listing(file, entries, sha256(data).hexdigest())


def _entry(one: Any, base: Path, where: str) -> Entry:
    if not isinstance(one, dict):
        raise ListingError(f"{where}: must have a kind and its fields, got {_said(one)}")
    if (name := one.get("kind")) not in list(KINDS):
        wrong = "has no kind" if name is None else f"unknown kind {name!r}"
        raise ListingError(f"{where}: {wrong}; known are {', '.join(KINDS)}")
    kind, where = KINDS[name], f"{where} ({name})"
    if unknown := [field for field in one if field not in ("kind", *kind.fields)]:
        raise ListingError(f"{where}: unknown field {unknown[0]!r}; known are {', '.join(kind.fields)}")
    if missing := [field for field in (*kind.paths, *kind.needed) if field not in one]:
        empty = "; empty, it is the recipe's own" if missing[0] == "query" else ""
        raise ListingError(f"{where}: lacks the field {missing[0]}{empty}")
    for field, value in one.items():
        if field != "weight" and not isinstance(value, str):
            raise ListingError(f"{where}: {field} must be a text, got {value!r}: put it in quotes")
    weight = one.get("weight", 1)
    if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 < weight < float("inf"):
        raise ListingError(f"{where}: weight must be a number above 0, got {weight!r}: to leave a source out, take its entry out")
    paths = tuple(_found(base / one[field], what, f"{where}: {field}") for field, what in kind.paths.items())
    texts = {field: one[field] for field in (*kind.needed, *kind.optional) if field in one}
    return Entry(where, name, paths, texts, float(weight))


def _found(path: Path, what: str, where: str) -> Path:
    if what == "shards":
        shards = [Path(url) for url in expand_urls(str(path))]
        if missing := [one for one in shards if not one.is_file()]:
            raise ListingError(f"{where}: {len(missing)} of {len(shards)} shards are not there, the first: {missing[0]}")
    elif not {"file": path.is_file, "folder": path.is_dir, "bag": path.exists}[what]():
        raise ListingError(f"{where}: no such {what}: {path}; paths are relative to the sources file")
    return path


def _said(value: Any) -> str:
    return "nothing" if value is None or value == [] else repr(value)[:60]


class _Loader(yaml.SafeLoader):
    """Of two equal keys YAML keeps the last: a group that is written twice would lose its first sources in silence."""


def _mapping(loader: _Loader, node: yaml.MappingNode) -> dict:
    keys = [loader.construct_object(key, deep=True) for key, _ in node.value]
    if twice := [key for key in keys if keys.count(key) > 1]:
        raise ValueError(f"{twice[0]!r} stands there twice (line {node.start_mark.line + 1}): put both under one")
    return loader.construct_mapping(node, deep=True)


_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)
