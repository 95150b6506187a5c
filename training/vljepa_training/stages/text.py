"""Y-Encoder of the tabletop size: paraphrases together, opposites apart, before any picture is seen.

The paper starts from EmbeddingGemma; a small encoder from scratch needs its own start. Texts of one meaning are positives of a
bidirectional
InfoNCE; a batch holds the same scene in neighbouring states, so that texts that differ in one fact are its negatives.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from vljepa_ros.model import TextEncoderConfig

from ..losses import InfoNCE
from ..tabletop import language
from ..tabletop.dataset import FPS, training_stream
from ..tabletop.samples import WINDOW_S
from ..tabletop.state import CHANGING, EVENTS
from .tokens import text_tokens


class TextModule(nn.Module):
    def __init__(self, text_encoder: nn.Module) -> None:
        super().__init__()
        self.text_encoder = text_encoder
        self.criterion = InfoNCE()


class TextTask:
    """`seeds`: whose streams the texts come from; the last `held` are for evaluation."""

    def __init__(
        self,
        text_encoder: nn.Module,
        tokenizer,
        seeds: range,
        config: TextEncoderConfig,
        batch: int,
        seed: int = 0,
        held: int = 60,
    ) -> None:
        self.module = TextModule(text_encoder)
        self._tokenizer, self._config, self._batch, self._seed = tokenizer, config, batch, seed
        self._train = [training_stream(s) for s in seeds[:-held]]
        self._held = [training_stream(s) for s in seeds[-held:]]

    def groups(self) -> list[dict]:
        return [{"params": list(self.module.parameters())}]

    def _pairs(self, stream, rng: np.random.Generator) -> list[tuple[str, str, str]]:
        """(meaning, phrasing, other phrasing) of what can be said about one stream."""
        scene, out = stream.scene, []
        times = [t for t, _ in stream.script.states]
        for t in rng.permutation(times)[:4]:
            state = stream.state_at(float(t))
            out.append(
                (
                    language.state_text(state, scene),
                    language.state_text(state, scene, rng),
                    language.state_text(state, scene, rng),
                )
            )
            answers = [a for _, _, a, _ in language.questions(state, scene)]
            answer = answers[int(rng.integers(len(answers)))]
            out.append((answer, answer, answer))
        events = [e for e in stream.events if e.kind in CHANGING]
        for i in rng.permutation(len(events))[:4]:
            event = events[i]
            out.append((language.caption(event, scene), language.caption(event, scene, rng), language.caption(event, scene, rng)))
        kind = EVENTS[int(rng.integers(len(EVENTS)))]
        out.append((language.action_label(kind), language.action_label(kind, rng), language.action_label(kind, rng)))
        return out

    def batch(self, step: int) -> dict[str, Tensor]:
        rng = np.random.default_rng([self._seed, step])
        pairs: list[tuple[str, str, str]] = []
        while len(pairs) < self._batch:
            pairs += self._pairs(self._train[int(rng.integers(len(self._train)))], rng)
        return self._collate(pairs[: self._batch])

    def _collate(self, pairs: list[tuple[str, str, str]]) -> dict[str, Tensor]:
        group = {meaning: i for i, meaning in enumerate(dict.fromkeys(p[0] for p in pairs))}
        ids, mask = text_tokens(self._tokenizer, [p[1] for p in pairs] + [p[2] for p in pairs], self._config)
        return {"ids": ids, "mask": mask, "group": torch.tensor([group[p[0]] for p in pairs])}

    def loss(self, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, float]]:
        one, other = self.module.text_encoder(batch["ids"], batch["mask"]).chunk(2)
        loss, similarity = self.module.criterion(one, other, batch["group"])
        return loss, {"top1": _top1(similarity, batch["group"]), "scale": self.module.criterion.log_scale.exp().item()}

    def evaluate(self) -> dict[str, float]:
        """Share of held-out texts whose paraphrase is nearer than any other of 300, and the gap between paraphrases and
        neighbours."""
        rng = np.random.default_rng(1)
        pairs = [p for s in self._held for p in self._pairs(s, rng)][:300]
        batch = self._collate(pairs)
        one, other = self.module.text_encoder(batch["ids"], batch["mask"]).chunk(2)
        _, similarity = self.module.criterion(one, other, batch["group"])
        same = batch["group"][:, None] == batch["group"][None]
        hardest = similarity.masked_fill(same, -1).amax(1)
        figures = {
            "top1": _top1(similarity, batch["group"]),
            "paraphrase": similarity.diagonal().mean().item(),
            "hardest_other": hardest.mean().item(),
        }
        return {"score": figures["top1"] + figures["paraphrase"] - figures["hardest_other"], **figures}


def _top1(similarity: Tensor, group: Tensor) -> float:
    return (group[similarity.argmax(-1)] == group).float().mean().item()


def corpus(seeds: range) -> list[str]:
    """All texts and questions of some streams, for the tokenizer. Held-out templates are not in it."""
    rng = np.random.default_rng(0)
    texts = {t for templates in language.ACTIONS.values() for t in templates[:-1]}
    for seed in seeds:
        s = training_stream(seed)
        for t, state in s.script.states:
            texts.add(language.state_text(state, s.scene, rng))
            for kind, slots, answer, _ in language.questions(state, s.scene):
                texts.update((answer, language.phrase_question(kind, slots, rng)))
            event = s.event_at(t + 1 / FPS, WINDOW_S)
            if event is not None:
                texts.update(language.caption(event, s.scene, rng) for _ in range(3))
    for kind in ("action", "caption", "state"):
        texts.update(language.phrase_question(kind, {}, rng) for _ in range(12))
    return sorted(texts)
