# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""When to put a recorded stream of embeddings into words, and from which vector: a clock, a clustering, the robot's own detector.

Five ways (paper, section 4.6 and Figure 4; the last one is ours), each with its own number of decodes:

    uniform           at the middle of equal strides, from the newest embedding there. Knows the past, as a clock on a robot does
    uniform pooled    the same, from the mean of the stride's embeddings. Knows half a stride of future
    ward              the finished stream is clustered (Ward linkage, neighbours in time); at the middle of every cluster, from
                      the embedding there. Knows the whole stream, and how many words it may spend on it
    ward pooled       the same, from the mean of the cluster's embeddings
    online            `TransitionDetector` and `DecodePolicy` as in the nodes. Knows the past: a text's time is when it was due,
                      never the moment it speaks of, and how often it speaks follows from its settings

Knows nothing of texts and truth. T embeddings, D their dimension, N decodes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from sklearn.cluster import AgglomerativeClustering
from sklearn.feature_extraction.image import grid_to_graph

from vljepa_ros.evaluation.stream import rerun
from vljepa_ros.streaming import DecodeParams, Embedding, TransitionParams
from vljepa_ros.streaming.ward import unit

NS = 1_000_000_000


@dataclass(frozen=True, eq=False)
class Decodes:
    """What a way puts into words."""

    times_s: np.ndarray  # (N,) ascending: the moment that a decode counts for
    vectors_ND: np.ndarray  # float32 of norm 1

    def __len__(self) -> int:
        return len(self.times_s)


@dataclass(frozen=True, eq=False)
class RecordedEmbeddings:
    """One epoch of one query's embeddings, oldest first. ValueError for none, or stamps that do not ascend."""

    stamps_s: np.ndarray  # (T,)
    vectors_TD: np.ndarray  # float32 of norm 1

    def __post_init__(self) -> None:
        if not len(self.stamps_s) or len(self.stamps_s) != len(self.vectors_TD):
            raise ValueError(f"one stamp per embedding and at least one: {len(self.stamps_s)} of {len(self.vectors_TD)}")
        if not np.all(np.diff(self.stamps_s) > 0):
            raise ValueError("stamps_s must ascend: a stream of several epochs is as many recordings")

    @property
    def seconds(self) -> float:
        """From the first embedding to the last."""
        return float(self.stamps_s[-1] - self.stamps_s[0])

    def decodes_at(self, rate: float) -> int:
        """The number of decodes that comes nearest to `rate` per second: at least 1, at most one for each embedding."""
        if not rate > 0:
            raise ValueError(f"a rate of decodes must be above 0 per second, got {rate}")
        return min(max(1, round(rate * self.seconds)), len(self.stamps_s))

    @cached_property
    def boundaries(self) -> np.ndarray:
        """(T - 1,): index of the first embedding after each boundary between neighbours, in the order in which Ward's merges take
        them away. The last n - 1 of them are what parts the stream into n clusters: one tree serves every n."""
        count = len(self.stamps_s)
        if count == 1:
            return np.zeros(0, int)
        tree = AgglomerativeClustering(
            n_clusters=None, distance_threshold=0.0, linkage="ward", compute_full_tree=True, connectivity=grid_to_graph(count, 1)
        ).fit(self.vectors_TD.astype(np.float64))
        starts = np.concatenate([np.arange(count), np.zeros(count - 1, int)])  # of every node: clusters are stretches of time
        taken = np.zeros(count - 1, int)
        for merge, (one, other) in enumerate(tree.children_):
            starts[count + merge] = min(starts[one], starts[other])
            taken[merge] = max(starts[one], starts[other])
        return taken


def uniform(recorded: RecordedEmbeddings, n: int, pooled: bool = False) -> Decodes:
    """`n` decodes at a fixed stride. A stride without embeddings (they were lost) has none to pool and takes the newest."""
    _check(recorded, n)
    edges_s = np.linspace(recorded.stamps_s[0], recorded.stamps_s[-1], n + 1)
    times_s = (edges_s[:-1] + edges_s[1:]) / 2
    newest = np.searchsorted(recorded.stamps_s, times_s + 1e-9, side="right") - 1
    if not pooled:
        return Decodes(times_s, recorded.vectors_TD[newest])
    cuts = np.r_[0, np.searchsorted(recorded.stamps_s, edges_s[1:-1] - 1e-9), len(recorded.stamps_s)]
    spans = [(a, b) if b > a else (at, at + 1) for a, b, at in zip(cuts[:-1], cuts[1:], newest)]
    return Decodes(times_s, _means(recorded, spans))


def ward(recorded: RecordedEmbeddings, n: int, pooled: bool = False) -> Decodes:
    """`n` decodes, one for each cluster of the finished stream, at the middle between its first and its last embedding."""
    _check(recorded, n)
    spans = segments(recorded, n)
    middles_s = np.array([(recorded.stamps_s[a] + recorded.stamps_s[b - 1]) / 2 for a, b in spans])
    if pooled:
        return Decodes(middles_s, _means(recorded, spans))
    at = [a + int(np.argmin(np.abs(recorded.stamps_s[a:b] - middle))) for (a, b), middle in zip(spans, middles_s)]
    return Decodes(middles_s, recorded.vectors_TD[at])


def segments(recorded: RecordedEmbeddings, n: int) -> list[tuple[int, int]]:
    """Ward's `n` clusters as index ranges [first, behind the last), in time."""
    _check(recorded, n)
    count = len(recorded.stamps_s)
    cuts = np.r_[0, np.sort(recorded.boundaries[count - n :]), count]
    return [(int(a), int(b)) for a, b in zip(cuts[:-1], cuts[1:])]


CLOCKED: dict[str, Callable[[RecordedEmbeddings, int], Decodes]] = {
    "uniform": uniform,
    "uniform pooled": lambda recorded, n: uniform(recorded, n, pooled=True),
    "ward": ward,
    "ward pooled": lambda recorded, n: ward(recorded, n, pooled=True),
}  # the ways that are told how often to speak


@dataclass(frozen=True)
class Setting:
    """What a person sets on the robot."""

    transition: TransitionParams = field(default_factory=TransitionParams)
    decode: DecodeParams = field(default_factory=DecodeParams)


SHIPPED = Setting()


THRESHOLDS = (4.0, 2.0, 1.4, 1.0, 0.74, 0.53, 0.38, 0.27, 0.19, 0.14, 0.1, 0.07, 0.05)  # merge costs; 0.27 is the shipped `floor`
SILENCES_S = (2.0, 1.4, 1.0, 0.6, 0.4)


def sweep(thresholds: Sequence[float] = THRESHOLDS, silences_s: Sequence[float] = SILENCES_S) -> list[Setting]:
    """Settings from the most silent to the most talkative, each for all streams alike.

    First the detector's threshold alone comes down, set by hand. It cannot reach every rate, for a state has to last before it
    counts; beyond, the detector is as shipped and the state is told again after ever shorter silences, from the mean of its
    latest seconds.
    """
    by_hand = [replace(SHIPPED, transition=replace(SHIPPED.transition, threshold=t)) for t in sorted(thresholds, reverse=True)]
    again = [replace(SHIPPED, decode=replace(SHIPPED.decode, max_silence_s=s)) for s in sorted(silences_s, reverse=True)]
    return [*by_hand, *again]


def online(recorded: RecordedEmbeddings, setting: Setting = SHIPPED) -> Decodes:
    """What detector and policy would have put into words, when it was due. Empty where nothing was."""
    embeddings = [
        Embedding(vector_D, round(stamp_s * NS), round(stamp_s * NS), epoch=0, sequence=i, space_id="")
        for i, (stamp_s, vector_D) in enumerate(zip(recorded.stamps_s, recorded.vectors_TD))
    ]
    _, requests = rerun(embeddings, setting.transition, setting.decode)
    if not requests:
        return Decodes(np.zeros(0), np.zeros((0, recorded.vectors_TD.shape[1]), np.float32))
    return Decodes(np.array([one.stamp_ns / NS for one in requests]), np.stack([one.vector_D for one in requests]))


def _check(recorded: RecordedEmbeddings, n: int) -> None:
    if not 1 <= n <= len(recorded.stamps_s):
        raise ValueError(f"decodes must be from 1 to the {len(recorded.stamps_s)} embeddings that there are, got {n}")


def _means(recorded: RecordedEmbeddings, spans: Sequence[tuple[int, int]]) -> np.ndarray:
    return np.stack([unit(recorded.vectors_TD[a:b].astype(np.float64).mean(0)) for a, b in spans])
