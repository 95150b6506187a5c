# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Several sources as one: which comes next is drawn by weight from (seed, share, how many were drawn), which can be resumed.

Every share draws for itself: would all draw alike, a batch of many ranks were as uneven as the few rows of one of them."""

from __future__ import annotations

from collections import Counter

import numpy as np

from .sample import Sample, Source, skipped


class Mixture:
    """`weights`: how often each source is drawn, in any unit. ValueError for none, or a weight that is not above 0."""

    def __init__(self, sources: list[Source], weights: list[float], seed: int = 0) -> None:
        if not sources or len(sources) != len(weights) or not all(0 < w < float("inf") for w in weights):
            raise ValueError(f"a mixture needs a weight above 0 for each source, got {weights} for {len(sources)}")
        self.sources, self.seed, self.drawn = sources, seed, 0
        self._shares = np.array(weights) / sum(weights)

    def next(self) -> Sample:
        return self.draw()[0]

    def draw(self) -> tuple[Sample, Source]:
        """The next sample, and which source it is from."""
        rng = np.random.default_rng([self.seed, self.sources[0].share.index, self.drawn])
        k = int(rng.choice(len(self.sources), p=self._shares))
        self.drawn += 1
        return self.sources[k].next(), self.sources[k]

    def batch(self, size: int) -> list[Sample]:
        return [self.next() for _ in range(size)]

    def state_dict(self) -> dict:
        return {"seed": self.seed, "drawn": self.drawn, "sources": [one.state_dict() for one in self.sources]}

    def load_state_dict(self, state: dict) -> None:
        """ValueError for another mixture's."""
        if state["seed"] != self.seed or len(state["sources"]) != len(self.sources):
            raise ValueError(f"the saved order is of seed {state['seed']} and {len(state['sources'])} sources; start another run")
        self.drawn = state["drawn"]
        for one, saved in zip(self.sources, state["sources"]):
            one.load_state_dict(saved)

    def begin(self, epoch: int) -> None:
        """Start every source with this epoch: an order of its own. For a run that goes on without the state that it had."""
        for one in self.sources:
            one.begin(epoch)

    def report(self) -> str:
        """A line per source: what was skipped, and why."""
        return report_of([self.state_dict()])


def report_of(states: list[dict]) -> str:
    """The same for several mixtures of the same sources, each with a share of its own, from what `state_dict` gives of them."""
    out = []
    for parts in zip(*(state["sources"] for state in states)):
        broken = sum((Counter(one["broken"]) for one in parts), Counter())
        out.append(f"{parts[0]['name']}: epoch {min(one['epoch'] for one in parts)}, {skipped(broken)}")
    return "\n".join(out)
