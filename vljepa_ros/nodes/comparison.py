# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Texts that embeddings are held against, changed while a node runs: their vectors are made in a thread of their own.

The text encoder is loaded when the first text is there, and stays. Cosines are of this checkpoint's space; whoever asks has
checked that an embedding is too.
"""
from __future__ import annotations

import numpy as np

from vljepa_ros.model import VLJEPA, CheckpointError, checkpoint
from vljepa_ros.model.checkpoint import TOKENIZERS
from vljepa_ros.model.lengths import check_texts
from vljepa_ros.model.tokenizer import Tokenizer
from vljepa_ros.nodes.loading import load_model
from vljepa_ros.nodes.parameters import NodeParams
from vljepa_ros.nodes.worker import Worker
from vljepa_ros.streaming import Mailbox

Texts = tuple[str, ...]


class Comparison:
    """`texts` are the ones asked for; those whose vectors are not there yet have no cosine."""

    def __init__(self, params: NodeParams) -> None:
        self.texts: Texts = ()
        self._params = params
        self._model: VLJEPA | None = None  # the worker's
        self._manifest: checkpoint.Manifest | None = None
        self._tokenizer: Tokenizer | None = None  # not the worker's: texts are judged before it has them
        self._vectors: dict[str, np.ndarray] = {}  # replaced whole, never changed: two threads look at it
        self._mailbox: Mailbox[Texts] | None = None
        self._worker: Worker[Texts] | None = None

    def check(self, texts: Texts) -> None:
        """Raises ValueError for a text that the text encoder cannot read whole, CheckpointError where there is no encoder."""
        if not texts:
            return
        if self._tokenizer is None:
            folder = checkpoint.resolve(self._params.checkpoint)
            self._manifest = checkpoint.read_manifest(folder)
            if "text_encoder" not in self._manifest.weights:
                raise CheckpointError(folder, "has no part text_encoder", "take a checkpoint that has it, or set texts to []")
            self._tokenizer = checkpoint.load_tokenizer(folder, self._manifest, TOKENIZERS["text_encoder"])
        check_texts(texts, self._manifest.config.text_encoder, self._tokenizer)

    def prepare(self, texts: Texts) -> None:
        """Have them, when this returns. Raises CheckpointError."""
        self.texts = texts
        self._encode(texts)

    def start(self) -> None:
        self._mailbox = Mailbox()
        self._worker = Worker("text worker", self._mailbox, self._encode)
        self.set(self.texts)

    def stop(self) -> None:
        worker, self._worker = self._worker, None
        if worker is not None:
            worker.stop()

    def set(self, texts: Texts) -> None:
        """Have them soon."""
        self.texts = texts
        if self._worker is not None and self.missing:
            self._mailbox.put(texts)

    @property
    def missing(self) -> int:
        """Texts whose vectors are not there yet."""
        return sum(text not in self._vectors for text in self.texts)

    @property
    def problem(self) -> str:
        """Why texts are missing that nobody works on any more, "" where none are."""
        worker = self._worker
        if worker is None or not self.missing or worker.busy or not worker.failures:
            return ""
        return worker.problem or worker.last_error

    def cosines(self, vector_D: np.ndarray) -> tuple[tuple[str, float | None], ...]:
        """Every text with its cosine similarity to a vector of norm 1, None where it is missing."""
        vectors = self._vectors
        return tuple((text, float(vectors[text] @ vector_D) if text in vectors else None) for text in self.texts)

    def _encode(self, texts: Texts) -> None:
        known = self._vectors
        new = [text for text in dict.fromkeys(texts) if text not in known]
        if new and self._model is None:
            self._model = load_model(self._params, ("text_encoder",))
        made = dict(zip(new, self._model.encode_text(new))) if new else {}
        self._vectors = {text: vector for text, vector in {**known, **made}.items() if text in texts}
