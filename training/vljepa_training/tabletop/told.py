# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What can be asked and said about a moment of a stream: questions with their answers, and (query, target) pairs to train on.

Needs no pictures: a stream is remade from its seed in milliseconds, so texts can come from as many worlds as one likes.
"""

from __future__ import annotations

import numpy as np

from . import language
from .balance import family
from .state import Event
from .stream import Stream

Pair = tuple[str, str, str, str]  # kind of query, query, target, canonical target


def questions(stream: Stream, t: float, event: Event | None) -> list[language.Question]:
    """All questions about the moment t of which `event` is shown: about the present, and about before and after the event."""
    out = language.questions(stream.state_at(t), stream.scene)
    if event is not None:
        out += language.event_questions(stream.state_at(event.start), stream.state_at(t), stream.scene)
    return out


def pairs(stream: Stream, t: float, event: Event | None, rng: np.random.Generator, only: str | None = None) -> list[Pair]:
    """All that the moment t, at which `event` is shown, can be trained on, in one random phrasing each.

    `only`: of this kind. Half of the states and answers are canonical, for that is what decoding and candidates ask for.
    """
    state, scene = stream.state_at(t), stream.scene
    out: list[Pair] = []
    if only in (None, "state"):
        text = language.state_text(state, scene)
        said = text if rng.random() < 0.5 else language.state_text(state, scene, rng)
        out.append(("state", language.phrase_question("state", {}, rng), said, text))
    if event is not None and only in (None, "action"):
        label = language.action_label(event.kind, rng)
        out.append(("action", language.phrase_question("action", {}, rng), label, language.action_label(event.kind)))
    if event is not None and only in (None, "caption"):
        said = language.caption(event, scene, rng)
        out.append(("caption", language.phrase_question("caption", {}, rng), said, language.caption(event, scene)))
    if event is not None and only in (None, "detail"):
        text = language.detail(event, state, scene)
        said = text if rng.random() < 0.5 else language.detail(event, state, scene, rng)
        out.append(("detail", language.phrase_question("detail", {}, rng), said, text))
    if only not in ("state", "action", "caption", "detail"):
        asked = [q for q in questions(stream, t, event) if only in (None, family(q.kind))]
        out += [(family(q.kind), q.ask(rng), q.say(rng if rng.random() < 0.5 else None), q.answer) for q in asked]
    return out
