# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Questions with candidate answers, nearest embedding wins (paper section 3.2), beside answering without looking.

Balanced: as if the query kind (lamp, drawer, held, where, colour, count, before, after) were drawn uniformly, then of the last
two what is asked for, then the answer's class, so that no prior helps. Knows nothing of training.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from tqdm import tqdm

from ..tabletop.balance import family
from ..tabletop.samples import WINDOW_S
from ..tabletop.scene import HELD_OUT_PAIRS
from ..tabletop.state import WorldState
from .bench import Bench, Watched
from .intervals import balanced, cell_weights, mean


@dataclass
class Answered:
    """Questions in the order they were asked: rows of equal length."""

    kind: list[str] = field(default_factory=list)
    answer_class: list[str] = field(default_factory=list)
    group: list[int] = field(default_factory=list)
    right: list[bool] = field(default_factory=list)
    blind: list[bool] = field(default_factory=list)  # by looking at another clip

    def figure(self, right: list[bool], only: str | None = None) -> dict[str, float]:
        rows = [i for i, k in enumerate(self.kind) if only in (None, k)]
        cells = [(family(self.kind[i]), self.kind[i], self.answer_class[i]) for i in rows]
        return balanced([right[i] for i in rows], cells, [self.group[i] for i in rows])

    def majority(self, kind: str) -> float:
        """The most that one answer to everything of a kind can be worth where all classes are equally frequent."""
        cells = {c for c, k in zip(self.answer_class, self.kind) if k == kind}
        answers = [c.split(": ")[-1] for c in cells]
        return max(answers.count(a) for a in answers) / len(cells)


def ask_all(bench: Bench, clips: list[Watched], held_out: bool = False, name: str = "questions") -> tuple[Answered, list[dict]]:
    """Everything that can be asked about each clip, with its own visual tokens and with those of a clip of another stream.

    Also returns, for every question about the present, {"q", "right", "seen"}.
    """
    rng = np.random.default_rng([bench.seed, 37])
    out, present = Answered(), []
    for seen in tqdm(clips, desc=name, unit="clip", mininterval=2.0):
        now, around = seen.clip.questions()
        asked = now + around
        prompts = [q.ask(rng if held_out else None, held_out) for q in asked]
        others = [c for c in clips if c.group != seen.group] or clips
        other = others[int(rng.integers(len(others)))]
        own, blind = bench.predict(seen, prompts), bench.predict(other, prompts)
        for j, q in enumerate(asked):
            candidates = bench.encode(list(q.candidates))
            right, guessed = (q.candidates[int((candidates @ v[j]).argmax())] == q.answer for v in (own, blind))
            out.kind.append(q.kind)
            out.answer_class.append(q.answer_class)
            out.group.append(seen.group)
            out.right.append(right)
            out.blind.append(guessed)
            if j < len(now):
                present.append({"q": q, "right": right, "seen": seen})
    return out, present


def evaluate_answers(bench: Bench) -> dict:
    """`vqa_*`, lamp and drawer where they change and where they do not, colours.

    `vqa_blind` is the stronger of two answers without looking, kind by kind: the model with another clip's tokens, and always the
    same answer.
    """
    answered, present = ask_all(bench, bench.clips())
    kinds = sorted(set(answered.kind))
    per_kind = {k: answered.figure(answered.right, k) for k in kinds}
    swapped = {k: answered.figure(answered.blind, k) for k in kinds}
    constant = {k: answered.majority(k) for k in kinds}
    known = [k for k in kinds if per_kind[k]["n"]]
    blind = {k: max(swapped[k]["value"], constant[k]) for k in known}
    held_out, _ = ask_all(bench, bench.clips(), held_out=True, name="questions in other words")
    return {
        "vqa_acc": answered.figure(answered.right),
        "vqa_blind": {"value": _over_kinds(blind), "n": len(answered.kind)},
        "vqa": per_kind,
        "vqa_blind_parts": {
            "other_clip": answered.figure(answered.blind),
            "other_clip_per_kind": {k: v["value"] for k, v in swapped.items()},
            "one_answer_per_kind": constant,
        },
        "vqa_held_out_phrasing": held_out.figure(held_out.right),
        **_toggled(present),
        "colour_acc": _colours(present),
        "colour_heldout_acc": _colours(
            ask_all(bench, bench.clips("heldout_pairs"), name="colours of unseen pairs")[1], unseen=True
        ),
    }


def _over_kinds(values: dict[str, float]) -> float | None:
    """The mean as `Answered.figure` takes it."""
    weights = cell_weights([(family(k), k) for k in values])
    return float(sum(values[k] * w for (_, k), w in weights.items())) if values else None


def _toggled(present: list[dict]) -> dict:
    """Lamp and drawer apart where the clip itself shows them change."""
    flags: dict[str, list[tuple[bool, int]]] = {f"{q}_{w}_acc": [] for q in ("lamp", "drawer") for w in ("static", "toggled")}
    for row in present:
        if (kind := row["q"].kind) in ("lamp", "drawer"):
            clip = row["seen"].clip
            changed = _flag(clip.stream.state_at(clip.t - WINDOW_S), kind) != _flag(clip.state, kind)
            flags[f"{kind}_{'toggled' if changed else 'static'}_acc"].append((row["right"], row["seen"].group))
    return {k: mean([r for r, _ in v], [g for _, g in v]) for k, v in flags.items()}


def _colours(present: list[dict], unseen: bool = False) -> dict:
    """The colour of a named shape; with `unseen`, of things whose colour and shape never met in training alone."""
    rows = [
        row
        for row in present
        if row["q"].kind == "colour" and (not unseen or (row["q"].answer_class, row["q"].slots["o"]) in HELD_OUT_PAIRS)
    ]
    return mean([row["right"] for row in rows], [row["seen"].group for row in rows])


def _flag(state: WorldState, question: str) -> bool:
    return state.lamp_on if question == "lamp" else state.drawer_open
