# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`vljepa import`: hub folders and a best.pt on disk, a checkpoint folder out, held against the parts themselves."""
from __future__ import annotations

import copy
import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from vljepa_ros.cli.main import main
from vljepa_ros.model import VLJEPA, TextDecoderConfig
from vljepa_ros.model.assemble import assemble
from vljepa_ros.model.open_vljepa import import_open_vljepa

SPEC = importlib.util.spec_from_file_location("hubs", Path(__file__).parents[1] / "model" / "hubs.py")
hubs = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(hubs)

DIM = 20
SMALL = TextDecoderConfig(hidden_size=16, layers=1, heads=2, kv_heads=1, head_dim=8, intermediate_size=32, vocab_size=1)


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    """Folders and the models as transformers has them: vjepa2, llama, gemma."""
    root = tmp_path_factory.mktemp("hub")
    models = {}
    for kind in ("vjepa2", "llama", "gemma"):
        (root / kind).mkdir()
        models[kind] = getattr(hubs, f"save_{kind}")(root / kind)
    return root, models


def folders(root) -> list[str]:
    return [word for kind in ("vjepa2", "llama", "gemma") for word in (f"--{kind}", str(root / kind))]


@pytest.fixture(scope="module")
def decoder(hub, tmp_path_factory):
    """A checkpoint with a small Y-Decoder, as `--decoder` takes it: the paper's own has 370 M parameters."""
    root, _ = hub
    out = tmp_path_factory.mktemp("decoder") / "checkpoint"
    made = assemble(root / "vjepa2", root / "llama", root / "gemma", dim=DIM, last_layers=1, frames=4, decoder_config=SMALL)
    made.save_pretrained(out)
    return out


def best_pt(models, path, projector: bool = False, **changes):
    """As open-vljepa's training writes it: everything but the X-Encoder. Its weights are random, not those of the hub folders."""
    generator = torch.Generator().manual_seed(5)
    state = {f"predictor.{name}": t for name, t in models["llama"].state_dict().items() if not name.startswith("layers.")}
    for i in range(2):  # the last two of four layers, counted from 0
        layer = models["llama"].layers[2 + i].state_dict()
        state |= {f"predictor.layers.{i}.{name}": tensor for name, tensor in layer.items()}
    state |= {f"y_encoder.model.{name}": tensor for name, tensor in models["gemma"].state_dict().items()}
    vis = 24 if projector else 32
    linears = {"predictor.vis_proj": (32, vis), "predictor.out_proj": (DIM, 32), "y_encoder.projector": (DIM, 16)}
    linears |= {"x_encoder.projector": (24, 32)} if projector else {}
    for name, (rows, columns) in linears.items():
        state |= {f"{name}.weight": torch.zeros(rows, columns), f"{name}.bias": torch.zeros(rows)}
    state = {name: torch.randn(tensor.shape, generator=generator) * 0.2 for name, tensor in state.items()}
    config = {"data": {"num_frames": 4, "image_size": 32}, "training": {"lr": 1e-4}}
    content = {"epoch": 3, "model_state_dict": state, "loss": 0.5, "config": config}
    content["model_state_dict"] |= changes.pop("extra", {})
    for name in changes.pop("lost", ()):
        del state[name]
    torch.save(content | changes, path)
    return state


def reference(models, state, frames, query_ids, text_ids):
    """What open-vljepa computes, by transformers' own layers with the file's weights: (prediction, target), not normalised."""
    llama, gemma = copy.deepcopy(models["llama"]), copy.deepcopy(models["gemma"])
    llama.layers = llama.layers[2:]
    under = {p: {n.removeprefix(p): t for n, t in state.items() if n.startswith(p)} for p in ("predictor.", "y_encoder.model.")}
    llama.load_state_dict({n: t for n, t in under["predictor."].items() if "_proj.w" not in n or "layers" in n}, strict=False)
    gemma.load_state_dict(under["y_encoder.model."])

    def linear(x, name):
        return F.linear(x, state[f"{name}.weight"], state[f"{name}.bias"])

    tokens = models["vjepa2"](pixel_values_videos=frames, skip_predictor=True).last_hidden_state
    if "x_encoder.projector.weight" in state:
        tokens = linear(tokens, "x_encoder.projector")
    x = torch.cat([linear(tokens, "predictor.vis_proj"), llama.embed_tokens(query_ids)], 1)
    positions = torch.arange(x.shape[1])[None]
    for layer in llama.layers:
        x = layer(x, attention_mask=torch.zeros(1, 1, x.shape[1], x.shape[1]), position_ids=positions,
                  position_embeddings=llama.rotary_emb(x, positions))  # fmt: skip
    predicted = linear(llama.norm(x).mean(1), "predictor.out_proj")
    hidden = gemma(input_ids=text_ids, attention_mask=torch.ones_like(text_ids)).last_hidden_state
    return predicted, linear(hidden.mean(1), "y_encoder.projector")


@pytest.mark.parametrize("projector", [False, True], ids=["plain", "projector"])
def test_an_imported_best_pt_computes_what_open_vljepa_does(hub, tmp_path, projector):
    root, models = hub
    state = best_pt(models, tmp_path / "best.pt", projector)
    model = import_open_vljepa(
        tmp_path / "best.pt", root / "vjepa2", root / "llama", root / "gemma", decoder_config=SMALL
    )
    assert (model.config.vision.frames, model.config.predictor.layers, model.dim) == (4, 2, DIM)
    clip = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3), dtype=np.uint8)
    pixels = (clip / 255.0 - np.array(model.config.preprocess.mean)) / np.array(model.config.preprocess.std)
    frames = torch.tensor(pixels, dtype=torch.float32).permute(0, 3, 1, 2)[None]
    query, text = "Describe this video in one sentence.", "The lamp is on."
    query_ids, _ = model.tokenizers["query"].encode([query], 64, bos=True)
    text_ids, _ = model.tokenizers["text"].encode([text], 64, bos=True, eos=True)
    with torch.inference_mode():
        predicted, target = (F.normalize(x, dim=-1)[0].numpy() for x in reference(models, state, frames, query_ids, text_ids))
    np.testing.assert_allclose(model.embed(clip, query), predicted, rtol=0, atol=1e-5)
    np.testing.assert_allclose(model.encode_text([text])[0], target, rtol=0, atol=1e-5)


def test_the_command_writes_a_checkpoint_that_runs(hub, decoder, tmp_path, capsys):
    root, models = hub
    best_pt(models, tmp_path / "best.pt")
    out = tmp_path / "out"
    options = ["--decoder", str(decoder), "--out", str(out)]
    assert main(["import", "open-vljepa", str(tmp_path / "best.pt"), *folders(root), *options]) == 0
    said = capsys.readouterr().out
    assert "predictor" in said and f"written to {out}" in said and "random" not in said
    model = VLJEPA.from_pretrained(out, device="cpu", engine="torch")
    vector = model.embed(np.zeros((48, 64, 3), np.uint8), model.config.prompts["state"])
    assert vector.shape == (DIM,) and abs(np.linalg.norm(vector) - 1) < 1e-5
    assert len(model.decode(vector)) == 1
    out = tmp_path / "parts"
    options = ["--dim", str(DIM), "--last-layers", "3", "--frames", "4"]
    assert main(["import", "parts", *folders(root), *options, "--decoder", str(decoder), "--out", str(out)]) == 0
    config = VLJEPA.from_pretrained(out, device="cpu", engine="torch").config
    assert (config.predictor.layers, config.vision.frames, config.dim) == (3, 4, DIM)


class Evil:
    ran = False

    def __reduce__(self):
        return setattr, (Evil, "ran", True)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"extra": {"predictor.gate.weight": torch.zeros(1)}}, "holds the unexpected predictor.gate.weight"),
        ({"lost": ["y_encoder.model.norm.weight"]}, "lacks y_encoder.model.norm.weight"),
        ({"extra": {"y_encoder.projector.bias": torch.zeros(3)}}, "weight proj.bias has shape (3,)"),
        ({"hook": Evil()}, "refused, it holds code"),
        ({"model_state_dict": 7}, "has no model_state_dict of tensors"),
    ],
    ids=["unexpected", "missing", "shape", "code", "other"],
)
def test_what_does_not_fit_is_one_line(hub, decoder, tmp_path, capsys, changes, says):
    root, models = hub
    best_pt(models, tmp_path / "best.pt", **changes)
    out = tmp_path / "out"
    options = ["--decoder", str(decoder), "--out", str(out)]
    assert main(["import", "open-vljepa", str(tmp_path / "best.pt"), *folders(root), *options]) == 2
    said = capsys.readouterr().err
    assert says in said and said.count("\n") == 1, said
    assert not out.exists() and not Evil.ran
