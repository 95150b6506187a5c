# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Writes what `checkpoint.py` reads: a checkpoint folder, all of it or nothing."""
from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save as to_safetensors
from torch import Tensor, nn

from .checkpoint import FORMAT, STEMS, CheckpointError, read_manifest, seal_of
from .config import ModelConfig
from .tokenizer import Tokenizer

SHARD_BYTES = 15 * 2**20  # a file of ours stays under 16 MiB


def space_id(module: nn.Module, config: Mapping[str, Any], dim: int) -> str:
    """16 hex digits over a part's fp16 weights, its config and the dimension: the same before saving and after loading."""
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
