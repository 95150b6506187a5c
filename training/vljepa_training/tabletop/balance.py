# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Draws questions so that no answer is more likely than another: who does not look at the clip learns nothing from the question.

In the world itself the gripper is mostly empty and most things stand upright; a model that is rewarded for knowing that is not
rewarded for seeing. Knows nothing of clips: an item is whatever the caller can turn into a clip and its question.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable

import numpy as np


def family(kind: str) -> str:
    """The query kind that a question belongs to: "before" for "before_lamp", "lamp" for "lamp"."""
    return kind.split("_")[0]


class AnswerIndex:
    """Items by kind of question and class of answer."""

    def __init__(self, entries: Iterable[tuple[str, str, Hashable]]) -> None:
        """`entries`: (kind, answer_class, item)."""
        self._items: dict[str, dict[str, list]] = {}
        for kind, answer_class, item in entries:
            self._items.setdefault(kind, {}).setdefault(answer_class, []).append(item)
        self._families: dict[str, list[str]] = {}
        for kind in sorted(self._items):
            self._families.setdefault(family(kind), []).append(kind)

    @property
    def families(self) -> list[str]:
        return list(self._families)

    def classes(self, kind: str) -> dict[str, int]:
        """How many items each class of answers has."""
        return {name: len(items) for name, items in sorted(self._items[kind].items())}

    def draw(self, rng: np.random.Generator, wanted: str | None = None) -> tuple[str, str, Hashable]:
        """A kind of the family `wanted` (of any without it), then a class of answers, then an item, each uniformly.

        KeyError for a family without items.
        """
        families = self._families
        kinds = families[wanted if wanted is not None else self.families[int(rng.integers(len(families)))]]
        kind = kinds[int(rng.integers(len(kinds)))]
        classes = sorted(self._items[kind])
        answer_class = classes[int(rng.integers(len(classes)))]
        items = self._items[kind][answer_class]
        return kind, answer_class, items[int(rng.integers(len(items)))]
