# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Y-Decoder: from an embedding back to its text, trained on text alone (it plays no part in the main training, paper section 2).

It will have to read predicted embeddings, which miss the text's by a residual; noise like the residuals on the text's own
embedding teaches it to.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..tabletop import told
from ..tabletop.dataset import HELD_TEXT_SEEDS, SECONDS, TEXT_SEEDS, training_stream
from ..tabletop.samples import WINDOW_S
from .tokens import spoken_tokens, text_tokens

PER_WORLD = 4  # moments of a world in a batch: which of its things is which must be read, not remembered


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
        batch: int,
        residuals: float | np.ndarray,
        seed: int = 0,
    ) -> None:
        self.module = decoder
        self._encoder = text_encoder.eval()
        self._text_tokenizer, self._tokenizer, self._config = text_tokenizer, decoder_tokenizer, config
        self._batch, self._seed = batch, seed
        self._residuals = None if isinstance(residuals, float) else residuals
        self._length = residuals if isinstance(residuals, float) else float(np.linalg.norm(residuals, axis=1).mean())

    def groups(self) -> list[dict]:
        hidden = [p for layer in self.module.stack.blocks for p in layer.parameters() if p.ndim == 2]
        return [{"params": list(self.module.parameters()), "hidden": hidden}]

    def _texts(self, seeds: range, count: int, rng: np.random.Generator) -> list[tuple[str, str]]:
        """(heard, said): whatever the phrasing that an embedding stands for, it is decoded into the canonical one.

        States most often, for they are the longest and what the robot says; captions and answers beside them. Half of the texts
        are heard canonically too: near them lie the predictions.
        """
        out: list[tuple[str, str]] = []
        while len(out) < count:
            stream = training_stream(int(rng.integers(seeds.start, seeds.stop)))
            for t in rng.uniform(0, SECONDS, PER_WORLD):
                pairs = told.pairs(stream, t, stream.event_at(t, WINDOW_S), rng)
                captions = [p for p in pairs if p[0] == "caption"]
                draw = rng.random()
                one = pairs[0] if draw < 0.5 else captions[0] if captions and draw < 0.8 else pairs[int(rng.integers(len(pairs)))]
                out.append((one[3] if rng.random() < 0.5 else one[2], one[3]))
        return out[:count]

    def batch(self, step: int) -> dict[str, Tensor]:
        rng = np.random.default_rng([self._seed, step])
        return self._collate(self._texts(TEXT_SEEDS, self._batch, rng), rng)

    def _collate(self, texts: list[tuple[str, str]], rng: np.random.Generator) -> dict[str, Tensor]:
        ids, mask = text_tokens(self._text_tokenizer, [heard for heard, _ in texts], self._config.text_encoder)
        out, out_mask = spoken_tokens(self._tokenizer, [said for _, said in texts], self._config.text_decoder)
        noise = self._noise(len(texts), rng) * rng.uniform(0, 1.5, (len(texts), 1))
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
        loss = F.cross_entropy(logits[counted], target[counted])
        right = (logits.argmax(-1) == target)[counted].float().mean().item()
        return loss, {"token_acc": right}

    def evaluate(self) -> dict[str, float]:
        """Share of held-out texts that come back word for word, from their own embedding and from one with noise."""
        rng = np.random.default_rng(3)
        texts = [said for _, said in self._texts(HELD_TEXT_SEEDS, 120, rng)]
        ids, mask = text_tokens(self._text_tokenizer, texts, self._config.text_encoder)
        vectors = F.normalize(self._encoder(ids, mask).float(), dim=-1)
        noise = torch.from_numpy(self._noise(len(texts), rng).astype(np.float32))
        figures = {}
        for name, v in (("exact", vectors), ("exact_noisy", F.normalize(vectors + noise, dim=-1))):
            out, _ = self.module.generate(v)
            figures[name] = float(np.mean([self._tokenizer.decode(row).strip() == t for row, t in zip(out, texts)]))
        return {"score": figures["exact"] + figures["exact_noisy"], **figures}
