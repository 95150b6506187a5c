# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Words that may stand for each other on this table: one phrasing becomes a dozen, and no meaning hangs on who is named.

Works on templates, before their slots are filled. Knows nothing of the simulator.
"""

from __future__ import annotations

import re
from functools import cache

import numpy as np

_AGENTS, _THINGS = ("gripper", "robot", "hand", "arm"), ("something", "an object", "a thing")
# What is looked for, what it may become, what forbids it. A word is exchanged only where it and its kin stand once, not in "the
# lamp gives light".
_RULES: tuple[tuple[str, tuple[str, ...], str], ...] = (
    (r"(?<=\b[Tt]he )(gripper|robot|hand|arm)\b", _AGENTS, r"\b[Ii]n (the|its)|\bits\b|\bempty\b"),
    (r"(?<=\b[Ii]n the )(gripper|hand)\b", ("gripper", "hand"), r"$^"),
    (r"\b(something|an object|a thing)\b", _THINGS, r"\belse\b|\banother\b|\bone\b"),
    (r"(?<=\b[Tt]he )(lamp|light)\b", ("lamp", "light"), r"$^"),
    (r"\b(objects|things)\b", ("objects", "things"), r"\bdo things\b"),
    (r"\b(turned|switched)\b", ("turned", "switched"), r"\bdark\b"),
    (r"\b(turns|switches)\b", ("turns", "switches"), r"\bdark\b"),
    (r"\b(turning|switching)\b", ("turning", "switching"), r"\bdark\b"),
    (r"(?<=\bcan be )(found|seen)\b", ("found", "seen"), r"\bvideo\b|^Which action|^What action|\bhappens\b"),
    (r"\b(the|a)(?= \{o\})", ("the", "a"), r"\?$|^(Find|Tell|Say)\b"),
    (r"\b(The|A)(?= \{o\})", ("The", "A"), r"\?$"),
)
_KIN = ("lamp|light", "gripper|robot|hand|arm")


def exchanged(template: str, rng: np.random.Generator) -> str:
    """`template` with every such word drawn anew.

    Draws equally often whatever the template is, so that two texts drawn with equal generators stay as alike as their templates.
    """
    draws = rng.random(len(_RULES))
    out = template
    for start, end, rule in _sites(template):
        choices = _RULES[rule][1]
        out = out[:start] + choices[int(draws[rule] * len(choices))] + out[end:]
    return out


def alternatives(template: str) -> list[tuple[str, ...]]:
    """`template` in pieces, with all words that `exchanged` may put where the piece is."""
    out, done = [], 0
    for start, end, rule in reversed(_sites(template)):
        out += [(template[done:start],), _RULES[rule][1]]
        done = end
    return [*out, (template[done:],)]


@cache  # there are a thousand templates
def _sites(template: str) -> tuple[tuple[int, int, int], ...]:
    """(start, end, rule) of all words that may be exchanged, from the last to the first."""
    out = []
    for rule, (found, _, forbidden) in enumerate(_RULES):
        matches = list(re.finditer(found, template))
        if len(matches) == 1 and not re.search(forbidden, template) and _alone(matches[0].group(), template):
            out.append((matches[0].start(), matches[0].end(), rule))
    return tuple(sorted(out, reverse=True))


def _alone(word: str, text: str) -> bool:
    """Neither the lamp nor its light is named a second time, nor who acts."""
    kin = next((k for k in _KIN if re.fullmatch(k, word)), re.escape(word))
    return len(re.findall(rf"\b({kin})\b", text, re.IGNORECASE)) == 1
