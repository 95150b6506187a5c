# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Vision encoder and predictor as ONNX graphs, in fp32 and int8, bound by hash to the checkpoint that they were made from.

A graph has the checkpoint's clip built in and knows nothing of text or of norm 1. Batch, number of queries and their
length are open. Weights lie beside a graph (`*.onnx.data`), so that no size is too large for the format. int8 means matrices of
int8 with one scale per output channel, and activations quantised as they come (dynamic): no calibration data to be wrong about.

Shapes: B clips, T frames, N visual tokens, Q queries, L query tokens, D as in the parts.
"""
from __future__ import annotations

import logging
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor, nn

from ..config import ModelConfig
from ..predictor import Predictor
from ..vision_encoder import VisionEncoder
from .graphs import PARTS, GraphError, Graphs, graph_name, write_manifest

OPSET = 18
QUANTISED = ("MatMul", "Gemm")  # products of activations with each other have no constant side and stay fp32
EXPORT_REMEDY = "install what exporting needs: pip install 'vljepa_ros[cpu,export]' (or onnx, onnxscript, onnxruntime)"
log = logging.getLogger(__name__)


class _PredictorGraph(nn.Module):
    """One row per query; `clip_Q` names the clip that each asks about, so that one clip's tokens are projected once for all."""

    def __init__(self, predictor: Predictor) -> None:
        super().__init__()
        self.predictor = predictor

    def forward(self, tokens_BND: Tensor, clip_Q: Tensor, ids_QL: Tensor, mask_QL: Tensor) -> Tensor:
        p = self.predictor
        visual_QNC = p._project(tokens_BND)[clip_Q]
        query_QLC = p.query_proj(p.embed_tokens(ids_QL))
        shown_QN = torch.ones_like(visual_QNC[..., 0], dtype=torch.bool)
        visible_QN = torch.cat([shown_QN, mask_QL], 1)
        hidden_QNC = p.stack(torch.cat([visual_QNC, query_QLC], 1), visible_QN)
        weight_QN1 = visible_QN.unsqueeze(-1).to(hidden_QNC.dtype)
        return p.out_proj((hidden_QNC * weight_QN1).sum(1) / weight_QN1.sum(1))


def export_graphs(
    config: ModelConfig, vision: VisionEncoder, predictor: Predictor, sha256: str, folder: Path | str, int8: bool = True
) -> Graphs:
    """Write the graphs of fp32 parts on the CPU into `folder`, all or nothing; whatever graphs were there are replaced.

    sha256: the checkpoint's. Raises GraphError where a package is missing or the folder holds something else.
    """
    folder = Path(folder).expanduser()
    _require_packages()
    if folder.exists() and any(folder.iterdir()) and not (folder / "graphs.json").is_file():
        raise GraphError(folder, "is not empty and holds no exported graphs", "choose another folder with --out")
    folder.parent.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    fresh.chmod(0o755)
    try:
        for part, module in zip(PARTS, (vision, predictor)):
            write_graph(config, part, module, fresh / graph_name(part, "fp32"))
        if int8:
            for part in PARTS:
                _quantise(fresh / graph_name(part, "fp32"), fresh / graph_name(part, "int8"))
        graphs = write_manifest(fresh, sha256, config.name)
        if folder.exists():
            shutil.rmtree(folder)
        fresh.rename(folder)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return Graphs(folder, graphs.sha256, graphs.files)


def write_graph(config: ModelConfig, part: str, module: nn.Module, path: Path) -> None:
    """One part, fp32 on the CPU, as it is: the graph, and its weights beside it."""
    with torch.no_grad(), _quiet():
        (_write_vision if part == "vision" else _write_predictor)(config, module, path)


def _write_vision(config: ModelConfig, vision: VisionEncoder, path: Path) -> None:
    facts = config.vision
    frames_BTCHW = torch.zeros(2, facts.frames, 3, facts.image_size, facts.image_size)
    vision(frames_BTCHW[:1])  # the rotary table is computed outside the graph and becomes a constant of it
    program = torch.onnx.export(
        vision, (frames_BTCHW,), dynamo=True, opset_version=OPSET, input_names=["frames_BTCHW"],
        output_names=["tokens_BND"], dynamic_shapes=({0: torch.export.Dim("B", min=1, max=4096)},), verbose=False,
    )  # fmt: skip
    program.save(path, external_data=True)


def _write_predictor(config: ModelConfig, predictor: Predictor, path: Path) -> None:
    facts = config.predictor
    longest = facts.max_query_tokens
    tokens_BND = torch.zeros(2, config.vision.tokens, config.vision.hidden_size)
    length = min(5, longest)
    ids_QL, mask_QL = torch.zeros(3, length, dtype=torch.int64), torch.ones(3, length, dtype=torch.bool)
    graph = _PredictorGraph(predictor).eval()
    predictor.stack.rotary.tables(0, config.vision.tokens // facts.merges + longest, torch.device("cpu"))  # a constant as well
    B, Q = (torch.export.Dim(name, min=1, max=4096) for name in "BQ")
    L = torch.export.Dim("L", min=1, max=longest)
    program = torch.onnx.export(
        graph, (tokens_BND, torch.tensor([0, 1, 1]), ids_QL, mask_QL), dynamo=True, opset_version=OPSET,
        input_names=["tokens_BND", "clip_Q", "ids_QL", "mask_QL"], output_names=["vectors_QD"],
        dynamic_shapes=({0: B}, {0: Q}, {0: Q, 1: L}, {0: Q, 1: L}), verbose=False,
    )  # fmt: skip
    program.save(path, external_data=True)


def _quantise(source: Path, target: Path) -> None:
    from onnxruntime.quantization import QuantType, quantize_dynamic

    quantize_dynamic(
        source, target, per_channel=True, weight_type=QuantType.QInt8, op_types_to_quantize=list(QUANTISED),
        use_external_data_format=True,
    )


def _require_packages() -> None:
    try:
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise GraphError("vljepa export", f"cannot write graphs ({error})", EXPORT_REMEDY) from error


@contextmanager
def _quiet() -> Iterator[None]:
    """The exporter's advice to people who change the exporter."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "torch.export", "onnx_ir")]
    levels = [one.level for one in loggers]
    for one in loggers:
        one.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for one, level in zip(loggers, levels):
            one.setLevel(level)
