# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Y-Encoder of the tabletop size: paraphrases together, opposites apart, before any picture is seen.

The paper starts from EmbeddingGemma; a small encoder from scratch needs its own start. Texts of one meaning are positives of a
bidirectional InfoNCE; a batch holds the same scene in neighbouring states and with a fact exchanged, so that texts that differ in
one fact are its negatives.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vljepa_ros.model import TextEncoderConfig

from ..losses import InfoNCE
from ..tabletop import language, negatives
from ..tabletop.dataset import FPS, HELD_TEXT_SEEDS, TEXT_SEEDS, training_stream
from ..tabletop.phrases_state import DRAWER, LAMP
from ..tabletop.samples import WINDOW_S
from ..tabletop.state import CHANGING, EVENTS, OPPOSITE
from .tokens import encode_by_length, text_tokens


class TextModule(nn.Module):
    def __init__(self, text_encoder: nn.Module) -> None:
        super().__init__()
        self.text_encoder = text_encoder
        self.criterion = InfoNCE()


class Told(NamedTuple):
    """One thing in two phrasings, and in the canonical one."""

    meaning: str
    canonical: str
    one: str
    other: str


class TextTask:
    """New worlds in every batch: of a few hundred, the encoder learns by heart which things there are together."""

    def __init__(self, text_encoder: nn.Module, tokenizer, config: TextEncoderConfig, batch: int, seed: int = 0) -> None:
        self.module = TextModule(text_encoder)
        self._tokenizer, self._config, self._batch, self._seed = tokenizer, config, batch, seed

    def groups(self) -> list[dict]:
        return [{"params": list(self.module.parameters())}]

    def _pairs(self, stream, rng: np.random.Generator) -> list[Told]:
        """What can be said about one stream.

        What differs in a fact stands beside it in the same two phrasings, the other way round: the first of one is to be told
        from the second of the other, which differs in a word or two.
        """
        scene, out = stream.scene, []

        def told(canonical: str, say: Callable[[np.random.Generator], str], seeds: np.ndarray) -> None:
            out.append(Told(language.meaning(canonical), canonical, *(say(np.random.default_rng(seed)) for seed in seeds)))

        times = [t for t, _ in stream.script.states]
        for t in rng.permutation(times)[:4]:
            state = stream.state_at(float(t))
            seeds = rng.integers(1 << 30, size=2)
            for s, order in (((state, scene), seeds), (negatives.wrong_state(state, scene, rng), seeds[::-1])):
                told(language.state_text(*s), partial(language.state_text, *s), order)
            self._answers(language.questions(state, scene), negatives.elsewhere(state, state.seen, rng), scene, rng, told)
        events = [e for e in stream.events if e.kind in CHANGING]
        for i in rng.permutation(len(events))[:4]:
            event, seeds = events[i], rng.integers(1 << 30, size=2)
            # The same thing done the other way round stands beside it, so that a word or two decide.
            turned = [replace(event, kind=OPPOSITE[event.kind])] if event.kind in OPPOSITE else []
            for e, order in zip((event, *turned), (seeds, seeds[::-1])):
                told(language.caption(e, scene), partial(language.caption, e, scene), order)
            after = event, stream.state_at(event.end), scene
            told(language.detail(*after), partial(language.detail, *after), rng.integers(1 << 30, size=2))
            asked = language.event_questions(stream.state_at(event.start), stream.state_at(event.end), scene)
            q = asked[int(rng.integers(len(asked)))]
            told(q.answer, q.say, rng.integers(1 << 30, size=2))
        for fact in 4 * (LAMP, DRAWER):  # alone they are short: a word of them decides
            seeds = rng.integers(1 << 30, size=2)
            for words, order in zip(fact.values(), (seeds, seeds[::-1])):
                told(words.train[0], words.pick, order)
        for kind in rng.choice(EVENTS, 6, replace=False):
            seeds = rng.integers(1 << 30, size=2)
            for k, order in zip((kind, *([OPPOSITE[kind]] if kind in OPPOSITE else [])), (seeds, seeds[::-1])):
                told(language.action_label(k), partial(language.action_label, k), order)
        return out

    def _answers(self, asked: list[language.Question], moved, scene, rng: np.random.Generator, told: Callable) -> None:
        """One answer; where a thing stands, beside the answer if it stood elsewhere."""
        q, seeds = asked[int(rng.integers(len(asked)))], rng.integers(1 << 30, size=2)
        told(q.answer, q.say, seeds)
        if q.kind == "where" and moved is not None:
            for other in language.questions(moved, scene):
                if (other.kind, other.slots) == (q.kind, q.slots) and other.answer != q.answer:
                    told(other.answer, other.say, seeds[::-1])

    def batch(self, step: int) -> dict[str, Tensor]:
        rng = np.random.default_rng([self._seed, step])
        pairs: list[Told] = []
        while len(pairs) < self._batch:
            pairs += self._pairs(training_stream(int(rng.integers(TEXT_SEEDS.start, TEXT_SEEDS.stop))), rng)
        return self._collate(pairs[: self._batch])

    def _collate(self, pairs: list[Told]) -> dict[str, Tensor]:
        group = {meaning: i for i, meaning in enumerate(dict.fromkeys(p.meaning for p in pairs))}
        texts = [text for column in zip(*map(self._sides, pairs)) for text in column]
        ids, mask = text_tokens(self._tokenizer, texts, self._config)
        return {"ids": ids, "mask": mask, "group": torch.tensor([group[p.meaning] for p in pairs])}

    def _sides(self, told: Told) -> tuple[str, ...]:
        """Texts that shall lie together; the first and the last of them are what is evaluated."""
        return told.one, told.other

    def loss(self, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, float]]:
        one, other = encode_by_length(self.module.text_encoder, batch["ids"], batch["mask"]).chunk(2)
        loss, similarity = self.module.criterion(one, other, batch["group"])
        return loss, {"top1": _top1(similarity, batch["group"]), "scale": self.module.criterion.log_scale.exp().item()}

    def evaluate(self) -> dict[str, float]:
        """Share of held-out texts whose paraphrase is nearer than any other of 300, and the gap between paraphrases and
        neighbours."""
        return self._measured(self._held())

    def _measured(self, batch: dict[str, Tensor]) -> dict[str, float]:
        vectors, count = encode_by_length(self.module.text_encoder, batch["ids"], batch["mask"]), len(batch["group"])
        _, similarity = self.module.criterion(vectors[:count], vectors[-count:], batch["group"])
        same = batch["group"][:, None] == batch["group"][None]
        hardest = similarity.masked_fill(same, -1).amax(1)
        figures = {
            "top1": _top1(similarity, batch["group"]),
            "paraphrase": similarity.diagonal().mean().item(),
            "hardest_other": hardest.mean().item(),
        }
        return {"score": figures["top1"] + figures["paraphrase"] - figures["hardest_other"], **figures}

    def _held(self) -> dict[str, Tensor]:
        rng = np.random.default_rng(1)
        return self._collate([p for s in HELD_TEXT_SEEDS for p in self._pairs(training_stream(s), rng)][:300])


class AnchorTask(TextTask):
    """The Y-Encoder once more, when the Predictor has learnt its space: whatever the phrasing, a text shall lie where its
    canonical one lies, and that stays where it is, for there the predictions are.

    Stages 1 and 2 see few phrasings of few worlds, and other phrasings drift meanwhile. What is meant by other texts is far from
    a text in whatever words they say it: in its own most of all, where one of them decides.
    """

    HOLD = 10.0  # weight of what keeps canonical texts in place

    def __init__(self, text_encoder: nn.Module, tokenizer, config: TextEncoderConfig, batch: int, seed: int = 0) -> None:
        super().__init__(text_encoder, tokenizer, config, batch, seed)
        self._anchor = copy.deepcopy(text_encoder).eval().requires_grad_(False)

    def _sides(self, told: Told) -> tuple[str, ...]:
        return told.one, told.other, told.canonical

    def loss(self, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, float]]:
        count = len(batch["group"])
        vectors = encode_by_length(self.module.text_encoder, batch["ids"], batch["mask"])
        said, canonical, group = vectors[: 2 * count], vectors[2 * count :], batch["group"].repeat(2)
        anchor, moved = self._anchored(batch, canonical)
        loss, similarity = self.module.criterion(said, anchor.repeat(2, 1), group, said, group)
        return loss + self.HOLD * moved, {"top1": _top1(similarity, group), "moved": moved.item()}

    def _anchored(self, batch: dict[str, Tensor], canonical: Tensor) -> tuple[Tensor, Tensor]:
        """Where the batch's canonical texts were before, and the mean of 1 - cosine to there."""
        count = len(batch["group"])
        with torch.no_grad():
            anchor = encode_by_length(self._anchor, batch["ids"][-count:], batch["mask"][-count:])
        return anchor, (1 - F.cosine_similarity(canonical.float(), anchor.float())).mean()

    def evaluate(self) -> dict[str, float]:
        """Phrasings and canonical texts by the same figures, and how far the latter have moved, which weighs in the score as in
        the loss."""
        batch = self._held()
        figures, count = self._measured(batch), len(batch["group"])
        canonical = encode_by_length(self.module.text_encoder, batch["ids"][-count:], batch["mask"][-count:])
        moved = self._anchored(batch, canonical)[1].item()
        return {**figures, "score": figures["score"] - self.HOLD * moved, "moved": moved}


def _top1(similarity: Tensor, group: Tensor) -> float:
    return (group[similarity.argmax(-1)] == group).float().mean().item()


def corpus(seeds: range) -> list[str]:
    """All texts and questions of some streams, for the tokenizer. Held-out phrasings are not in it."""
    rng = np.random.default_rng(0)
    # Every phrasing once, its slots left out, and the words of those that are composed: what words there are must not depend on a
    # draw.
    texts = {re.sub(r"\{\w\}", "", t) for words in language.all_phrasings() for t in words.train}
    composed = (t for words in language.all_phrasings() if words.composed for t in words.composed.all())
    texts.add(" ".join(sorted({w for t in composed for w in re.findall(r"[A-Za-z]+", t)})))
    for seed in seeds:
        s = training_stream(seed)
        for t, state in s.script.states:
            texts.add(language.state_text(state, s.scene, rng))
            for q in language.questions(state, s.scene):
                texts.update((q.answer, q.say(rng), q.ask(rng)))
            event = s.event_at(t + 1 / FPS, WINDOW_S)
            if event is not None:
                texts.update(language.caption(event, s.scene, rng) for _ in range(3))
                for q in language.event_questions(s.state_at(event.start), s.state_at(event.end), s.scene):
                    texts.update((q.say(rng), q.ask(rng)))
    return sorted(texts)
