# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Exported graphs against torch: batches, queries of any length, devices; damaged and foreign graphs; what is missing."""
from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
import torch

from vljepa_ros.model import VLJEPA, CheckpointError
from vljepa_ros.model.checkpoint import seal_of
from vljepa_ros.model.engines import export
from vljepa_ros.model.engines.export import export_graphs
from vljepa_ros.model.engines.graphs import ENV, default_folder
from vljepa_ros.model.random_checkpoint import make_tiny

QUERIES = ["", "?", "Is the lamp on?", "What is the state of the scene?"]


def load(checkpoint, graphs, engine: str = "onnx", device: str = "cpu", **options) -> VLJEPA:
    return VLJEPA.from_pretrained(checkpoint, device=device, engine=engine, graphs=graphs, **options)


def test_fp32_graphs_equal_torch(exact, tiny_checkpoint, exported, clip, device):
    model = load(tiny_checkpoint, exported, device=device)
    assert model.engine.name == "onnx" and model.space_id == exact.space_id and model.sha256 == exact.sha256
    np.testing.assert_allclose(model.encode_frames(clip).cpu(), exact.encode_frames(clip), atol=1e-4)
    np.testing.assert_allclose(model.embed_queries(clip, QUERIES), exact.embed_queries(clip, QUERIES), atol=1e-4)
    for query in QUERIES:
        np.testing.assert_allclose(model.embed(clip, query), exact.embed(clip, query), atol=1e-4)


def test_int8_graphs_nearly_equal_torch(exact, tiny_checkpoint, exported, clip, device):
    model = load(tiny_checkpoint, exported, "onnx-int8", device)
    near, wanted = model.embed_queries(clip, QUERIES), exact.embed_queries(clip, QUERIES)
    assert (near * wanted).sum(-1).min() > 0.995
    assert np.abs(near - wanted).max() > 1e-6, "int8 that rounds nothing is not int8"


@pytest.mark.parametrize("clips", [1, 2, 5])
def test_any_number_of_clips(exact, tiny_checkpoint, exported, clips, device):
    model, random = load(tiny_checkpoint, exported, device=device), torch.Generator().manual_seed(0)
    frames = torch.randn((clips, 4, 3, 32, 32), generator=random)
    ids = torch.randint(3, 200, (1, 7), generator=random)
    mask = torch.arange(7)[None] < 5
    with torch.inference_mode():
        tokens = exact.modules["vision"](frames)
        np.testing.assert_allclose(model.modules["vision"](frames.to(device)).cpu(), tokens, atol=1e-4)
        for many, visible in ((ids, None), (ids, mask), (ids.expand(clips, -1), mask.expand(clips, -1))):
            wanted = exact.modules["predictor"](tokens, many, visible)
            there = model.modules["predictor"](*(None if x is None else x.to(device) for x in (tokens, many, visible)))
            np.testing.assert_allclose(there.cpu(), wanted, atol=1e-4)


def test_every_length_of_query(exact, tiny_checkpoint, exported):
    model, longest = load(tiny_checkpoint, exported), exact.config.predictor.max_query_tokens
    facts, random = exact.config.vision, torch.Generator().manual_seed(1)
    tokens = torch.randn((1, facts.tokens, facts.hidden_size), generator=random)
    for length in range(longest + 1):
        ids = torch.arange(3, 3 + length)[None]
        with torch.inference_mode():
            wanted = exact.modules["predictor"](tokens, ids)
            np.testing.assert_allclose(model.modules["predictor"](tokens, ids), wanted, atol=1e-4)


def test_batches_that_do_not_fit_are_refused(tiny_checkpoint, exported, exact):
    model = load(tiny_checkpoint, exported)
    tokens = torch.zeros(2, exact.config.vision.tokens, exact.config.vision.hidden_size)
    with pytest.raises(ValueError, match="2 clips do not fit 3 queries"):
        model.modules["predictor"](tokens, torch.ones(3, 4, dtype=torch.int64))
    with pytest.raises(ValueError, match=r"\(4, 3, 32, 32\), got \(4, 3, 16, 16\)"):
        model.modules["vision"](torch.zeros(1, 4, 3, 16, 16))


def test_the_other_parts_stay_on_torch(exact, tiny_checkpoint, exported, clip):
    model = load(tiny_checkpoint, exported)
    np.testing.assert_array_equal(model.encode_text(["the lamp is on"]), exact.encode_text(["the lamp is on"]))
    vector = exact.embed(clip)
    assert model.decode(vector) == exact.decode(vector)
    assert model.novelty(model.encode_frames(clip)) == pytest.approx(exact.novelty(exact.encode_frames(clip)), rel=1e-3)
    with pytest.raises(ValueError, match="engine onnx"):
        model.save_pretrained(exported.parent / "never")


def test_a_part_without_graphs_needs_none(tiny_checkpoint, tmp_path):
    assert load(tiny_checkpoint, tmp_path / "nowhere", parts=["text_encoder"]).encode_text(["a"]).shape == (1, 16)


def test_graphs_are_found_where_export_puts_them(exact, tiny_checkpoint, clip, monkeypatch, tmp_path):
    monkeypatch.setenv(ENV, str(tmp_path))
    with pytest.raises(CheckpointError, match="vljepa export"):
        load(tiny_checkpoint, None)
    modules = exact.modules
    export_graphs(exact.config, modules["vision"], modules["predictor"], exact.sha256, default_folder(exact.sha256), int8=False)
    np.testing.assert_allclose(load(tiny_checkpoint, None).embed(clip), exact.embed(clip), atol=1e-4)
    with pytest.raises(CheckpointError, match=r"holds no vision_encoder\.int8\.onnx.*export again"):
        load(tiny_checkpoint, None, "onnx-int8")


def test_another_checkpoints_graphs_are_refused(exported, tmp_path):
    make_tiny(tmp_path / "other", seed=1)
    with pytest.raises(CheckpointError, match="belongs to the checkpoint"):
        load(tmp_path / "other", exported)


@pytest.mark.parametrize("name", ["vision_encoder.fp32.onnx", "predictor.fp32.onnx.data"])
@pytest.mark.parametrize("damage", ["flip", "cut", "remove"])
def test_damaged_graphs_are_refused(tiny_checkpoint, graphs, name, damage):
    path = graphs / name
    data = bytearray(path.read_bytes())
    if damage == "remove":
        path.unlink()
    else:
        data[len(data) // 2] ^= 1
        path.write_bytes(data if damage == "flip" else data[:-1])
    with pytest.raises(CheckpointError, match=name.replace(".", r"\.") + ".*export again"):
        load(tiny_checkpoint, graphs)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda content: content["files"].pop("predictor.fp32.onnx.data"), "altered"),
        (lambda content: content.pop("files"), "cannot be read"),
        (lambda content: content["files"].update({"../x": {}}) or content.update(sha256=seal_of(unsealed(content))), "outside"),
    ],
)
def test_a_damaged_list_is_refused(tiny_checkpoint, graphs, change, said):
    content = json.loads((graphs / "graphs.json").read_text())
    change(content)
    (graphs / "graphs.json").write_text(json.dumps(content))
    with pytest.raises(CheckpointError, match=said):
        load(tiny_checkpoint, graphs)


def unsealed(content: dict) -> dict:
    return {key: value for key, value in content.items() if key != "sha256"}


def test_export_leaves_a_strangers_folder_alone(exact, tmp_path):
    (tmp_path / "precious.txt").write_text("x")
    with pytest.raises(CheckpointError, match="choose another folder"):
        export_graphs(exact.config, exact.modules["vision"], exact.modules["predictor"], exact.sha256, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["precious.txt"]


def test_a_failed_export_leaves_the_old_graphs(exact, tiny_checkpoint, graphs, clip, monkeypatch):
    def fail(*_):
        raise OSError("no space left on device")

    monkeypatch.setattr(export, "_quantise", fail)
    with pytest.raises(OSError, match="no space"):
        export_graphs(exact.config, exact.modules["vision"], exact.modules["predictor"], exact.sha256, graphs)
    np.testing.assert_allclose(load(tiny_checkpoint, graphs, "onnx").embed(clip), exact.embed(clip), atol=1e-4)
    assert [path.name for path in graphs.parent.iterdir()] == ["graphs"]


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device here")
def test_cuda_without_its_provider_is_named(tiny_checkpoint, exported):
    with pytest.raises(CheckpointError, match="CUDA"):
        load(tiny_checkpoint, exported, device="cuda")


def test_without_onnxruntime_the_remedy_is_named_and_auto_goes_on(tiny_checkpoint, exported, tmp_path):
    """Not installed: as a robot that never asked for it."""
    code = (
        "import sys\n"
        "sys.modules.update(dict.fromkeys(('onnxruntime', 'onnx', 'onnxscript')))\n"
        "from vljepa_ros.model import VLJEPA, CheckpointError\n"
        f"where = dict(graphs={str(exported)!r}, device='cpu')\n"
        f"model = VLJEPA.from_pretrained({str(tiny_checkpoint)!r}, engine='auto', **where)\n"
        "assert model.engine.name.startswith('torch')\n"
        "try: VLJEPA.from_pretrained(" + repr(str(tiny_checkpoint)) + ", engine='onnx', **where)\n"
        "except CheckpointError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "needs ONNX Runtime" in done.stdout and "pip install onnxruntime" in done.stdout
