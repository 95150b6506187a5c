# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Parts from hub folders against transformers reading the same folders; every weight accounted for; what is refused."""
from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from vljepa_ros.model import CheckpointError, Predictor, TextEncoder, VisionEncoder
from vljepa_ros.model.hub import read_pickle, read_tokenizer

from . import hubs

EXACT = dict(rtol=0, atol=1e-5)


@pytest.mark.parametrize("shards", [False, True], ids=["single", "sharded"])
def test_vision_equals_hugging_face(tmp_path, shards):
    theirs = hubs.save_vjepa2(tmp_path, shards)
    assert (len(list(tmp_path.glob("*.safetensors"))) > 1) == shards
    ours = VisionEncoder.from_pretrained(tmp_path, frames=4)
    assert (ours.cfg.frames, ours.cfg.image_size, ours.cfg.heads) == (4, 32, 2)
    frames = torch.randn(2, 4, 3, 32, 32)
    with torch.inference_mode():
        expected = theirs(pixel_values_videos=frames, skip_predictor=True).last_hidden_state
        torch.testing.assert_close(ours(frames), expected, **EXACT)
    assert expected.std() > 0.05
    assert VisionEncoder.from_pretrained(tmp_path).cfg.frames == 8


@pytest.mark.parametrize("shards", [False, True], ids=["single", "sharded"])
@pytest.mark.parametrize("padded", [False, True], ids=["full", "padded"])
def test_predictor_equals_the_last_llama_layers(tmp_path, shards, padded):
    llama = hubs.save_llama(tmp_path, shards)
    ours = Predictor.from_pretrained(tmp_path, last_layers=2, vision_dim=24, dim=20)
    assert ours.cfg.rope_scaling == hubs.LLAMA3 and ours.cfg.query_bos
    visual, ids = torch.randn(2, 10, 24), torch.randint(0, 300, (2, 6))
    mask = torch.arange(6) < torch.tensor([6, 3])[:, None] if padded else torch.ones(2, 6, dtype=torch.bool)
    visible = torch.cat([torch.ones(2, 10, dtype=torch.bool), mask], 1)
    bias = torch.zeros(2, 1, 16, 16).masked_fill(~visible[:, None, None, :], torch.finfo(torch.float32).min)
    with torch.inference_mode():
        x = torch.cat([ours.vis_proj(visual), llama.embed_tokens(ids)], dim=1)  # the query's projection starts as the identity
        positions = torch.arange(16)[None].expand(2, -1)
        for layer in llama.layers[2:]:
            tables = llama.rotary_emb(x, positions)
            x = layer(x, attention_mask=bias, position_ids=positions, position_embeddings=tables)
        pooled = torch.stack([row[seen].mean(0) for row, seen in zip(llama.norm(x), visible)])
        expected = ours.out_proj(pooled)
        torch.testing.assert_close(ours(visual, ids, mask if padded else None), expected, **EXACT)
    assert expected.std() > 0.01
    frozen = [name for name, p in ours.named_parameters() if not p.requires_grad]
    assert frozen == ["embed_tokens.weight"]


@pytest.mark.parametrize("kind", ["gemma", "bert"])
def test_text_equals_hugging_face_reading_the_folder(tmp_path, kind):
    """Texts longer than Gemma's window, one padded; transformers reads the folder anew, so that its window is its own."""
    from transformers import AutoModel

    getattr(hubs, f"save_{kind}")(tmp_path)
    theirs = AutoModel.from_pretrained(tmp_path, attn_implementation="eager").eval()
    ours = TextEncoder.from_pretrained(tmp_path)
    assert ours.cfg.bos and ours.cfg.eos and ours.cfg.max_tokens == 64
    ids = torch.randint(4, 300, (2, 30))
    mask = torch.arange(30) < torch.tensor([30, 11])[:, None]
    with torch.inference_mode():
        hidden = theirs(input_ids=ids, attention_mask=mask.long()).last_hidden_state
        expected = torch.stack([row[seen].mean(0) for row, seen in zip(hidden, mask)])
        torch.testing.assert_close(ours(ids, mask), expected, **EXACT)
    assert expected.std() > 0.01


def test_the_dense_layers_of_sentence_transformers_start_the_projection(tmp_path):
    hubs.save_gemma(tmp_path, dense=True)
    layers = [load_file(tmp_path / name / "model.safetensors")["linear.weight"] for name in ("2_Dense", "3_Dense")]
    published = TextEncoder.from_pretrained(tmp_path)
    torch.testing.assert_close(published.proj.weight, layers[1] @ layers[0], **EXACT)
    projected = TextEncoder.from_pretrained(tmp_path, dim=40)
    assert projected.proj.weight.shape == (40, 16) and torch.linalg.matrix_rank(projected.proj.weight) == 12
    plain = TextEncoder.from_pretrained(tmp_path, dense=False)
    torch.testing.assert_close(plain.proj.weight, torch.eye(16), **EXACT)
    (tmp_path / "1_Pooling" / "config.json").write_text(json.dumps({"pooling_mode_cls_token": True}))
    with pytest.raises(CheckpointError, match="pools by cls_token"):
        TextEncoder.from_pretrained(tmp_path)


LOADERS = {"vjepa2": VisionEncoder, "llama": Predictor, "bert": TextEncoder}


@pytest.mark.parametrize("kind", LOADERS)
def test_missing_and_unexpected_weights_are_all_named_in_one_line(tmp_path, kind):
    getattr(hubs, f"save_{kind}")(tmp_path)
    load = LOADERS[kind].from_pretrained
    options = {"last_layers": 2} if kind == "llama" else {}
    path = tmp_path / "model.safetensors"
    state = load_file(path)
    lost = [name for name in sorted(state) if "norm" in name.lower() and not name.startswith("predictor.")][:2]
    kept = {name: tensor for name, tensor in state.items() if name not in lost}
    save_file(kept | {"adapter.a": torch.zeros(2), "adapter.b": torch.zeros(2)}, path, {"format": "pt"})
    with pytest.raises(CheckpointError) as caught:
        load(tmp_path, **options)
    said = str(caught.value)
    short = [name.removeprefix("model.").removeprefix("encoder.") for name in lost]
    assert len(lost) == 2 and "\n" not in said and all(name in said for name in [*short, "adapter.a", "adapter.b"]), said


def test_what_is_no_hub_folder_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match=r"config\.json: missing"):
        VisionEncoder.from_pretrained(tmp_path)
    hubs.save_llama(tmp_path, shards=True)
    with pytest.raises(CheckpointError, match="model_type 'llama', vjepa2 is needed"):
        VisionEncoder.from_pretrained(tmp_path)
    with pytest.raises(CheckpointError, match="has 4 layers, the last 5"):
        Predictor.from_pretrained(tmp_path, last_layers=5)
    shard = sorted(tmp_path.glob("*.safetensors"))[1]
    data = shard.read_bytes()
    shard.write_bytes(data[: len(data) // 2])
    with pytest.raises(CheckpointError, match="no whole safetensors file"):
        Predictor.from_pretrained(tmp_path, last_layers=2)
    shard.unlink()
    with pytest.raises(CheckpointError, match=f"{shard.name}: missing"):
        Predictor.from_pretrained(tmp_path, last_layers=2)
    for left in tmp_path.glob("model*"):
        left.unlink()
    (tmp_path / "pytorch_model.bin").write_bytes(b"x")
    with pytest.raises(CheckpointError, match="is a pickle"):
        Predictor.from_pretrained(tmp_path, last_layers=2)


def test_tokenizers_say_what_their_models_read(tmp_path):
    for kind in ("llama", "bert"):
        (tmp_path / kind).mkdir()
        getattr(hubs, f"save_{kind}")(tmp_path / kind)
    llama, begins, ends = read_tokenizer(tmp_path / "llama")
    assert begins and not ends and llama.pad_id not in (llama.bos_id, llama.eos_id)
    bert, begins, ends = read_tokenizer(tmp_path / "bert")
    assert begins and ends
    ids, _ = bert.encode(["The lamp is on."], 32, bos=True, eos=True)
    assert (ids[0, 0], ids[0, -1]) == (bert.bos_id, bert.eos_id)
    assert bert.decode(ids[0].tolist()) == "The lamp is on."


class Evil:
    ran = False

    def __reduce__(self):
        return setattr, (Evil, "ran", True)


def test_a_pickle_with_code_is_refused_and_not_run(tmp_path):
    torch.save({"ema_encoder": {"a": torch.zeros(1)}, "extra": Evil()}, tmp_path / "evil.pt")
    for read in (read_pickle, VisionEncoder.from_pretrained):
        with pytest.raises(CheckpointError, match="refused, it holds code") as caught:
            read(tmp_path / "evil.pt")
        assert "\n" not in str(caught.value)
    assert not Evil.ran
    (tmp_path / "cut.pt").write_bytes((tmp_path / "evil.pt").read_bytes()[:200])
    with pytest.raises(CheckpointError, match=r"cut\.pt"):
        read_pickle(tmp_path / "cut.pt")
