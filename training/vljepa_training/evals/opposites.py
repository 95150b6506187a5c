# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The Y-Encoder alone: a true paraphrase must be nearer than the opposite in nearly the same words.

Triplets after the paper's section 3.7: two texts of one meaning and one of the opposite, which counts as right where the two
are nearer to each other than either is to the third. All are held-out phrasings about unseen worlds; the opposite repeats the
first text's phrasing with a word or two exchanged, which makes it the nearest in letters. Knows nothing of clips.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from ..tabletop import language
from ..tabletop.phrases import ACTIONS, CAPTIONS, Phrasings
from ..tabletop.phrases_state import DRAWER, LAMP, PLACES
from ..tabletop.scene import sample_scene
from ..tabletop.state import OPPOSITE
from ..tabletop.stream import Stream
from .bench import Bench
from .intervals import share

PAIRS = 50
_COLUMNS = ("on the left", "on the right")
# Setting something down and dropping it are confused, but not opposite.
REVERSED = {kind: other for kind, other in OPPOSITE.items() if kind not in ("place", "drop")}


def triplets(seed: int, count: int = PAIRS) -> list[tuple[str, str, str, str]]:
    """(kind, text, paraphrase, opposite), as many of every kind as `count` allows, no text pair twice. Seeded."""
    rng = np.random.default_rng([seed, 43])
    sources = {
        "lamp": _fact(LAMP),
        "drawer": _fact(DRAWER),
        "label": _label,
        "caption": _caption,
        "place": _place,
        "state": _state,
    }
    out: list[tuple[str, str, str, str]] = []
    taken: set[frozenset[str]] = set()
    for attempt in range(100 * count):
        if len(out) == count:
            break
        kind = list(sources)[attempt % len(sources)]
        text, paraphrase, opposite = sources[kind](rng)
        pair = frozenset((text, paraphrase))
        if len({text, paraphrase, opposite}) == 3 and pair not in taken:
            taken.add(pair)
            out.append((kind, text, paraphrase, opposite))
    return out


def _two(a: Phrasings, b: Phrasings, rng: np.random.Generator) -> tuple[str, str, str]:
    """`a` in two held-out phrasings, `b` in the first's: the lists of opposites run parallel."""
    i, j = rng.choice(min(len(a.held_out), len(b.held_out)), 2, replace=False)
    return a.held_out[i], a.held_out[j], b.held_out[i]


def _fact(words: dict[bool, Phrasings]):
    def draw(rng: np.random.Generator) -> tuple[str, str, str]:
        flag = bool(rng.random() < 0.5)
        return _two(words[flag], words[not flag], rng)

    return draw


def _pair(rng: np.random.Generator) -> tuple[str, str]:
    kinds = sorted(REVERSED)
    kind = kinds[int(rng.integers(len(kinds)))]
    return kind, REVERSED[kind]


def _label(rng: np.random.Generator) -> tuple[str, str, str]:
    kind, other = _pair(rng)
    return _two(ACTIONS[kind], ACTIONS[other], rng)


def _caption(rng: np.random.Generator) -> tuple[str, str, str]:
    kind, other = _pair(rng)
    name = _name(rng)
    column = _COLUMNS[int(rng.integers(2))]
    slots = {"o": name, "c": column, "C": column.capitalize()}
    a, b, c = _two(CAPTIONS[kind], CAPTIONS[other], rng)
    return a.format(**slots), b.format(**slots), c.format(**slots)


def _place(rng: np.random.Generator) -> tuple[str, str, str]:
    words = PLACES["lying" if rng.random() < 0.5 else "column"]
    here, there = rng.permutation(_COLUMNS)
    name = _name(rng)
    i, j = rng.choice(len(words.held_out), 2, replace=False)

    def say(n: int, column: str) -> str:
        return words.held_out[n].format(o=name, c=column, C=column.capitalize())

    return say(i, str(here)), say(j, str(here)), say(i, str(there))


def _state(rng: np.random.Generator) -> tuple[str, str, str]:
    """A whole scene in which the lamp, the drawer or one object's side is the other way round."""
    stream = Stream(int(rng.integers(1 << 30)), 4.0, events=False)
    state, scene = stream.state_at(0.0), stream.scene
    sides = [i for i, o in enumerate(state.objects) if o.slot is not None and o.slot[0] != 1]
    what = ["lamp", "drawer", *(["side"] if sides else [])][int(rng.integers(3 if sides else 2))]
    if what == "lamp":
        other = replace(state, lamp_on=not state.lamp_on)
    elif what == "drawer":
        other = replace(state, drawer_open=not state.drawer_open)
    else:
        objects = list(state.objects)
        i = sides[int(rng.integers(len(sides)))]
        objects[i] = replace(objects[i], slot=(2 - objects[i].slot[0], objects[i].slot[1]))
        other = replace(state, objects=tuple(objects))
    one, two = rng.integers(1 << 30, size=2)

    def say(s, seed: int) -> str:
        return language.state_text(s, scene, np.random.default_rng(seed), held_out=True)

    return say(state, one), say(state, two), say(other, one)


def _name(rng: np.random.Generator) -> str:
    objects = sample_scene(rng, "eval").objects
    return objects[int(rng.integers(len(objects)))].name


def evaluate_opposites(bench: Bench) -> dict:
    """`y_opposite_below_paraphrase`: share of triplets in which the paraphrase is nearer than the opposite, seen from both
    sides."""
    drawn = triplets(bench.seed)
    text, paraphrase, opposite = (bench.encode([t[i] for t in drawn]) for i in (1, 2, 3))
    same = (text * paraphrase).sum(1)
    against = np.stack([(text * opposite).sum(1), (paraphrase * opposite).sum(1)])
    right = (same > against).all(0)
    kinds = [t[0] for t in drawn]
    return {
        "y_opposite_below_paraphrase": share(list(right)),
        "y_opposites": {
            "paraphrase_similarity": float(same.mean()),
            "opposite_similarity": float(against[0].mean()),
            "any_opposite_below_any_paraphrase": float((same[:, None] > against[0][None]).mean()),
            "per_kind": {k: float(np.mean([r for r, x in zip(right, kinds) if x == k])) for k in sorted(set(kinds))},
            "wrong": [list(t) for t, r in zip(drawn, right) if not r],
        },
    }


def parallel() -> Iterator[tuple[Phrasings, Phrasings]]:
    """The lists whose held-out phrasings must run parallel for this to be what it says."""
    yield LAMP[True], LAMP[False]
    yield DRAWER[True], DRAWER[False]
    for kind, other in REVERSED.items():
        yield ACTIONS[kind], ACTIONS[other]
        yield CAPTIONS[kind], CAPTIONS[other]
