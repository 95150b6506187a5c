# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What every source of training data gives, and how one is read: `Sample`, broken ones counted, an order that can be resumed.

Knows nothing of files; a source is a list of records or a stream of them, and a function that turns one into a sample.
"""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np

log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Sample:
    """One row of a batch: what is seen, what is asked, what is answered. `stages.align` wants nothing else."""

    frames_THWC: np.ndarray  # uint8 RGB; T is the clip's length, or 1 for a picture
    query: str
    target: str
    source: str
    key: str  # of the record in its source


class BrokenSampleError(Exception):
    """A record that cannot be used. `cause`: few words, the same for all of its kind, for they are counted by it."""

    def __init__(self, cause: str, detail: str = "") -> None:
        super().__init__(f"{cause}: {detail}" if detail else cause)
        self.cause = cause


@dataclass(frozen=True)
class Share:
    """Whose part of a source is read: worker `worker` of `workers` in rank `rank` of `ranks`."""

    rank: int = 0
    ranks: int = 1
    worker: int = 0
    workers: int = 1

    def __post_init__(self) -> None:
        if not (0 <= self.rank < self.ranks and 0 <= self.worker < self.workers):
            raise ValueError(f"rank must be below ranks and worker below workers, got {self}")

    @property
    def index(self) -> int:
        return self.rank * self.workers + self.worker

    @property
    def count(self) -> int:
        return self.ranks * self.workers

    def check(self, name: str, parts: int, what: str) -> None:
        """ValueError where `parts` of a source are fewer than shares, so that some would have nothing to read."""
        if parts >= self.count:
            return
        of = f"{name} has {parts} {what} for {self.ranks} ranks of {self.workers} workers, and each worker reads its own"
        if parts >= self.ranks:
            raise ValueError(f"{of}: lower workers to {parts // self.ranks}")
        fewer = f"lower workers to 1 and ranks to {parts}" if parts else "is it the right file or folder?"
        raise ValueError(f"{of}: {fewer}{'' if what == 'records' or not parts else f', or write it as more {what}'}")


Record = tuple[str, Callable[[], Sample]]  # its key; the sample, or BrokenSampleError


class Source(ABC):
    """Samples without end, epoch after epoch, each in an order of its own that (seed, epoch) alone decides.

    `broken`: how many records were skipped, by cause. What `state_dict` gives, another object of the same source goes on from.
    """

    def __init__(self, name: str, seed: int = 0, share: Share = Share()) -> None:
        self.name, self.seed, self.share = name, seed, share
        self.epoch, self.position, self.good = 0, 0, 0  # position: records read in this epoch; good: samples in it
        self.broken: Counter[str] = Counter()
        self._records: Iterator[Record] | None = None

    @abstractmethod
    def records(self, epoch: int) -> Iterator[Record]:
        """This share's records of an epoch in its order. Must not load anything yet."""

    def resumed(self, epoch: int, position: int) -> Iterator[Record]:
        """`records` from `position` on. Where passing over what lies before costs something, a source does better."""
        return islice(self.records(epoch), position, None)

    def begin(self, epoch: int) -> None:
        """Go on with the first record of an epoch. What was counted stays."""
        self.epoch, self.position, self.good, self._records = epoch, 0, 0, None

    def __iter__(self) -> Iterator[Sample]:
        while True:
            yield self.next()

    def next(self) -> Sample:
        """ValueError where a whole epoch has no sample that can be used."""
        while True:
            if self._records is None:
                self._records = self.resumed(self.epoch, self.position)
            record = next(self._records, None)
            if record is None:
                if not self.position:
                    raise ValueError(f"{self.name} has no record for {self.share}: lower workers or ranks")
                if not self.good:
                    of = f" of share {self.share.index + 1} of {self.share.count}" if self.share.count > 1 else ""
                    raise ValueError(f"{self.name}: none of {self.position} records{of} can be used: {self.report()}")
                self.begin(self.epoch + 1)
                continue
            self.position += 1
            try:
                sample = record[1]()
            except BrokenSampleError as error:
                self.broken[error.cause] += 1
                log.debug("%s: %s skipped: %s", self.name, record[0], error)
                continue
            self.good += 1
            return sample

    def state_dict(self) -> dict:
        return {
            "name": self.name,
            "seed": self.seed,
            "share": [self.share.index, self.share.count],
            "epoch": self.epoch,
            "position": self.position,
            "good": self.good,
            "broken": dict(self.broken),
        }

    def load_state_dict(self, state: dict) -> None:
        """ValueError for the state of something else."""
        mine = self.state_dict()
        for name in ("name", "seed", "share"):
            if state[name] != mine[name]:
                raise ValueError(f"{self.name}: the saved order is of {name} {state[name]!r}, this is {mine[name]!r}")
        self.epoch, self.position, self.good = state["epoch"], state["position"], state["good"]
        self.broken = Counter(state["broken"])
        self._records = None

    def report(self) -> str:
        """For people, when training ends."""
        return skipped(self.broken)


class ListSource(Source):
    """A source whose records are known at the start. ValueError for none, or fewer than there are shares."""

    def __init__(self, name: str, keys: list[str], load: Callable[[int], Sample], seed: int = 0, share: Share = Share()) -> None:
        super().__init__(name, seed, share)
        share.check(name, len(keys), "records")
        self._keys, self._load = keys, load

    def __len__(self) -> int:
        return len(self._keys)

    def records(self, epoch: int) -> Iterator[Record]:
        order = np.random.default_rng([self.seed, epoch]).permutation(len(self._keys))
        for k in order[self.share.index :: self.share.count].tolist():
            yield self._keys[k], lambda k=k: self._load(k)


def skipped(broken: Counter[str]) -> str:
    causes = ", ".join(f"{count} {cause}" for cause, count in broken.most_common())
    return f"{broken.total()} skipped ({causes})" if causes else "nothing skipped"


def text_of(value: object, cause: str = "no text") -> str:
    """One line of words. BrokenSampleError where there are none."""
    if not isinstance(value, str) or not (line := " ".join(value.split())):
        raise BrokenSampleError(cause, repr(value)[:80])
    return line
