# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What `vljepa fetch` knows: repositories of the hub, at which commit, under which terms.

A pinned commit is one that several public projects name for that repository. Where none could be established the revision is
`main`: the first fetch writes the commit that it got into the lock file, and later ones keep to it.
"""

from __future__ import annotations

from dataclasses import dataclass

# Weights as files without code, tokenizers, terms. Not the same weights again in other formats.
FILES = ("*.json", "*.safetensors", "tokenizer.model", "merges.txt", "LICENSE*", "USE_POLICY*", "README.md")
NEVER = ("original/*", "onnx/*", "*.onnx*", "openvino/*")

LLAMA_TERMS = "Llama 3.2 Community License: https://huggingface.co/meta-llama/Llama-3.2-1B/blob/main/LICENSE.txt"
GEMMA_TERMS = "Gemma Terms of Use: https://ai.google.dev/gemma/terms"


@dataclass(frozen=True)
class Entry:
    """One repository of the hub. `gated`: its terms must be accepted there, by a person with an account."""

    repo: str
    revision: str
    licence: str
    what: str
    gated: bool = False
    files: tuple[str, ...] = FILES

    @property
    def pinned(self) -> bool:
        return self.revision != "main"


CATALOGUE = {
    "vjepa2-vitl": Entry(
        "facebook/vjepa2-vitl-fpc64-256", "b3c1679b7c34d3255ef3547f27c7b226aefab26f", "MIT", "X-Encoder of the paper, ViT-L"
    ),
    "vjepa2-vith": Entry("facebook/vjepa2-vith-fpc64-256", "b5eac8703e3efdc1547fbb6ddfbeb133dc0bdee5", "MIT", "X-Encoder, ViT-H"),
    "vjepa2-vitg": Entry("facebook/vjepa2-vitg-fpc64-256", "875c192b7b704b87d1e1d99345769632dd5f739a", "MIT", "X-Encoder, ViT-g"),
    "llama-3.2-1b": Entry(
        "meta-llama/Llama-3.2-1B",
        "4e20de362430cd3b72f300e6b0f18e50e7166e08",
        LLAMA_TERMS,
        "Predictor's layers, query tokenizer and token table",
        gated=True,
    ),
    "embeddinggemma-300m": Entry(
        "google/embeddinggemma-300m", "57c266a740f537b4dc058e1b0cda161fd15afa75", GEMMA_TERMS, "Y-Encoder", gated=True
    ),
    "open-vljepa": Entry(
        "cun-bjy/open-vljepa",
        "main",
        "as its page says; it holds weights of Llama 3.2 and EmbeddingGemma, whose terms go along",
        "public checkpoint of another implementation",
        files=(*FILES, "best.pt"),
    ),
}


def find(name: str) -> dict[str, Entry]:
    """Entries by their short name; `name` is that, the repository's own name, or "all". ValueError."""
    if name == "all":
        return dict(CATALOGUE)
    found = {short: entry for short, entry in CATALOGUE.items() if name in (short, entry.repo)}
    if not found:
        raise ValueError(f"nothing is known by the name {name!r}; there are {', '.join(CATALOGUE)}, and all")
    return found
