# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Y-Decoder: from an embedding back to its text, trained on text alone (it plays no part in the main training, paper section 2).

It will have to read predicted embeddings, which miss the text's by a residual; noise like the residuals on the text's own
embedding teaches it to.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..ranks import averaged, mine
from .tokens import by_length, encode_by_length, spoken_tokens, text_tokens

HELD_TEXTS = 120  # that choose the best weights


class Texts(Protocol):
    """Where texts come from."""

    def draw(self, count: int, rng: np.random.Generator) -> list[tuple[str, str]]:
        """(heard, said): the text whose embedding is given, and the one that is to be said of it."""

    def held(self, count: int, rng: np.random.Generator) -> list[str]:
        """Texts that `draw` never gives."""


class Lines:
    """Texts that are listed, each said as it is heard. The last `held` of those that differ are never trained on."""

    def __init__(self, texts: Iterable[str], held: int = HELD_TEXTS) -> None:
        """ValueError where nothing is left to train on."""
        different = list(dict.fromkeys(line for text in texts if (line := " ".join(text.split()))))
        if len(different) <= held:
            raise ValueError(f"there are {len(different)} different texts, more than {held} are needed: those are held out")
        self._trained, self._held = different[: len(different) - held], different[len(different) - held :]

    def draw(self, count: int, rng: np.random.Generator) -> list[tuple[str, str]]:
        return [(self._trained[k],) * 2 for k in rng.integers(len(self._trained), size=count)]

    def held(self, count: int, rng: np.random.Generator) -> list[str]:
        return self._held[:count]


class Residuals(NamedTuple):
    """`vectors`: predicted minus true embeddings (n, D), both of norm 1, of clips that the Predictor was not trained on. With
    `texts`, the text that each belongs to, said as the decoder is to say it; the last `held` are not trained on, they choose the
    best weights."""

    vectors: np.ndarray
    texts: list[str] | None = None
    held: int = 0


class DecodeTask:
    """`residuals`; where there is no Predictor yet, the length that they are expected to have. The Y-Encoder is frozen and given,
    not trained.

    Residuals that belong to texts stand at their own in every third row: what is mistaken for what is in them. Of the noise on
    all other texts half is residuals of any text (they lie where texts differ, and are no ball), half is random in all
    directions.
    """

    def __init__(
        self,
        decoder: nn.Module,
        text_encoder: nn.Module,
        text_tokenizer,
        decoder_tokenizer,
        config,
        texts: Texts,
        batch: int,
        residuals: float | Residuals,
        seed: int = 0,
    ) -> None:
        self.module = decoder
        self._encoder = text_encoder.eval()
        self._text_tokenizer, self._tokenizer, self._config = text_tokenizer, decoder_tokenizer, config
        self._texts, self._batch, self._seed = texts, batch, seed
        self._residuals: np.ndarray | None = None
        self._told: list[str] = []
        self._held: Residuals | None = None
        self._length = residuals if isinstance(residuals, float) else float(np.linalg.norm(residuals.vectors, axis=1).mean())
        if isinstance(residuals, Residuals):
            self._residuals = residuals.vectors
            if residuals.texts:
                trained = len(residuals.texts) - residuals.held
                self._residuals, self._told = residuals.vectors[:trained], residuals.texts[:trained]
                if residuals.held:
                    self._held = Residuals(residuals.vectors[trained:], residuals.texts[trained:])

    def groups(self) -> list[dict]:
        hidden = [p for layer in self.module.stack.blocks for p in layer.parameters() if p.ndim == 2]
        return [{"params": list(self.module.parameters()), "hidden": hidden}]

    def batch(self, step: int) -> dict[str, Tensor]:
        rng = np.random.default_rng([self._seed, step])
        texts = self._texts.draw(self._batch, rng)
        noise = self._noise(len(texts), rng) * rng.uniform(0, 1.5, (len(texts), 1))
        if self._told:
            rows = range(0, len(texts), 3)
            own = rng.integers(len(self._told), size=len(rows))
            noise[rows] = self._residuals[own]
            for row, k in zip(rows, own):
                texts[row] = (self._told[k],) * 2
        return self._collate(texts, noise)

    def _collate(self, texts: list[tuple[str, str]], noise: np.ndarray) -> dict[str, Tensor]:
        texts, noise = mine(texts), mine(noise)
        ids, mask = text_tokens(self._text_tokenizer, [heard for heard, _ in texts], self._config.text_encoder)
        out, out_mask = spoken_tokens(self._tokenizer, [said for _, said in texts], self._config.text_decoder)
        return {"ids": ids, "mask": mask, "out": out, "out_mask": out_mask, "noise": torch.from_numpy(noise.astype(np.float32))}

    def _noise(self, count: int, rng: np.random.Generator) -> np.ndarray:
        noise = rng.standard_normal((count, self._config.dim)) / self._config.dim**0.5 * self._length
        if self._residuals is not None:
            one, other = self._residuals[rng.integers(len(self._residuals), size=(2, len(noise[::2])))]
            turn = rng.uniform(0, np.pi / 2, (len(one), 1))  # two of them mixed: those that there are would be learnt by heart
            noise[::2] = np.cos(turn) * one + np.sin(turn) * other
        return noise

    def loss(self, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, float]]:
        with torch.no_grad():
            vectors = F.normalize(encode_by_length(self._encoder, batch["ids"], batch["mask"]).float(), dim=-1)
            vectors = F.normalize(vectors + batch["noise"], dim=-1)
        # Ranks have texts of different lengths; the mean of their losses is that of all tokens.
        tokens = averaged({"tokens": float(batch["out_mask"][:, 1:].sum())})["tokens"]
        losses, right = [], []
        # Ranks have equally many rows (`mine` of a batch that they can share), hence call the decoder equally often.
        for rows, longest in by_length(batch["out_mask"]):
            out, counted = batch["out"][rows, :longest], batch["out_mask"][rows, 1:longest]
            logits, target = self.module(vectors[rows], out)[:, :-1][counted].float(), out[:, 1:][counted]
            losses.append(F.cross_entropy(logits, target, reduction="sum") / tokens)
            right.append(logits.argmax(-1) == target)
        return sum(losses), {"token_acc": torch.cat(right).float().mean().item()}

    def evaluate(self) -> dict[str, float]:
        """Share of held-out texts that come back word for word, from their own embedding and from one with noise: the residual
        that is theirs, where it is known (then those texts are others)."""
        rng = np.random.default_rng(3)
        texts = self._texts.held(HELD_TEXTS, rng)
        noise = self._noise(len(texts), rng)
        noisy = texts
        if self._held:
            some = np.linspace(0, len(self._held.texts) - 1, HELD_TEXTS).astype(int)
            noisy, noise = [self._held.texts[k] for k in some], self._held.vectors[some]
        figures = {"exact": self._exact(texts, None), "exact_noisy": self._exact(noisy, noise)}
        return {"score": figures["exact"] + figures["exact_noisy"], **figures}

    def _exact(self, texts: list[str], noise: np.ndarray | None) -> float:
        device = next(self.module.parameters()).device
        ids, mask = (x.to(device) for x in text_tokens(self._text_tokenizer, texts, self._config.text_encoder))
        vectors = F.normalize(self._encoder(ids, mask).float(), dim=-1)
        if noise is not None:
            vectors = F.normalize(vectors + torch.from_numpy(noise.astype(np.float32)).to(device), dim=-1)
        out, _ = self.module.generate(vectors)
        return float(np.mean([self._tokenizer.decode(row).strip() == t for row, t in zip(out, texts)]))
