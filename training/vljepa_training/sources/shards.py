# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""WebDataset shards of pictures or videos with their texts: `KEY.jpg` or `KEY.mp4` beside `KEY.txt` or a caption in `KEY.json`.

The order is that of shards, drawn anew every epoch; a shard is read from front to back. A share reads whole shards. To go on in
the middle of an epoch, only the shard that was being read is read again up to there.
"""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from webdataset.shardlists import expand_urls
from webdataset.tariterators import group_by_keys, tar_file_iterator

from .media import PICTURES, VIDEOS, Shape, clip, picture
from .sample import BrokenSampleError, Record, Sample, Share, Source, text_of

CAPTION_FIELDS = ("caption", "text")


class Shards(Source):
    """`pattern`: a path with braces, as WebDataset has them: data/cc3m-{0000..0331}.tar. ValueError for missing shards."""

    def __init__(self, pattern: str, shape: Shape, query: str, seed: int = 0, share: Share = Share()) -> None:
        super().__init__(pattern, seed, share)
        self._shape, self._query = shape, query
        self._shards = [Path(url) for url in expand_urls(pattern)]
        if missing := [str(path) for path in self._shards if not path.is_file()]:
            raise ValueError(f"{len(missing)} of {len(self._shards)} shards are not there, the first: {missing[0]}")
        share.check(pattern, len(self._shards), "shards")
        self._behind = 0, 0  # whole shards of this epoch, and the records in them

    def records(self, epoch: int) -> Iterator[Record]:
        for path in self._paths(epoch):
            yield from self._shard(path)

    def resumed(self, epoch: int, position: int) -> Iterator[Record]:
        shards, count = self._behind if position else (0, 0)
        for path in self._paths(epoch)[shards:]:
            self._behind = shards, count
            for record in self._shard(path):
                count += 1
                if count > position:
                    yield record
            shards += 1

    def state_dict(self) -> dict:
        return {**super().state_dict(), "behind": list(self._behind)}

    def load_state_dict(self, state: dict) -> None:
        super().load_state_dict(state)
        self._behind = tuple(state["behind"])

    def _paths(self, epoch: int) -> list[Path]:
        order = np.random.default_rng([self.seed, epoch]).permutation(len(self._shards))
        return [self._shards[k] for k in order[self.share.index :: self.share.count].tolist()]

    def _shard(self, path: Path) -> Iterator[Record]:
        try:
            with path.open("rb") as file:
                members = ({**one, "__url__": str(path)} for one in tar_file_iterator(file))
                for fields in group_by_keys(members):
                    yield fields["__key__"], lambda fields=fields: self._sample(fields)
        except (tarfile.TarError, OSError, EOFError) as error:
            yield str(path), lambda error=error: _raise("damaged shard", str(error))
        except ValueError as error:  # group_by_keys: two members of one name
            yield str(path), lambda error=error: _raise("repeated member", str(error))

    def _sample(self, fields: dict) -> Sample:
        target = text_of(_caption(fields))
        if seen := next((ext for ext in PICTURES if ext in fields), None):
            frames = picture(fields[seen], self._shape.size)
        elif seen := next((ext for ext in VIDEOS if ext in fields), None):
            frames = clip(fields[seen], self._shape)
        else:
            raise BrokenSampleError("no picture or video", ", ".join(sorted(fields)))
        return Sample(frames, self._query, target, self.name, fields["__key__"])


def _caption(fields: dict) -> object:
    try:
        if "txt" in fields:
            return fields["txt"].decode()
        known = json.loads(fields.get("json", b"{}"))
    except ValueError as error:
        raise BrokenSampleError("bad text", str(error)) from None
    return next((known[name] for name in CAPTION_FIELDS if name in known), None) if isinstance(known, dict) else None


def _raise(cause: str, detail: str) -> Sample:
    raise BrokenSampleError(cause, detail)
