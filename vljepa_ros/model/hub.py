# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Folders as the Hugging Face hub hands them out: config.json, safetensors (one file or shards with an index), a tokenizer.

Also published .pt files, read without ever running code from them. Nothing is fetched: a folder is what `huggingface-cli
download` or `git clone` left on the disk. Whatever is wrong is a `CheckpointError` of one line. Knows nothing of
what the tensors mean: that is said by the parts that take them.
"""
from __future__ import annotations

import json
import pickle
import tempfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from tokenizers import Tokenizer as Backend
from torch import Tensor

from .checkpoint import CheckpointError
from .tokenizer import Tokenizer

SHOWN = 6  # names of weights in an error
DOWNLOAD_AGAIN = "download the folder again"
LLAMA3_PAD = "<|finetune_right_pad_id|>"  # Llama 3's tokenizer has it and does not name it


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object. Raises CheckpointError for a missing file or anything else in it."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CheckpointError(path, "missing", "give a folder of the hub's format, downloaded whole") from None
    except (OSError, ValueError) as error:
        raise CheckpointError(path, f"cannot be read ({error})", DOWNLOAD_AGAIN) from error
    if not isinstance(content, dict):
        raise CheckpointError(path, f"holds a {type(content).__name__}, no object", DOWNLOAD_AGAIN)
    return content


def read_config(folder: Path | str, *model_types: str) -> dict[str, Any]:
    """config.json; CheckpointError where its model_type is none of those (any, where none is named)."""
    path = Path(folder).expanduser() / "config.json"
    config = read_json(path)
    kind = config.get("model_type")
    if not kind or (model_types and kind not in model_types):
        wanted = " or ".join(model_types) or "any"
        raise CheckpointError(path, f"has model_type {kind!r}, {wanted} is needed", "give the folder of another model")
    return config


def read_weights(folder: Path | str, wanted: Callable[[str], bool] = lambda name: True) -> tuple[dict[str, Tensor], set[str]]:
    """(the wanted tensors as fp32, the names of all). Only the wanted ones are read from the disk. Raises CheckpointError."""
    folder = Path(folder).expanduser()
    tensors: dict[str, Tensor] = {}
    names: set[str] = set()
    for path in _weight_files(folder):
        try:
            with safe_open(path, framework="pt") as file:
                for name in file.keys():
                    names.add(name)
                    if wanted(name):
                        tensor = file.get_tensor(name)
                        tensors[name] = tensor.float() if tensor.is_floating_point() else tensor
        except FileNotFoundError:
            raise CheckpointError(path, "missing", DOWNLOAD_AGAIN) from None
        except (SafetensorError, OSError) as error:
            raise CheckpointError(path, f"is no whole safetensors file ({error})", DOWNLOAD_AGAIN) from error
    index = folder / "model.safetensors.index.json"
    if index.is_file() and not (folder / "model.safetensors").is_file():
        if gone := read_json(index)["weight_map"].keys() - names:
            raise CheckpointError(index, f"lists what no shard holds: {listed(gone)}", DOWNLOAD_AGAIN)
    return tensors, names


def _weight_files(folder: Path) -> list[Path]:
    single, index = folder / "model.safetensors", folder / "model.safetensors.index.json"
    if single.is_file():
        return [single]
    if index.is_file():
        table = read_json(index).get("weight_map")
        if not isinstance(table, dict) or not table:
            raise CheckpointError(index, "has no weight_map", DOWNLOAD_AGAIN)
        if unsafe := [name for name in table.values() if Path(name).name != name]:
            raise CheckpointError(index, f"names {unsafe[0]!r}, which lies outside the folder", "do not use this folder")
        return [folder / name for name in sorted(set(table.values()))]
    for name in ("pytorch_model.bin", "pytorch_model.bin.index.json"):
        if (folder / name).is_file():
            raise CheckpointError(folder / name, "is a pickle", "download the safetensors files of this model instead")
    raise CheckpointError(single, "missing", "give a folder with model.safetensors or its shards and their index")


def read_pickle(path: Path | str) -> dict[str, Any]:
    """A .pt file of tensors and plain values. CheckpointError for a pickle with code in it, which is never run."""
    path = Path(path).expanduser()
    try:
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except FileNotFoundError:
        raise CheckpointError(path, "missing", "give the file's path") from None
    except pickle.UnpicklingError as error:
        reason = next((line for line in str(error).splitlines() if "Unsupported" in line or "GLOBAL" in line), "")
        reason = " ".join(reason.split()).partition(" was not an allowed")[0] or "a pickle that is not only tensors"
        raise CheckpointError(path, f"refused, it holds code ({reason[:120]})", "use a file of tensors alone") from error
    except (OSError, RuntimeError, ValueError, EOFError) as error:
        raise CheckpointError(path, f"is no file that torch.save wrote ({str(error)[:120]})", "download it again") from error
    if not isinstance(content, dict):
        raise CheckpointError(path, f"holds a {type(content).__name__}, no dictionary", "give the published file")
    return content


def listed(names: Iterable[str]) -> str:
    """Some of the names, and how many more."""
    names = sorted(names)
    return ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")


def account(
    path: Path | str, expected: Iterable[str], given: Iterable[str], left_out: Callable[[str], bool] = lambda name: False
) -> None:
    """CheckpointError names every weight that is missing and every one that nobody takes and `left_out` does not excuse."""
    expected, given = set(expected), set(given)
    problems = []
    if missing := expected - given:
        problems.append(f"lacks {listed(missing)}")
    if unexpected := {name for name in given - expected if not left_out(name)}:
        problems.append(f"holds the unexpected {listed(unexpected)}")
    if problems:
        raise CheckpointError(path, " and ".join(problems), "these weights belong to another model, give the right one")


def check_shapes(path: Path | str, expected: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> None:
    """CheckpointError names the first weight of another shape."""
    for name, tensor in expected.items():
        if given[name].shape != tensor.shape:
            ours, theirs = tuple(tensor.shape), tuple(given[name].shape)
            raise CheckpointError(path, f"weight {name} has shape {theirs}, {ours} is needed", "give weights of this size")


def read_tokenizer(folder: Path | str) -> tuple[Tokenizer, bool, bool]:
    """The folder's tokenizer, and whether its model reads texts with BOS before and EOS behind ([CLS] and [SEP] for a BERT).

    Padding without a token of its own is Llama 3's, where the tokenizer has that, or EOS. Raises CheckpointError.
    """
    folder = Path(folder).expanduser()
    path, facts = folder / "tokenizer.json", read_json(folder / "tokenizer_config.json")
    try:
        text = path.read_text(encoding="utf-8")
        backend = Backend.from_str(text)
    except FileNotFoundError:
        raise CheckpointError(path, "missing", DOWNLOAD_AGAIN) from None
    except Exception as error:  # tokenizers raises bare Exception for malformed files
        raise CheckpointError(path, f"is no tokenizer ({error})", DOWNLOAD_AGAIN) from error

    def token(*names: str) -> int | None:
        for name in names:
            value = facts.get(name)
            value = value.get("content") if isinstance(value, dict) else value
            if isinstance(value, str) and (number := backend.token_to_id(value)) is not None:
                return number
        return None

    bos, eos = token("bos_token", "cls_token"), token("eos_token", "sep_token")
    if bos is None or eos is None:
        raise CheckpointError(folder / "tokenizer_config.json", "names no tokens for beginning and end of a text", DOWNLOAD_AGAIN)
    pad = token("pad_token")
    if pad is None:
        pad = backend.token_to_id(LLAMA3_PAD)
    backend.no_padding()
    ids = backend.encode("a").ids
    begins = bool(facts["add_bos_token"]) if isinstance(facts.get("add_bos_token"), bool) else ids[:1] == [bos]
    ends = bool(facts["add_eos_token"]) if isinstance(facts.get("add_eos_token"), bool) else ids[-1:] == [eos]
    with tempfile.TemporaryDirectory() as scratch:
        Path(scratch, "tokenizer.json").write_text(text, encoding="utf-8")
        special = {"pad": eos if pad is None else pad, "bos": bos, "eos": eos}
        Path(scratch, "special.json").write_text(json.dumps(special), encoding="utf-8")
        return Tokenizer(scratch), begins, ends
