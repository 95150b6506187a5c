# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Selective decoding: how much of what is true of long streams is said, against how often words are made (paper, Figure 4).

References are the true segments: the text of the world's state, at the middle of the time for which it holds and the model sees
it. Each is held against one decode of a way (`evaluation/tradeoff.py`: the nearest, or the latest that had been said) by CIDEr-D,
in two measures. `cider_d` counts how rare an n-gram is over all references, so that the names of a scene's things weigh most, and
most of a text is right for the whole stream; `cider_d_in_stream` counts over the stream's own, so that only what changes in it
weighs, and words at a wrong moment cost more. A figure is the mean over references; intervals resample whole streams, the same
for all ways, so that differences and ratios are of like with like. Only words that a reference is held against are decoded.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from tqdm import tqdm

from vljepa_ros.evaluation import selective
from vljepa_ros.evaluation.cider import Corpus, words
from vljepa_ros.evaluation.selective import Decodes, RecordedEmbeddings, Setting
from vljepa_ros.evaluation.tradeoff import MATCHINGS, SILENT, Reach, at_rate, reach

from ..tabletop.stream import Stream
from .intervals import bootstrap

INTERVALS_S = (0.5, 1.0, 2.0, 2.85, 5.0, 20 / 3, 10.0, 40 / 3, 20.0, 50.0, 100.0)  # the paper's, between decodes
MEASURES = ("cider_d", "cider_d_in_stream")
CLOCK_RATE = 1.0  # of the clock whose score the other ways are to reach
WARD_RATES = (1.0, 0.1)  # between these the online way is held against offline Ward
ONLINE, SHIPPED = "online", "online as shipped"


@dataclass(frozen=True)
class Reference:
    """What is true of one segment of stream number `stream`."""

    stream: int
    start_s: float
    end_s: float
    text: str

    @property
    def time_s(self) -> float:
        return (self.start_s + self.end_s) / 2


def references(streams: Sequence[Stream], recorded: Sequence[RecordedEmbeddings]) -> list[Reference]:
    """The true segments as far as embeddings reach; one that no embedding falls into is left out."""
    out = []
    for number, (stream, one) in enumerate(zip(streams, recorded)):
        starts_s = [segment.start_s for segment in stream.segments]
        for segment, end_s in zip(stream.segments, [*starts_s[1:], stream.seconds]):
            start_s, end_s = max(segment.start_s, one.stamps_s[0]), min(end_s, one.stamps_s[-1])
            if start_s < end_s:
                out.append(Reference(number, float(start_s), float(end_s), words(segment.state)))
    return out


class Point:
    """One way at one rate or setting, on all streams."""

    def __init__(self, decodes: Sequence[Decodes], asked: dict) -> None:
        """`asked`: what the way was told, for the report."""
        self.decodes, self.asked = decodes, asked
        self.counts_S = np.array([len(one) for one in decodes])
        self.matched: dict[str, list[int]] = {}  # by matching, one per reference: index of its stream's decode
        self.inside: dict[str, np.ndarray] = {}  # whether that decode's time lies in the reference's own segment
        self.scores: dict[tuple[str, str], np.ndarray] = {}  # by matching and measure

    def match(self, true: Sequence[Reference]) -> None:
        """To each reference its decode, by both matchings."""
        for name, matching in MATCHINGS.items():
            self.matched[name] = [int(matching(self.decodes[r.stream].times_s, [r.time_s])[0]) for r in true]
            times_s = [np.nan if i == SILENT else self.decodes[r.stream].times_s[i] for r, i in zip(true, self.matched[name])]
            self.inside[name] = np.array([r.start_s <= t < r.end_s for r, t in zip(true, times_s)])

    def wanted(self, true: Sequence[Reference], name: str) -> list[np.ndarray]:
        """The vectors to be put into words, in the order of the references that have any."""
        return [self.decodes[r.stream].vectors_ND[i] for r, i in zip(true, self.matched[name]) if i != SILENT]


def decide(recorded: Sequence[RecordedEmbeddings], settings: Sequence[Setting]) -> dict[str, list[Point]]:
    """Every way over its rates or settings."""

    def online(setting: Setting) -> Point:
        asked = {"threshold": setting.transition.threshold, "max_silence_s": setting.decode.max_silence_s}
        return Point([selective.online(one, setting) for one in recorded], asked)

    ways: dict[str, list[Point]] = {name: [] for name in (*selective.CLOCKED, ONLINE, SHIPPED)}
    jobs = [(name, interval_s) for name in selective.CLOCKED for interval_s in INTERVALS_S]
    jobs += [(ONLINE, setting) for setting in settings] + [(SHIPPED, selective.SHIPPED)]
    for name, told in tqdm(jobs, desc="decide", unit="curve point", mininterval=2.0):
        if isinstance(told, Setting):
            ways[name].append(online(told))
        else:
            way = selective.CLOCKED[name]
            ways[name].append(Point([way(one, one.decodes_at(1 / told)) for one in recorded], {"interval_s": told}))
    return ways


def score(ways: dict[str, list[Point]], true: Sequence[Reference], say: Callable[[np.ndarray], list[str]]) -> None:
    """Fill in every point's scores. Silence scores 0."""
    rate = {measure: cache(scorer) for measure, scorer in _scorers(true).items()}
    points = [point for part in ways.values() for point in part]
    for point in points:
        point.match(true)
    wanted = [vector_D for point in points for name in MATCHINGS for vector_D in point.wanted(true, name)]
    said = iter(say(np.stack(wanted)) if wanted else [])
    for point in tqdm(points, desc="score", unit="curve point", mininterval=2.0):
        for name in MATCHINGS:
            texts = ["" if i == SILENT else words(next(said)) for i in point.matched[name]]
            for measure in MEASURES:
                point.scores[name, measure] = np.array([rate[measure](text, i) for i, text in enumerate(texts)])


def _scorers(true: Sequence[Reference]) -> dict[str, Callable[[str, int], float]]:
    """By measure: (text, index of the reference) -> CIDEr-D."""
    everywhere = Corpus([[reference.text] for reference in true])
    members = [[i for i, other in enumerate(true) if other.stream == s] for s in range(max(r.stream for r in true) + 1)]
    within = [Corpus([[true[i].text] for i in part]) for part in members]
    place = {i: k for part in members for k, i in enumerate(part)}
    return {"cider_d": everywhere.score, "cider_d_in_stream": lambda text, i: within[true[i].stream].score(text, place[i])}


class Curves:
    """All ways' scores in one measure, by stream, so that streams can be resampled. P points of a way, S streams.

    `index`: which streams, with repetitions.
    """

    def __init__(
        self, ways: dict[str, list[Point]], true: Sequence[Reference], seconds_S: Sequence[float], matching: str, measure: str
    ) -> None:
        self._ways, self._matching, self._measure = ways, matching, measure
        self._seconds_S = np.asarray(seconds_S, float)
        of_R, streams = np.array([reference.stream for reference in true]), len(self._seconds_S)
        self._everyone = np.arange(streams)
        self._references_S = np.bincount(of_R, minlength=streams)
        self._sums_PS = {
            name: np.stack([np.bincount(of_R, point.scores[matching, measure], streams) for point in points])
            for name, points in ways.items()
        }
        self._decodes_PS = {name: np.stack([point.counts_S for point in points]) for name, points in ways.items()}

    def scores(self, name: str, index: np.ndarray) -> np.ndarray:
        """(P,): mean CIDEr-D at each of a way's points."""
        return self._sums_PS[name][:, index].sum(1) / self._references_S[index].sum()

    def rates(self, name: str, index: np.ndarray) -> np.ndarray:
        """(P,): decodes per second."""
        return self._decodes_PS[name][:, index].sum(1) / self._seconds_S[index].sum()

    def curve(self, name: str, index: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(rates, scores), without the points at which nothing was ever said."""
        rates_P, scores_P = self.rates(name, index), self.scores(name, index)
        return rates_P[rates_P > 0], scores_P[rates_P > 0]

    def points(self, name: str) -> list[dict]:
        """A way's figures. `own_segment`: share of references whose words were made in their own segment; `own_segment_score`: of
        those alone, so what is lost by the vector and not by the moment."""
        out = []
        for i, point in enumerate(self._ways[name]):
            inside, scores_R = point.inside[self._matching], point.scores[self._matching, self._measure]
            out.append(
                {
                    **point.asked,
                    "decodes_per_s": float(self.rates(name, self._everyone)[i]),
                    "score": self._figure(lambda index, i=i: float(self.scores(name, index)[i])),
                    "own_segment": float(inside.mean()),
                    "own_segment_score": float(scores_R[inside].mean()) if inside.any() else None,
                }
            )
        return out

    def reduction(self, name: str) -> dict:
        """How many times fewer decodes than the clock of `CLOCK_RATE` the way needs for the clock's score.

        A resample in which the way never comes up to the clock counts as no reduction at all, 0 times: where more than one in
        forty does, there is no lower end of the interval.
        """
        clock = next(i for i, point in enumerate(self._ways["uniform"]) if point.asked["interval_s"] == 1 / CLOCK_RATE)

        def find(index: np.ndarray) -> tuple[Reach | None, float, float]:
            target, clocked = self.scores("uniform", index)[clock], self.rates("uniform", index)[clock]
            rates, scores = self.curve(name, index)
            return (reach(rates, scores, target) if len(rates) else None), float(clocked), float(target)

        def times(index: np.ndarray) -> float:
            found, clocked, _ = find(index)
            return 0.0 if found is None else clocked / found.rate

        found, clocked, target = find(self._everyone)
        figure = self._figure(times) if found else {"value": None, "low": None, "high": None}
        figure |= {end: figure[end] or None for end in ("low", "high")}
        return {
            "clock_score": target,
            "clock_decodes_per_s": clocked,
            "decodes_per_s": found.rate if found else None,
            "at_least": bool(found and found.at_once),
            "times_fewer": figure,
            "in_words": _in_words(name, found, figure),
        }

    def against(self, name: str, other: str) -> list[dict]:
        """How far a way is from another at each of that one's rates between `WARD_RATES`: share of the other's score, below 0
        where it is behind. None where the way does not reach so far."""
        out = []
        for i, point in enumerate(self._ways[other]):
            if not WARD_RATES[1] <= 1 / point.asked["interval_s"] <= WARD_RATES[0]:
                continue

            def gap(index: np.ndarray, i: int = i) -> float:
                rates, scores = self.curve(name, index)
                theirs = self.scores(other, index)[i]
                return at_rate(rates, scores, self.rates(other, index)[i]) / theirs - 1 if len(rates) and theirs else np.nan

            rate = float(self.rates(other, self._everyone)[i])
            out.append({"interval_s": point.asked["interval_s"], "decodes_per_s": rate, "gap": self._figure(gap)})
        return out

    def _figure(self, statistic: Callable[[np.ndarray], float]) -> dict:
        figure = bootstrap(len(self._everyone), statistic)
        return figure if np.isfinite(figure["value"]) else figure | {"value": None, "low": None, "high": None}


def _in_words(name: str, found: Reach | None, figure: dict) -> str:
    clock = f"a clock of {CLOCK_RATE:g} per s"
    if found is None:
        return f"{name} never says as much as {clock}, at any rate tried"
    low, high = (f"{figure[end]:.2f}" if figure[end] else "never" for end in ("low", "high"))
    least = "at least " if found.at_once else ""
    return (
        f"{name} says as much as {clock} with {found.rate:.3f} decodes per s: {least}{figure['value']:.2f} times fewer "
        f"(95 % {low} to {high})"
    )


def report(ways: dict[str, list[Point]], true: Sequence[Reference], seconds_S: Sequence[float]) -> dict:
    """All figures: ["nearest" or "latest"]["cider_d" or "cider_d_in_stream"]["ways", "reduction", "online_against"]."""
    changes = len(true) - len({reference.stream for reference in true})
    out = {"references": len(true), "seconds": float(sum(seconds_S)), "boundaries_per_s": changes / float(sum(seconds_S))}
    for matching in MATCHINGS:
        out[matching] = {}
        for measure in MEASURES:
            curves = Curves(ways, true, seconds_S, matching, measure)
            out[matching][measure] = {
                "ways": {name: curves.points(name) for name in ways},
                "reduction": {name: curves.reduction(name) for name in ways if name not in ("uniform", SHIPPED)},
                "online_against": {other: curves.against(ONLINE, other) for other in ("ward", "ward pooled")},
            }
    return out
