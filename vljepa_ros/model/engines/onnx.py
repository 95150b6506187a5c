# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Exported graphs run by ONNX Runtime, standing in for the vision encoder and the predictor; all other parts stay on torch.

Tensors never leave their device: inputs and outputs are torch's own memory, bound to the session, on CPU and CUDA alike.
ONNX Runtime has threads of its own, as many as torch has when the session is made, and they do not spin while they wait: between
two clips the cores belong to the robot's other nodes.

Shapes: B clips, N visual tokens, Q queries, L query tokens, D as in the parts.
"""
from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..config import ModelConfig
from ..engine import TorchEngine
from .graphs import PARTS, GraphError, Graphs

ENGINES = {"onnx": "fp32", "onnx-int8": "int8"}
INSTALL = "install it: pip install onnxruntime (extra `cpu`), or onnxruntime-gpu for CUDA (extra `gpu`), never both"
ELEMENTS = {torch.float32: 1, torch.int64: 7, torch.bool: 9}  # onnx.TensorProto's numbers


class OnnxEngine(TorchEngine):
    """The parts that have no graph run in torch, in fp32."""

    def __init__(self, device: torch.device, engine: str) -> None:
        super().__init__(device, bf16=False)
        self._name = engine

    @property
    def name(self) -> str:
        return self._name

    @property
    def rounded(self) -> bool:
        return True  # what a graph holds cannot be saved as a checkpoint

    def load(self, graphs: Graphs, part: str, config: ModelConfig) -> nn.Module:
        """The stand-in for a part. Raises GraphError: no runtime, no provider for the device, a damaged file."""
        session = open_session(graphs.verified(part, ENGINES[self._name]), self.device)
        return OnnxVision(session, config, self.device) if part == PARTS[0] else OnnxPredictor(session, config, self.device)


def open_session(path: Path, device: torch.device) -> Any:
    """An onnxruntime.InferenceSession on the device. Raises GraphError."""
    try:
        import onnxruntime as ort
    except ImportError as error:
        raise GraphError(path, f"needs ONNX Runtime, which is not here ({error})", INSTALL) from error
    providers: list[Any] = ["CPUExecutionProvider"]
    if device.type == "cuda":
        if "CUDAExecutionProvider" not in ort.get_available_providers():
            raise GraphError(path, f"ONNX Runtime here has no CUDA provider (device {device})", INSTALL)
        providers.insert(0, ("CUDAExecutionProvider", {"device_id": device.index or 0}))
    elif device.type != "cpu":
        raise GraphError(path, f"the onnx engines run on cpu and cuda, got device {device}", "choose another engine or device")
    options = ort.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        session = ort.InferenceSession(str(path), options, providers=providers)
    except Exception as error:  # a dozen types of the runtime's own, none of them public
        problem = f"cannot be opened by ONNX Runtime {ort.__version__} ({error})"
        raise GraphError(path, problem, "export the checkpoint again: vljepa export") from error
    if device.type == "cuda" and "CUDAExecutionProvider" not in session.get_providers():
        raise GraphError(path, f"ONNX Runtime's CUDA provider did not start on {device}", "see its CUDA and cuDNN requirements")
    return session


class _Graph(nn.Module):
    """One session and the tensors bound to it."""

    def __init__(self, session: Any, device: torch.device) -> None:
        super().__init__()
        self._session, self._device = session, device

    def _run(self, inputs: dict[str, Tensor], output: str, shape: tuple[int, ...]) -> Tensor:
        """float32 of that shape."""
        binding = self._session.io_binding()
        result = torch.empty(shape, dtype=torch.float32, device=self._device)
        kept = {name: tensor.to(self._device).contiguous() for name, tensor in inputs.items()}  # alive until the run has ended
        where = (self._device.type, self._device.index or 0)
        for name, tensor in kept.items():
            binding.bind_input(name, *where, ELEMENTS[tensor.dtype], tuple(tensor.shape), tensor.data_ptr())
        binding.bind_output(output, *where, ELEMENTS[torch.float32], shape, result.data_ptr())
        if self._device.type == "cuda":
            torch.cuda.current_stream(self._device).synchronize()  # the runtime works on a stream of its own
        self._session.run_with_iobinding(binding)
        return result


class OnnxVision(_Graph):
    """As `VisionEncoder`, for the checkpoint's own number of frames and image size."""

    def __init__(self, session: Any, config: ModelConfig, device: torch.device) -> None:
        super().__init__(session, device)
        self._tokens = (config.vision.tokens, config.vision.hidden_size)
        self._clip = (config.vision.frames, 3, config.vision.image_size, config.vision.image_size)

    def forward(self, frames_BTCHW: Tensor) -> Tensor:
        """Normalised frames -> tokens_BND, float32. ValueError for another clip than the graph was made for."""
        if tuple(frames_BTCHW.shape[1:]) != self._clip:
            raise ValueError(f"this graph reads clips of (T, 3, H, W) = {self._clip}, got {tuple(frames_BTCHW.shape[1:])}")
        return self._run({"frames_BTCHW": frames_BTCHW}, "tokens_BND", (len(frames_BTCHW), *self._tokens))


class OnnxPredictor(_Graph):
    """As `Predictor`."""

    def __init__(self, session: Any, config: ModelConfig, device: torch.device) -> None:
        super().__init__(session, device)
        self._dim = config.dim

    def forward(self, visual_BND: Tensor, query_ids_BL: Tensor, query_mask_BL: Tensor | None = None) -> Tensor:
        """Vectors_BD, float32, not normalised. A batch of 1 on either side serves every row of the other; else ValueError."""
        clips, queries = len(visual_BND), len(query_ids_BL)
        rows = max(clips, queries)
        if clips not in (1, rows) or queries not in (1, rows):
            raise ValueError(f"{clips} clips do not fit {queries} queries; one of them must be 1")
        ids, mask = query_ids_BL, query_mask_BL
        if mask is None:
            mask = torch.ones_like(ids, dtype=torch.bool)
        if not ids.shape[1]:  # the empty query: one token that nobody sees
            ids, mask = ids.new_zeros(queries, 1), mask.new_zeros(queries, 1)
        clip_Q = torch.arange(rows) if clips > 1 else torch.zeros(rows, dtype=torch.int64)
        inputs = {
            "tokens_BND": visual_BND.float(), "clip_Q": clip_Q,
            "ids_QL": ids.expand(rows, -1), "mask_QL": mask.bool().expand(rows, -1),
        }  # fmt: skip
        return self._run(inputs, "vectors_QD", (rows, self._dim))
