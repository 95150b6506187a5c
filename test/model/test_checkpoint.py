"""Checkpoint folders: round trip, each kind of damage, partial loading, atomic saving."""
from __future__ import annotations

import hashlib
import json
import pickle
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from vljepa_ros.model import VLJEPA, CheckpointError, checkpoint_writer
from vljepa_ros.model.checkpoint import bundled, resolve, seal_of
from vljepa_ros.model.random_checkpoint import make_tiny


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    folder = tmp_path_factory.mktemp("checkpoints") / "tiny"
    make_tiny(folder)
    return folder


@pytest.fixture
def folder(original, tmp_path):
    return shutil.copytree(original, tmp_path / "tiny")


def load(folder, **options) -> VLJEPA:
    return VLJEPA.from_pretrained(folder, device="cpu", engine="torch", **options)


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
    with pytest.raises(ValueError, match="norm.weight.*1e"):
        model.save_pretrained(tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_equal_tokenizers_are_stored_once(folder):
    assert [path.name for path in (folder / "tokenizers").iterdir()] == ["query"]


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
        load(folder)
    message = str(caught.value)
    file, problem, remedy = DAMAGES[damage]
    assert str(folder) in message and "\n" not in message
    caught.match(f"{file}.*{problem}.*; .*{remedy}")


def test_only_the_parts_asked_for_are_read_and_they_are_checked(folder):
    damage_byte(folder)
    (folder / "text_decoder.safetensors").unlink()
    model = load(folder, parts=["vision", "text_encoder"])
    assert set(model.modules) == {"vision", "text_encoder"}
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
    assert set(load(tmp_path / "eyes").modules) == {"vision", "predictor"}
    with pytest.raises(CheckpointError, match="no part text_decoder; it has vision, predictor"):
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
    with pytest.raises(CheckpointError, match="no such checkpoint.*bundled name"):
        resolve("nothing-of-that-name")
    with pytest.raises(CheckpointError, match="config.json: missing"):
        resolve(tmp_path)
