# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Checkpoint folders: round trip, partial loading, atomic saving, names."""
from __future__ import annotations

import pytest
import torch
from safetensors.torch import load_file

from vljepa_ros.model import VLJEPA, CheckpointError, checkpoint_writer
from vljepa_ros.model.checkpoint import bundled, resolve
from vljepa_ros.model.random_checkpoint import make_tiny


def load(folder, **options) -> VLJEPA:
    return VLJEPA.from_pretrained(folder, device="cpu", engine="torch", **options)


def test_weights_survive_as_fp16(folder, tmp_path):
    model = load(folder)
    again = tmp_path / "again"
    model.save_pretrained(again)
    for part, module in load(again).modules.items():
        for name, tensor in module.state_dict().items():
            assert tensor.dtype == torch.float32
            assert torch.equal(tensor, model.modules[part].state_dict()[name]), name
    assert (again / "config.json").read_bytes() == (folder / "config.json").read_bytes()
    assert all(t.dtype == torch.float16 for t in load_file(again / "predictor.safetensors").values())


def test_loading_rounds_to_fp16_and_no_further(tmp_path):
    model = make_tiny(tmp_path / "a")
    weight = model.modules["predictor"].out_proj.weight
    with torch.no_grad():
        weight.normal_(generator=torch.Generator().manual_seed(0))
    model.save_pretrained(tmp_path / "b")
    assert torch.equal(load(tmp_path / "b").modules["predictor"].out_proj.weight, weight.half().float())


def test_weights_too_large_for_fp16_are_named(folder, tmp_path):
    model = load(folder)
    with torch.no_grad():
        model.modules["vision"].norm.weight[0] = 1e6
    with pytest.raises(ValueError, match=r"norm.weight.*1e"):
        model.save_pretrained(tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_equal_tokenizers_are_stored_once(folder):
    assert [path.name for path in (folder / "tokenizers").iterdir()] == ["query"]


def test_only_the_parts_asked_for_are_read_and_they_are_checked(folder):
    damaged = folder / "predictor.safetensors"
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"!")
    (folder / "text_decoder.safetensors").unlink()
    model = load(folder, parts=["vision", "text_encoder"])
    assert set(model.modules) == {"vision", "text_encoder", "familiarity"}, "vision brings familiarity along"
    with pytest.raises(CheckpointError, match=r"predictor.safetensors.*altered"):
        load(folder, parts={"vision", "predictor"})
    with pytest.raises(CheckpointError, match=r"text_decoder.safetensors.*missing"):
        load(folder, parts=("text_decoder",))
    with pytest.raises(RuntimeError, match="'predictor'"):
        model.predict(torch.zeros(1, 32, 16), [""])


def test_unknown_and_absent_parts(folder, tmp_path):
    with pytest.raises(ValueError, match="'decoder'"):
        load(folder, parts=["decoder"])
    load(folder, parts=["vision", "predictor"]).save_pretrained(tmp_path / "eyes")
    assert set(load(tmp_path / "eyes").modules) == {"vision", "predictor", "familiarity"}
    with pytest.raises(CheckpointError, match="no part text_decoder; it has vision, predictor, familiarity"):
        load(tmp_path / "eyes", parts=["text_decoder"])


def test_the_space_is_named_by_the_text_encoder(folder, tmp_path):
    model = load(folder)
    assert load(folder, parts=["vision", "predictor"]).space_id == model.space_id
    with torch.no_grad():
        model.modules["predictor"].out_proj.bias[0] += 1
    model.save_pretrained(tmp_path / "a")
    assert load(tmp_path / "a").space_id == load(folder).space_id
    assert load(tmp_path / "a").sha256 != load(folder).sha256
    with torch.no_grad():
        model.modules["text_encoder"].proj.bias[0] += 1
    model.save_pretrained(tmp_path / "b")
    assert load(tmp_path / "b").space_id == model.space_id != load(folder).space_id


def test_a_crash_while_saving_leaves_the_old_checkpoint(folder, monkeypatch):
    model = load(folder)
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    monkeypatch.setattr(checkpoint_writer, "seal_of", lambda content: 1 / 0)  # the last thing before config.json is written
    with pytest.raises(ZeroDivisionError):
        model.save_pretrained(folder)
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
    assert [path.name for path in folder.parent.iterdir()] == ["tiny"]


def test_saving_over_a_checkpoint_replaces_all_of_it(folder):
    model = load(folder)
    (folder / "predictor-00001.safetensors").write_bytes(b"left over")
    model.save_pretrained(folder)
    assert not (folder / "predictor-00001.safetensors").exists()
    assert [path.name for path in folder.parent.iterdir()] == ["tiny"]
    load(folder)


def test_saving_never_destroys_what_it_cannot_replace(folder, tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    (home / "thesis.txt").write_text("ten years")
    with pytest.raises(ValueError, match="no checkpoint"):
        load(folder).save_pretrained(home)
    with pytest.raises(ValueError, match="part text_decoder"):
        load(folder, parts=["vision", "predictor", "text_encoder"]).save_pretrained(folder)
    assert (home / "thesis.txt").exists()
    load(folder)


def test_a_bf16_engine_does_not_save_its_rounded_weights(folder):
    with pytest.raises(ValueError, match="rounded"):
        VLJEPA.from_pretrained(folder, device="cpu", engine="torch-bf16").save_pretrained(folder)


def test_large_parts_are_stored_in_shards(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint_writer, "SHARD_BYTES", 8000)
    model = load(folder)
    model.save_pretrained(tmp_path / "shards")
    names = sorted(path.name for path in (tmp_path / "shards").glob("predictor*"))
    assert len(names) > 2 and names[0] == "predictor-00001.safetensors"
    again = load(tmp_path / "shards").modules["predictor"].state_dict()
    assert all(torch.equal(tensor, again[name]) for name, tensor in model.modules["predictor"].state_dict().items())


def test_resolve_takes_folders_and_bundled_names(folder, tmp_path):
    assert resolve(folder) == resolve(str(folder)) == folder
    for name, path in bundled().items():
        assert resolve(name) == path
    with pytest.raises(CheckpointError, match=r"no such checkpoint.*bundled name"):
        resolve("nothing-of-that-name")
    with pytest.raises(CheckpointError, match=r"config.json: missing"):
        resolve(tmp_path)
