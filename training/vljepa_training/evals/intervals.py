# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Figures with their 95 % intervals: a share of independent successes, a mean over clips that share streams.

Every figure of a report is {"value", "low", "high", "n"}, all None where there is nothing to count. Knows nothing of models.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
from scipy.stats import binomtest

RESAMPLES = 1000


def share(right: Sequence[bool]) -> dict[str, float]:
    """Successes that know nothing of each other: the Wilson interval."""
    if not len(right):
        return {"value": None, "low": None, "high": None, "n": 0}
    low, high = binomtest(int(np.sum(right)), len(right)).proportion_ci(method="wilson")
    return {"value": float(np.mean(right)), "low": float(low), "high": float(high), "n": len(right)}


def bootstrap(
    n: int, statistic: Callable[[np.ndarray], float], groups: Sequence[int] | None = None, seed: int = 0
) -> dict[str, float]:
    """`statistic` of the indices 0..n-1, and of resamples of whole groups: what one stream shows is not `n` new facts.

    Resamples of which the statistic is not finite (no clip of some class) are left out.
    """
    if not n:
        return {"value": None, "low": None, "high": None, "n": 0}
    of = np.arange(n) if groups is None else np.asarray(groups)
    members = [np.flatnonzero(of == g) for g in np.unique(of)]
    rng = np.random.default_rng([seed, 23])
    drawn = []
    for _ in range(RESAMPLES):
        value = statistic(np.concatenate([members[i] for i in rng.integers(len(members), size=len(members))]))
        if np.isfinite(value):
            drawn.append(value)
    low, high = np.quantile(drawn, (0.025, 0.975)) if drawn else (None, None)
    value = statistic(np.arange(n))
    return {"value": float(value), "low": _plain(low), "high": _plain(high), "n": n, "groups": len(members)}


def mean(values: Sequence[float], groups: Sequence[int] | None = None) -> dict[str, float]:
    """The mean of one value per clip, resampled by group."""
    array = np.asarray(values, float)
    return bootstrap(len(array), lambda index: float(array[index].mean()), groups)


def cell_weights(cells: Sequence[tuple[str, ...]]) -> dict[tuple[str, ...], float]:
    """How likely each distinct cell is where one draws its first part uniformly, then its second among those that go with it,
    ..."""
    weights = {}
    distinct = set(cells)
    for cell in distinct:
        weight = 1.0
        for depth in range(len(cell)):
            weight /= len({c[depth] for c in distinct if c[:depth] == cell[:depth]})
        weights[cell] = weight
    return weights


def balanced(right: Sequence[bool], cells: Sequence[tuple[str, ...]], groups: Sequence[int], least: int = 5) -> dict[str, float]:
    """What is to be expected of a question that is drawn as `cell_weights` says, whatever the frequencies here.

    Cells of fewer than `least` are left out, for one clip would weigh as much as a hundred; so is what then has one answer only.
    """
    count = Counter(cells)
    kept = {c for c, n in count.items() if n >= least}
    kept = {c for c in kept if sum(other[:-1] == c[:-1] for other in kept) > 1}
    index = np.array([i for i, c in enumerate(cells) if c in kept], int)
    if not len(index):
        return bootstrap(0, lambda chosen: float("nan"))
    names = sorted(kept)
    weight = np.array([cell_weights(names)[c] for c in names])
    number = {c: j for j, c in enumerate(names)}
    code = np.array([number[cells[i]] for i in index])
    flags = np.asarray(right, float)[index]

    def statistic(chosen: np.ndarray) -> float:
        n = np.bincount(code[chosen], minlength=len(names))
        each = np.bincount(code[chosen], weights=flags[chosen], minlength=len(names)) / np.maximum(n, 1)
        return float((each * weight)[n > 0].sum() / weight[n > 0].sum())

    return bootstrap(len(index), statistic, np.asarray(groups)[index])


def _plain(value: float | None) -> float | None:
    return None if value is None else float(value)
