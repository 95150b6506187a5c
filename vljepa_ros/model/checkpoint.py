# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A checkpoint is a folder: config.json, one safetensors file (or several shards) per part, tokenizers.

config.json names every other file with its size and sha256, and carries a seal over itself. Nothing is loaded before its hash
is checked, nothing is ever unpickled, nothing is fetched. Weights are fp16 on disk and fp32 in memory. Whatever is wrong with a
folder is a `CheckpointError` of one line that names the file and the remedy. This file reads; `checkpoint_writer.py` writes.
"""
from __future__ import annotations

import hashlib
import importlib.resources
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from .config import ModelConfig
from .tokenizer import FILES as TOKENIZER_FILES
from .tokenizer import Tokenizer

FORMAT = 1
STEMS = {
    "vision": "vision_encoder", "predictor": "predictor", "text_encoder": "text_encoder", "text_decoder": "text_decoder",
    "familiarity": "familiarity",
}  # fmt: skip
TOKENIZERS = {"predictor": "query", "text_encoder": "text", "text_decoder": "decoder"}  # part -> its tokenizer's name
COPY_AGAIN = "copy the checkpoint folder again, or save it again"


class CheckpointError(Exception):
    """A checkpoint cannot be used; the message is one line that names the file and what to do."""

    def __init__(self, path: Path | str, problem: str, remedy: str = COPY_AGAIN) -> None:
        super().__init__(" ".join(f"{path}: {problem}; {remedy}".split()))


@dataclass(frozen=True)
class Manifest:
    """What config.json says."""

    config: ModelConfig
    space_id: str  # 16 hex digits; vectors of different spaces must not be compared
    weights: dict[str, list[str]]  # part -> its files
    tokenizers: dict[str, str]  # query | text | decoder -> folder
    files: dict[str, dict[str, Any]]  # path -> {"size": bytes, "sha256": hex}
    sha256: str  # of config.json's content, and through the hashes in it of the whole checkpoint


def bundled() -> dict[str, Path]:
    """Names of the checkpoints shipped inside the package, with their folders."""
    assets = Path(str(importlib.resources.files("vljepa_ros"))) / "assets"
    return {path.parent.name: path.parent for path in sorted(assets.glob("*/config.json"))}


def resolve(name_or_folder: str | Path) -> Path:
    """The folder of a checkpoint: a folder that holds a config.json, or else the bundled checkpoint of that name."""
    folder = Path(name_or_folder).expanduser()
    if (folder / "config.json").is_file():
        return folder
    shipped = bundled()
    if str(name_or_folder) in shipped:
        return shipped[str(name_or_folder)]
    if folder.is_dir():
        raise CheckpointError(folder / "config.json", "missing")
    names = ", ".join(shipped) or "none"
    raise CheckpointError(name_or_folder, "no such checkpoint", f"give a checkpoint folder or a bundled name ({names})")


def read_manifest(folder: Path) -> Manifest:
    """config.json, checked. Raises CheckpointError for a missing or altered one, an unknown format or an unknown key."""
    path = folder / "config.json"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        seal = content.pop("sha256")
    except FileNotFoundError:
        raise CheckpointError(path, "missing") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(path, f"cannot be read as a checkpoint's config ({type(error).__name__}: {error})") from error
    if content.get("format") != FORMAT:
        raise CheckpointError(path, f"has format {content.get('format')!r}, this version reads {FORMAT}", "update vljepa_ros")
    if seal != seal_of(content):
        raise CheckpointError(path, "was altered (its sha256 does not fit)")
    try:
        manifest = Manifest(
            config=ModelConfig.from_dict(content["model"], "model"),
            space_id=content["space_id"],
            weights=content["weights"],
            tokenizers=content["tokenizers"],
            files=content["files"],
            sha256=seal,
        )
        unsafe = [name for name in manifest.files if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts]
    except (KeyError, TypeError, ValueError) as error:
        problem = f"lacks the key {error}" if isinstance(error, KeyError) else str(error)
        raise CheckpointError(path, problem, "use the version of vljepa_ros that wrote it, or save it again") from error
    if unsafe:
        raise CheckpointError(path, f"names {unsafe[0]!r}, which lies outside the folder", "do not use this checkpoint")
    return manifest


def seal_of(content: Mapping[str, Any]) -> str:
    """sha256 of config.json's content without the seal itself, independent of spacing and order."""
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def sha256_of(path: Path) -> str:
    """Hex digest of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def verify(folder: Path, manifest: Manifest, name: str) -> Path:
    """The path of one file after size and sha256 have been checked. Raises CheckpointError."""
    path = folder / name
    if name not in manifest.files:
        raise CheckpointError(path, "is not listed in config.json")
    expected = manifest.files[name]
    try:
        size = path.stat().st_size
        if size != expected["size"]:
            kind = "is truncated" if size < expected["size"] else "is too long"
            raise CheckpointError(path, f"{kind} ({size} bytes, {expected['size']} expected)")
        digest = sha256_of(path)
    except FileNotFoundError:
        raise CheckpointError(path, "missing") from None
    except OSError as error:
        raise CheckpointError(path, f"cannot be read ({error.strerror})", "check the file and its permissions") from error
    if digest != expected["sha256"]:
        raise CheckpointError(path, "was altered (its sha256 does not fit config.json)")
    return path


def load_weights(folder: Path, manifest: Manifest, part: str, module: nn.Module) -> None:
    """Fill a module (on the meta device, or not) with the fp32 weights of one part. Raises CheckpointError."""
    tensors: dict[str, Tensor] = {}
    for name in manifest.weights[part]:
        path = verify(folder, manifest, name)
        try:
            tensors |= load_file(path)
        except (SafetensorError, OSError, ValueError) as error:
            raise CheckpointError(path, f"is no safetensors file ({error})") from error
    where = folder / manifest.weights[part][0]
    expected = module.state_dict()
    if missing := sorted(expected.keys() - tensors.keys()):
        raise CheckpointError(where, f"lacks the weight {missing[0]}")
    if foreign := sorted(tensors.keys() - expected.keys()):
        raise CheckpointError(where, f"holds the unknown weight {foreign[0]}")
    for name, tensor in tensors.items():
        if tensor.shape != expected[name].shape:
            raise CheckpointError(
                where, f"weight {name} has shape {tuple(tensor.shape)}, config.json asks for {tuple(expected[name].shape)}"
            )
        tensors[name] = tensor.float() if tensor.is_floating_point() else tensor
    module.load_state_dict(tensors, assign=True)


def load_tokenizer(folder: Path, manifest: Manifest, name: str) -> Tokenizer:
    """One of the tokenizers query, text, decoder. Raises CheckpointError."""
    where = manifest.tokenizers[name]
    for file in TOKENIZER_FILES:
        verify(folder, manifest, f"{where}/{file}")
    try:
        return Tokenizer(folder / where)
    except ValueError as error:
        raise CheckpointError(folder / where, str(error)) from error
