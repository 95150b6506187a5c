# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Y-Decoder: from an embedding back to its text, trained on text alone (it plays no part in the main training, paper section 2).

It will have to read predicted embeddings, which miss the text's by a residual; noise like the residuals on the text's own
embedding teaches it to.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..ranks import averaged, mine
from .tokens import spoken_tokens, text_tokens

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


class DecodeTask:
    """`residuals`: predicted minus true embeddings (n, D), both of norm 1, of clips that the Predictor was not trained on; where
    there is no Predictor yet, the length that they are expected to have. The Y-Encoder is frozen and given, not trained.

    Half of the noise is residuals as they are (they lie where texts differ, and are no ball), half is random in all directions.
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
        residuals: float | np.ndarray,
        seed: int = 0,
    ) -> None:
        self.module = decoder
        self._encoder = text_encoder.eval()
        self._text_tokenizer, self._tokenizer, self._config = text_tokenizer, decoder_tokenizer, config
        self._texts, self._batch, self._seed = texts, batch, seed
        self._residuals = None if isinstance(residuals, float) else residuals
        self._length = residuals if isinstance(residuals, float) else float(np.linalg.norm(residuals, axis=1).mean())

    def groups(self) -> list[dict]:
        hidden = [p for layer in self.module.stack.blocks for p in layer.parameters() if p.ndim == 2]
        return [{"params": list(self.module.parameters()), "hidden": hidden}]

    def batch(self, step: int) -> dict[str, Tensor]:
        rng = np.random.default_rng([self._seed, step])
        return self._collate(self._texts.draw(self._batch, rng), rng)

    def _collate(self, texts: list[tuple[str, str]], rng: np.random.Generator) -> dict[str, Tensor]:
        noise = mine(self._noise(len(texts), rng) * rng.uniform(0, 1.5, (len(texts), 1)))
        texts = mine(texts)
        ids, mask = text_tokens(self._text_tokenizer, [heard for heard, _ in texts], self._config.text_encoder)
        out, out_mask = spoken_tokens(self._tokenizer, [said for _, said in texts], self._config.text_decoder)
        return {"ids": ids, "mask": mask, "out": out, "out_mask": out_mask, "noise": torch.from_numpy(noise.astype(np.float32))}

    def _noise(self, count: int, rng: np.random.Generator) -> np.ndarray:
        noise = rng.standard_normal((count, self._config.dim)) / self._config.dim**0.5 * self._length
        if self._residuals is not None:
            noise[::2] = self._residuals[rng.integers(len(self._residuals), size=len(noise[::2]))]
        return noise

    def loss(self, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, float]]:
        with torch.no_grad():
            vectors = F.normalize(self._encoder(batch["ids"], batch["mask"]).float(), dim=-1)
            vectors = F.normalize(vectors + batch["noise"], dim=-1)
        logits = self.module(vectors, batch["out"], batch["out_mask"])[:, :-1].float()
        target, counted = batch["out"][:, 1:], batch["out_mask"][:, 1:]
        # Ranks have texts of different lengths; the mean of their losses is that of all tokens.
        tokens = averaged({"tokens": float(counted.sum())})["tokens"]
        loss = F.cross_entropy(logits[counted], target[counted], reduction="sum") / tokens
        right = (logits.argmax(-1) == target)[counted].float().mean().item()
        return loss, {"token_acc": right}

    def evaluate(self) -> dict[str, float]:
        """Share of held-out texts that come back word for word, from their own embedding and from one with noise."""
        rng, device = np.random.default_rng(3), next(self.module.parameters()).device
        texts = self._texts.held(HELD_TEXTS, rng)
        ids, mask = (x.to(device) for x in text_tokens(self._text_tokenizer, texts, self._config.text_encoder))
        vectors = F.normalize(self._encoder(ids, mask).float(), dim=-1)
        noise = torch.from_numpy(self._noise(len(texts), rng).astype(np.float32)).to(device)
        figures = {}
        for name, v in (("exact", vectors), ("exact_noisy", F.normalize(vectors + noise, dim=-1))):
            out, _ = self.module.generate(v)
            figures[name] = float(np.mean([self._tokenizer.decode(row).strip() == t for row, t in zip(out, texts)]))
        return {"score": figures["exact"] + figures["exact_noisy"], **figures}
