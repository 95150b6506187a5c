# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Text to token ids and back: a folder with `tokenizer.json` (Hugging Face tokenizers) and `special.json` (ids of pad, bos, eos).

Knows nothing of models: who calls says whether BOS and EOS belong and how many tokens fit.
"""
from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

import torch
from tokenizers import Tokenizer as Backend
from tokenizers import decoders, models, pre_tokenizers, trainers
from torch import Tensor

FILES = ("tokenizer.json", "special.json")
SPECIAL = ("<pad>", "<bos>", "<eos>")  # ids 0, 1, 2 of a tokenizer trained here


class Tokenizer:
    """`pad_id`, `bos_id`, `eos_id`, `vocab_size` are facts of the folder; a text never turns into one of the special tokens."""

    def __init__(self, folder: Path | str) -> None:
        """Raises FileNotFoundError for a missing file and ValueError for a file that is none of ours, both naming it."""
        folder = Path(folder)
        for name in FILES:
            if not (folder / name).is_file():
                raise FileNotFoundError(f"{folder / name} is missing")
        # The files' text is kept so that a checkpoint stores a tokenizer exactly as it was loaded.
        self.files: dict[str, str] = {name: (folder / name).read_text(encoding="utf-8") for name in FILES}
        try:
            self._load()
        except Exception as error:  # tokenizers raises bare Exception for malformed files
            raise ValueError(f"{folder} holds no tokenizer of this format: {error}") from error

    def _load(self) -> None:
        self._backend = Backend.from_str(self.files["tokenizer.json"])
        special = json.loads(self.files["special.json"])
        self.pad_id, self.bos_id, self.eos_id = (int(special[name]) for name in ("pad", "bos", "eos"))
        self._backend.no_padding()
        self._backend.no_truncation()
        self._backend.encode_special_tokens = True  # "<eos>" typed by somebody is five characters, not the end of the text
        self.vocab_size = self._backend.get_vocab_size(with_added_tokens=True)

    def __getstate__(self) -> dict[str, str]:
        return self.files  # a pickled backend forgets that special tokens are to be spelt out

    def __setstate__(self, files: dict[str, str]) -> None:
        self.files = files
        self._load()

    def encode(
        self, texts: Sequence[str], max_tokens: int, bos: bool = False, eos: bool = False
    ) -> tuple[Tensor, Tensor]:
        """(ids_BL int64, mask_BL bool), padded at the right to the longest text.

        Longer texts are cut to `max_tokens`, BOS and EOS counted and never cut. ValueError when not even those fit.
        """
        room = max_tokens - bos - eos
        if room < 0:
            raise ValueError(f"max_tokens must leave room for BOS and EOS, got {max_tokens}")
        rows = [[self.bos_id] * bos + ids[:room] + [self.eos_id] * eos for ids in self._ids(texts)]
        length = max(map(len, rows), default=0)
        ids_BL = torch.full((len(rows), length), self.pad_id, dtype=torch.int64)
        mask_BL = torch.zeros((len(rows), length), dtype=torch.bool)
        for i, row in enumerate(rows):
            ids_BL[i, : len(row)] = torch.tensor(row, dtype=torch.int64)
            mask_BL[i, : len(row)] = True
        return ids_BL, mask_BL

    def count(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text, BOS and EOS not among them."""
        return [len(ids) for ids in self._ids(texts)]

    def decode(self, ids: Sequence[int]) -> str:
        """The text of one row of ids; special tokens are left out."""
        return self._backend.decode([int(i) for i in ids], skip_special_tokens=True)

    def _ids(self, texts: Sequence[str]) -> list[list[int]]:
        clean = [text.encode("utf-8", "replace").decode("utf-8") for text in texts]  # lone surrogates are no text
        return [encoding.ids for encoding in self._backend.encode_batch(clean, add_special_tokens=False)]

    def save(self, folder: Path | str) -> None:
        """Write the folder's files as they were loaded."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in self.files.items():
            (folder / name).write_text(text, encoding="utf-8")


def train_tokenizer(texts: Iterable[str], vocab_size: int, folder: Path | str) -> Tokenizer:
    """Byte-level BPE from `texts`: lossless on any text, at most `vocab_size` tokens (at least 259: bytes and specials)."""
    smallest = 256 + len(SPECIAL)
    if vocab_size < smallest:
        raise ValueError(f"vocab_size must be at least {smallest}, got {vocab_size}")
    backend = Backend(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=list(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    backend.train_from_iterator(texts, trainer)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tokenizer.json").write_text(backend.to_str(pretty=False), encoding="utf-8")
    special = {name.strip("<>"): backend.token_to_id(name) for name in SPECIAL}
    (folder / "special.json").write_text(json.dumps(special), encoding="utf-8")
    return Tokenizer(folder)
