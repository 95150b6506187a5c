# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Stages 1 and 2: Predictor and Y-Encoder by bidirectional InfoNCE over frozen X-Encoder features (paper sections 2 and 3.2).

Stage 1 describes, single pictures first and then pictures and video (captions, labels, states); stage 2, supervised finetuning,
answers questions too and replays stage 1. Features are cached once per clip; an epoch then costs the Predictor and the Y-Encoder
alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..ranks import mine
from ..tabletop import language, negatives
from ..tabletop.balance import AnswerIndex, family
from ..tabletop.samples import TabletopStore
from ..tabletop.state import EVENTS
from .contrastive import Y_ENCODER_MULTIPLIER, AlignModule, Contrastive
from .features import pictures
from .footage import Footage
from .tokens import encode_by_length, query_tokens, text_tokens

WRONG_ANSWERS = 4  # beside a question's answer: short texts, and which place is right is told from the other places


@dataclass(frozen=True)
class _Pair:
    """One row of a batch. `stream` -1: `clip` is one of the footage. `wrong`: (text, its canonical form) of targets that are
    nearly right."""

    stream: int
    clip: int
    query: str
    target: str
    canonical: str
    wrong: tuple[tuple[str, str], ...]


class AlignTask(Contrastive):
    """`mixture`: how often each kind of query is drawn. `still`: of single pictures alone. `footage`: what else batches hold.

    Batches hold neighbouring clips of few streams: what differs between them is what just happened, so they are each other's
    hard negatives.
    """

    def __init__(
        self,
        predictor,
        text_encoder,
        query_tokenizer,
        text_tokenizer,
        config,
        store: TabletopStore,
        clips: np.ndarray,
        features: np.ndarray,
        batch: int,
        mixture: dict[str, float],
        seed: int = 0,
        held: int = 40,
        per_stream: int = 4,
        multiplier: float = Y_ENCODER_MULTIPLIER,
        module: AlignModule | None = None,
        still: bool = False,
        footage: Footage | None = None,
    ) -> None:
        self._footage = footage
        self._mixture = {kind: share / sum(mixture.values()) for kind, share in mixture.items()}
        super().__init__(module or AlignModule(predictor, text_encoder), batch, multiplier)
        self._query_tokenizer, self._text_tokenizer, self._config = query_tokenizer, text_tokenizer, config
        self._store, self._clips, self._features = store, clips, features
        self._seed, self._per_stream = seed, per_stream
        self._train = np.arange(len(clips) - held)
        self._held = np.arange(len(clips) - held, len(clips))
        self._kinds = np.array([[store.kind(s, int(k)) for k in row] for s, row in enumerate(clips)])
        count = clips.shape[1]
        self._drawn = range(count - pictures(count) if still else 0, count)  # of a stream's clips
        kinds = np.full_like(self._kinds[self._train], -1) if still else self._kinds[self._train]
        self._by_kind = [np.argwhere(kinds == k) for k in range(len(EVENTS))]
        self._answers = AnswerIndex(
            (q.kind, q.answer_class, (int(s), i, n))
            for s in self._train
            for i in self._drawn
            for n, q in enumerate(store.questions(int(s), int(clips[s, i])))
        )

    def _choose(self, rng: np.random.Generator) -> list[_Pair]:
        """Actions equally often, and of every question all answers."""
        kinds = list(self._mixture)
        chosen: list[_Pair] = []
        while len(chosen) < self._batch:
            wanted = kinds[rng.choice(len(kinds), p=list(self._mixture.values()))]
            if wanted in ("action", "caption", "detail"):
                of_kind = self._by_kind[int(rng.integers(len(EVENTS)))]
                clips = [of_kind[int(rng.integers(len(of_kind)))]] if len(of_kind) else []
            elif wanted == "state":
                s = int(rng.choice(self._train))
                clips = [(s, i) for i in rng.choice(self._drawn, min(self._per_stream, len(self._drawn)), replace=False)]
            elif wanted in self._answers.families:
                _, _, (s, i, n) = self._answers.draw(rng, wanted)
                q = self._store.questions(s, int(self._clips[s, i]))[n]
                wrong = tuple((text, text) for text in negatives.wrong_answers(q, rng, WRONG_ANSWERS))
                said = q.say(rng if rng.random() < 0.5 else None)
                chosen.append(_Pair(s, i, q.ask(rng), said, q.answer, wrong))
                continue
            else:  # a handful of clips need not show every kind
                continue
            for s, i in clips:
                k = int(self._clips[s, i])
                for kind, query, target, canonical in self._store.pairs(int(s), k, rng, only=wanted):
                    spared = kind in ("state", "detail") and rng.random() < 0.6  # long: one for some serves all rows
                    told = self._store.streams[s], *self._store.moment(s, k)
                    wrong = None if spared else negatives.wrong_text(kind, *told, rng)
                    chosen.append(_Pair(int(s), int(i), query, target, canonical, (wrong,) if wrong else ()))
        return chosen[: self._batch]

    def batch(self, step: int) -> dict[str, Tensor]:
        rng = np.random.default_rng([self._seed, step])
        chosen = self._choose(rng)
        if self._footage:
            rows = self._footage.draw(max(1, round(self._footage.share * self._batch)), rng)
            queries, targets = self._footage.queries, self._footage.targets
            chosen[len(chosen) - len(rows) :] = [_Pair(-1, i, queries[i], targets[i], targets[i], ()) for i in rows]
        view = int(rng.integers(len(self._features)))
        return self._collate(chosen, view)

    def _collate(self, every: list[_Pair], view: int) -> dict[str, Tensor]:
        """All ranks choose the same rows, number meanings alike, and take their parts."""
        all_wrong = list(dict.fromkeys(text for c in every for text in c.wrong))
        meanings = [language.meaning(c.canonical) for c in every]  # paraphrases of one target are no negatives of each other
        wrong_meanings = [language.meaning(canonical) for _, canonical in all_wrong]
        group = {m: i for i, m in enumerate(dict.fromkeys(meanings + wrong_meanings))}
        chosen, meanings, wrong, wrong_meanings = map(mine, (every, meanings, all_wrong, wrong_meanings))
        texts = {t: i for i, t in enumerate(dict.fromkeys(c.target for c in chosen))}
        query_ids, query_mask = query_tokens(self._query_tokenizer, [c.query for c in chosen], self._config.predictor)
        ids, mask = text_tokens(self._text_tokenizer, list(texts), self._config.text_encoder)
        wrong_ids, wrong_mask = text_tokens(self._text_tokenizer, [text for text, _ in wrong] or [""], self._config.text_encoder)
        return {
            "visual": torch.from_numpy(np.stack([self._seen(c, view) for c in chosen])),
            "query_ids": query_ids,
            "query_mask": query_mask,
            "ids": ids,
            "mask": mask,
            "text": torch.tensor([texts[c.target] for c in chosen]),
            "group": torch.tensor([group[m] for m in meanings]),
            "wrong_ids": wrong_ids,
            "wrong_mask": wrong_mask,
            "wrong_group": torch.tensor([group[m] for m in wrong_meanings], dtype=torch.long),
        }

    def _seen(self, c: _Pair, view: int) -> np.ndarray:
        return self._footage.features[c.clip] if c.stream < 0 else self._features[view, c.stream, c.clip]

    def encode(self, texts: list[str]) -> Tensor:
        """(B, D) of norm 1: the targets of these texts."""
        ids, mask = text_tokens(self._text_tokenizer, texts, self._config.text_encoder)
        return F.normalize(encode_by_length(self.module.text_encoder, ids, mask), dim=-1)

    def predict(self, clips: list[tuple[int, int]], queries: list[str]) -> Tensor:
        """(B, D) of norm 1 from cached features."""
        return self.predict_from(torch.from_numpy(np.stack([self._features[0, s, i] for s, i in clips])).float(), queries)

    def predict_from(self, visual_BND: Tensor, queries: list[str]) -> Tensor:
        """(B, D) of norm 1 from the X-Encoder's tokens."""
        ids, mask = query_tokens(self._query_tokenizer, queries, self._config.predictor)
        return F.normalize(self.module.predictor(visual_BND, ids, mask).float(), dim=-1)

    def evaluate(self) -> dict[str, float]:
        """On held-out streams: action among the label texts (classes equally often), state facts among their candidates, state
        retrieval."""
        rng = np.random.default_rng(2)
        labels = self.encode([language.action_label(k) for k in EVENTS])
        per_kind: dict[str, list[bool]] = {k: [] for k in EVENTS}
        facts: dict[str, list[bool]] = {}
        known: dict[str, Tensor] = {}  # candidates come again and again
        states, texts = [], []
        for s in self._held:
            ks = self._clips[s]
            clips = [(int(s), i) for i in range(len(ks))]
            shown = [(c, k) for c, k in zip(clips, self._kinds[s]) if k >= 0]
            if shown:
                best = (self.predict([c for c, _ in shown], [language.ACTION_PROMPT] * len(shown)) @ labels.T).argmax(-1)
                for (_, kind), b in zip(shown, best.tolist()):
                    per_kind[EVENTS[kind]].append(b == kind)
            stream = self._store.streams[s]
            for c in clips[::4]:
                asked = self._store.questions(int(s), int(ks[c[1]]))
                vectors = self.predict([c] * len(asked), [q.ask() for q in asked])
                new = [t for t in dict.fromkeys(t for q in asked for t in q.candidates) if t not in known]
                known |= dict(zip(new, self.encode(new))) if new else {}
                for v, q in zip(vectors, asked):
                    best = q.candidates[int((torch.stack([known[t] for t in q.candidates]) @ v).argmax())]
                    facts.setdefault(family(q.kind), []).append(best == q.answer)
            picked = [clips[i] for i in rng.choice(len(clips), 3, replace=False)]
            states.append(self.predict(picked, [language.STATE_PROMPT] * 3))
            texts += [language.state_text(stream.state_at(self._store.moment(s, ks[i])[0]), stream.scene) for _, i in picked]
        unique = list(dict.fromkeys(texts))
        found = (torch.cat(states) @ self.encode(unique).T).argmax(-1)
        state_r1 = np.mean([unique[j] == t for j, t in zip(found.tolist(), texts)])
        action = float(np.mean([np.mean(v) for v in per_kind.values() if v]))
        worst = float(min(np.mean(v) for v in per_kind.values() if v))
        named = {k: float(np.mean(v)) for k, v in facts.items()}
        return {
            "score": action + float(state_r1) + float(np.mean(list(named.values()))),
            "action": action,
            "worst": worst,
            "state_r1": float(state_r1),
            **named,
        }
