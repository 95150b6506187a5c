# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Every kind of damage to a checkpoint folder is one line that names file and remedy."""
from __future__ import annotations

import hashlib
import json
import pickle

import pytest
import torch
from safetensors.torch import load_file, save_file

from vljepa_ros.model import VLJEPA, CheckpointError
from vljepa_ros.model.checkpoint import seal_of


def reseal(folder, change=lambda content: None) -> None:
    """Make config.json fit its files again, as somebody would who builds a checkpoint by hand."""
    content = json.loads((folder / "config.json").read_text())
    del content["sha256"]
    change(content)
    for name, facts in content["files"].items():
        if (folder / name).is_file():
            data = (folder / name).read_bytes()
            facts |= {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    (folder / "config.json").write_text(json.dumps(content | {"sha256": seal_of(content)}))


def damage_missing(folder):
    (folder / "predictor.safetensors").unlink()


def damage_truncated(folder):
    path = folder / "predictor.safetensors"
    path.write_bytes(path.read_bytes()[:-10])


def damage_longer(folder):
    path = folder / "predictor.safetensors"
    path.write_bytes(path.read_bytes() + b"0")


def damage_byte(folder):
    path = folder / "predictor.safetensors"
    data = bytearray(path.read_bytes())
    data[-100] ^= 1
    path.write_bytes(data)


def damage_shape(folder):
    path = folder / "predictor.safetensors"
    tensors = load_file(path)
    tensors["out_proj.bias"] = torch.zeros(17, dtype=torch.float16)
    save_file(tensors, path)
    reseal(folder)


def damage_weight_lost(folder):
    path = folder / "predictor.safetensors"
    tensors = load_file(path)
    del tensors["out_proj.bias"]
    save_file(tensors, path)
    reseal(folder)


def damage_weight_foreign(folder):
    path = folder / "predictor.safetensors"
    save_file(load_file(path) | {"lora.weight": torch.zeros(2)}, path)
    reseal(folder)


def damage_pickle(folder):
    (folder / "predictor.safetensors").write_bytes(pickle.dumps({"out_proj.bias": [0.0] * 16}))
    reseal(folder)


def damage_torch_pickle(folder):
    torch.save({"out_proj.bias": torch.zeros(16)}, folder / "predictor.safetensors")
    reseal(folder)


def damage_tokenizer(folder):
    path = folder / "tokenizers/query/tokenizer.json"
    path.write_text(path.read_text().replace("lamp", "lump"))


def damage_tokenizer_foreign(folder):
    (folder / "tokenizers/query/tokenizer.json").write_text("[]")
    reseal(folder)


def damage_config_missing(folder):
    (folder / "config.json").unlink()


def damage_config_altered(folder):
    path = folder / "config.json"
    path.write_text(path.read_text().replace('"clip_period_s": 0.2', '"clip_period_s": 0.3'))


def damage_config_truncated(folder):
    path = folder / "config.json"
    path.write_text(path.read_text()[:200])


def damage_config_list(folder):
    (folder / "config.json").write_text("[]")


def damage_config_binary(folder):
    (folder / "config.json").write_bytes(b"\xff\xfe\x00")


def damage_config_unknown_key(folder):
    reseal(folder, lambda content: content["model"]["vision"].update(registers=4))


def damage_config_impossible(folder):
    reseal(folder, lambda content: content["model"]["vision"].update(heads=7))


def damage_config_key_lost(folder):
    reseal(folder, lambda content: content.pop("space_id"))


def damage_config_outside(folder):
    reseal(folder, lambda content: content["files"].update({"../secret": {"size": 1, "sha256": ""}}))


def damage_config_newer(folder):
    reseal(folder, lambda content: content.update(format=2))


DAMAGES = {
    damage_missing: ("predictor.safetensors", "missing", "copy"),
    damage_truncated: ("predictor.safetensors", "truncated", "copy"),
    damage_longer: ("predictor.safetensors", "too long", "copy"),
    damage_byte: ("predictor.safetensors", "altered", "copy"),
    damage_shape: ("predictor.safetensors", r"out_proj.bias has shape \(17,\).*\(16,\)", "copy"),
    damage_weight_lost: ("predictor.safetensors", "lacks the weight out_proj.bias", "copy"),
    damage_weight_foreign: ("predictor.safetensors", "unknown weight lora.weight", "copy"),
    damage_pickle: ("predictor.safetensors", "no safetensors file", "copy"),
    damage_torch_pickle: ("predictor.safetensors", "no safetensors file", "copy"),
    damage_tokenizer: ("tokenizer.json", "altered", "copy"),
    damage_tokenizer_foreign: ("tokenizers/query", "no tokenizer", "copy"),
    damage_config_missing: ("config.json", "missing", "copy"),
    damage_config_altered: ("config.json", "altered", "copy"),
    damage_config_truncated: ("config.json", "cannot be read", "copy"),
    damage_config_list: ("config.json", "cannot be read", "copy"),
    damage_config_binary: ("config.json", "cannot be read", "copy"),
    damage_config_unknown_key: ("config.json", "vision has the unknown key registers", "version"),
    damage_config_impossible: ("config.json", "7 heads", "version"),
    damage_config_key_lost: ("config.json", "lacks the key 'space_id'", "version"),
    damage_config_outside: ("config.json", "outside", "do not use"),
    damage_config_newer: ("config.json", "format 2", "update"),
}


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda d: d.__name__.removeprefix("damage_"))
def test_damage_is_one_line_with_file_and_remedy(folder, damage):
    damage(folder)
    with pytest.raises(CheckpointError) as caught:
        VLJEPA.from_pretrained(folder, device="cpu", engine="torch")
    message = str(caught.value)
    file, problem, remedy = DAMAGES[damage]
    assert str(folder) in message and "\n" not in message
    caught.match(f"{file}.*{problem}.*; .*{remedy}")
