# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a phase of the paper's size reads (streamed by workers, or seen once and kept as features), what chooses its weights."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from zlib import crc32

from torch import Tensor

from vljepa_ros.model import ModelConfig

from .joint_recipes import Phase
from .ranks import everybodys, rank, world
from .sources.cached import CachedRow, CachedRows, cache
from .sources.feed import Feed
from .sources.listing import HELD, Listing
from .sources.loader import Loader
from .sources.media import Shape
from .sources.mixture import Mixture
from .sources.rows import Rows
from .sources.sample import Sample, Share
from .stages.joint import Batch, Collate

Encode = Callable[[list[Sample]], Tensor]  # (rows, N, C) of the X-Encoder
ENCODED = 16  # samples that the X-Encoder sees at once


class JointData:
    """`workers`: reading processes of each rank. `held`: rows that choose the best weights."""

    def __init__(self, listing: Listing, workers: int, held: int) -> None:
        """ValueError where nothing is held out."""
        if HELD not in listing.groups:
            raise ValueError(f"{listing.file} has no group {HELD!r}: give it data that is never trained on, to choose weights by")
        if held < 2:
            raise ValueError(f"held must be at least 2 rows, got {held}")
        self._listing, self._workers, self._held = listing, workers, held
        self.sha256 = listing.sha256

    def check(self, phases: Sequence[Phase], config: ModelConfig) -> None:
        """ValueError now for what would be found out phases later: a group that is not there, a source that cannot be opened or
        has fewer parts than readers, fewer than two held-out rows."""
        for workers, some in (
            (max(1, self._workers), [phase for phase in phases if not phase.cached]),
            (1, [phase for phase in phases if phase.cached]),
        ):
            if groups := {group: 1.0 for phase in some for group in phase.mixture}:
                self._mixture(groups, config, some[0].frames, 0, Share(rank(), world(), 0, workers))
        if phases and len(list(islice(self.held(config, phases[0].frames), 2))) < 2:
            raise ValueError(f"{self._listing.file}: the group {HELD} has fewer than 2 rows to choose weights by: give it more")

    def streamed(self, phase: Phase, config: ModelConfig, collate: Collate) -> Feed[Batch]:
        return Feed(partial(self._loader, phase, config, collate))

    def _loader(self, phase: Phase, config: ModelConfig, collate: Collate, step: int, state: dict | None) -> Loader:
        mixture = partial(self._mixture, phase.mixture, config, phase.frames, _seed(phase))
        return Loader(mixture, collate, phase.schedule.batch // world(), self._workers, rank(), world(), step, state)

    def cached(
        self, phase: Phase, config: ModelConfig, encode: Encode, collate: Collate, folder: Path, encoder: str
    ) -> tuple[Rows[Batch], Callable[[], Iterable[CachedRow]]]:
        """The phase's rows with what the X-Encoder sees in them, on disk in `folder`, and the held-out ones, in memory.

        `encoder`: a name for the X-Encoder's weights. ValueError where the folder was made of something else.
        """
        schedule = phase.schedule
        made_of = {
            "sources": self.sha256, "mixture": dict(phase.mixture), "frames": config.vision.frames,
            "size": config.vision.image_size, "seed": _seed(phase), "encoder": encoder, "bf16": schedule.bf16,
        }  # fmt: skip
        samples = self._mixture(phase.mixture, config, phase.frames, _seed(phase), Share(rank(), world()))
        cache(samples, phase.cached, encode, folder, ENCODED, made_of, rank(), world())
        everybodys(None)  # all parts are whole
        held = [row for rows in in_parts(self.held(config, phase.frames), ENCODED) for row in _rows(rows, encode(rows))]
        return Rows(CachedRows(folder), collate, schedule.batch, schedule.seed), lambda: held

    def drawn(self, phase: Phase, config: ModelConfig, count: int) -> Iterator[Sample]:
        """The first samples of the phase's data, read here; fewer where there are no more."""
        return _once(self._mixture(phase.mixture, config, phase.frames, _seed(phase), Share()), count)

    def held(self, config: ModelConfig, frames: int) -> Iterator[Sample]:
        """Always the same ones."""
        return _once(self._mixture({HELD: 1.0}, config, frames, 0, Share()), self._held)

    def _mixture(self, shares: Mapping[str, float], config: ModelConfig, frames: int, seed: int, share: Share) -> Mixture:
        return self._listing.mixture(shares, Shape(frames, config.vision.image_size, config.clip_period_s), seed, share)


def _seed(phase: Phase) -> int:
    """Of the phase's data: two phases of one group do not begin with the same records."""
    return crc32(f"{phase.schedule.seed} {phase.name}".encode())


def _once(mixture: Mixture, count: int) -> Iterator[Sample]:
    """Up to `count` samples, and none twice: a source that has given all that it has is passed over."""
    given = 0
    while given < count and not all(source.epoch for source in mixture.sources):
        sample, source = mixture.draw()
        if not source.epoch:
            given += 1
            yield sample


def in_parts(samples: Iterator[Sample], rows: int) -> Iterator[list[Sample]]:
    """`rows` at a time, and what is left."""
    while part := list(islice(samples, rows)):
        yield part


def _rows(samples: list[Sample], features: Tensor) -> list[CachedRow]:
    return [CachedRow(one, sample.query, sample.target) for one, sample in zip(features.half().numpy(), samples)]
