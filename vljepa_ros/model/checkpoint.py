"""A checkpoint is a folder: config.json, one safetensors file (or several shards) per part, tokenizers.

config.json names every other file with its size and sha256, and carries a seal over itself. Nothing is loaded before its hash is
checked, nothing is ever unpickled, nothing is fetched. Weights are fp16 on disk and fp32 in memory. Whatever is wrong with a folder is a
`CheckpointError` of one line that names the file and the remedy.
"""
from __future__ import annotations

import hashlib
import importlib.resources
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from safetensors.torch import save as to_safetensors
from torch import Tensor, nn

from .config import ModelConfig
from .tokenizer import FILES as TOKENIZER_FILES
from .tokenizer import Tokenizer

FORMAT = 1
STEMS = {"vision": "vision_encoder", "predictor": "predictor", "text_encoder": "text_encoder", "text_decoder": "text_decoder"}
TOKENIZERS = {"predictor": "query", "text_encoder": "text", "text_decoder": "decoder"}  # part -> its tokenizer's name
SHARD_BYTES = 15 * 2**20  # a file of ours stays under 16 MiB


class CheckpointError(Exception):
    """A checkpoint cannot be used; the message is one line that names the file and what to do."""

    def __init__(self, path: Path | str, problem: str, remedy: str = "copy the checkpoint folder again, or save it again") -> None:
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
    except (OSError, ValueError, KeyError, AttributeError) as error:
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
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
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


def space_id(module: nn.Module, config: Mapping[str, Any], dim: int) -> str:
    """First 16 hex digits over the text encoder's fp16 weights, its config and the dimension: the same before saving and after loading."""
    digest = hashlib.sha256(json.dumps([dict(config), dim], sort_keys=True).encode())
    for name, tensor in sorted(module.state_dict().items()):
        digest.update(f"{name} {tuple(tensor.shape)}".encode())
        digest.update(_half(name, tensor).contiguous().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:16]


def save_checkpoint(
    folder: Path | str,
    config: ModelConfig,
    modules: Mapping[str, nn.Module],
    tokenizers: Mapping[str, Tokenizer],
    space: str,
) -> None:
    """Write a checkpoint: beside the place first, then into it by rename, so that a crash leaves the old one or the new one.

    Raises ValueError when the folder holds something that is no checkpoint, or a checkpoint with parts that this one lacks.
    """
    folder = Path(folder)
    if folder.exists() and any(folder.iterdir()):
        if not (folder / "config.json").is_file():
            raise ValueError(f"{folder} is not empty and is no checkpoint; choose another folder")
        if lost := sorted(_parts_in(folder) - modules.keys()):
            raise ValueError(f"{folder} holds the part {lost[0]}, which this model lacks; choose another folder")
    folder.parent.mkdir(parents=True, exist_ok=True)
    fresh, old = (folder.with_name(f".{folder.name}.{os.getpid()}.{kind}") for kind in ("new", "old"))
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir()
    try:
        _write(fresh, config, modules, tokenizers, space)
        if folder.exists():
            folder.rename(old)
        try:
            fresh.rename(folder)
        except OSError:
            if old.exists():
                old.rename(folder)
            raise
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
        if folder.exists():
            shutil.rmtree(old, ignore_errors=True)


def _parts_in(folder: Path) -> set[str]:
    try:
        return set(read_manifest(folder).weights)
    except CheckpointError:
        return set()  # a broken checkpoint may be replaced


def _write(
    folder: Path, config: ModelConfig, modules: Mapping[str, nn.Module], tokenizers: Mapping[str, Tokenizer], space: str
) -> None:
    files: dict[str, dict[str, Any]] = {}

    def put(name: str, data: bytes) -> None:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        files[name] = {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}

    weights: dict[str, list[str]] = {}
    for part, module in modules.items():
        shards = _shards(module)
        stem = STEMS[part]
        names = [f"{stem}.safetensors"] if len(shards) == 1 else [f"{stem}-{i + 1:05d}.safetensors" for i in range(len(shards))]
        for name, shard in zip(names, shards):
            put(name, to_safetensors(shard))
        weights[part] = names
    folders: dict[str, str] = {}
    stored: dict[tuple, str] = {}  # equal tokenizers are stored once
    for name, tokenizer in tokenizers.items():
        key = tuple(sorted(tokenizer.files.items()))
        folders[name] = stored.setdefault(key, f"tokenizers/{name}")
        for file, text in tokenizer.files.items():
            if f"{folders[name]}/{file}" not in files:
                put(f"{folders[name]}/{file}", text.encode("utf-8"))
    content = {
        "format": FORMAT, "model": config.to_dict(), "space_id": space,
        "weights": weights, "tokenizers": folders, "files": dict(files),
    }  # fmt: skip
    put("config.json", (json.dumps(content | {"sha256": seal_of(content)}, indent=1) + "\n").encode("utf-8"))


def _half(name: str, tensor: Tensor) -> Tensor:
    """fp16 on the CPU; ValueError where a weight does not fit."""
    tensor = tensor.detach().cpu()
    if not tensor.is_floating_point():
        return tensor
    half = tensor.to(torch.float16)
    if not half.isfinite().all():
        raise ValueError(f"weight {name} has values that are not finite in fp16 (largest {tensor.abs().max().item():g})")
    return half


def _shards(module: nn.Module) -> list[dict[str, Tensor]]:
    """The fp16 weights in pieces of at most SHARD_BYTES; a larger single tensor is a piece of its own."""
    shards: list[dict[str, Tensor]] = [{}]
    size = 0
    for name, tensor in module.state_dict().items():
        half = _half(name, tensor).contiguous()
        if shards[-1] and size + half.nbytes > SHARD_BYTES:
            shards.append({})
            size = 0
        shards[-1][name] = half
        size += half.nbytes
    return shards
