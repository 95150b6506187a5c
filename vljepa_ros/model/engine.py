# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Where and in which arithmetic a model runs: device, and torch in fp32 ("torch") or bf16 ("torch-bf16"); graphs are in engines/.

bf16 keeps norms, rotary angles, softmax sums and the residual stream in fp32 (autocast); only the matrices are rounded, once,
when the model is prepared. Sets no thread counts: those belong to the process.
"""
from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

ENGINES = ("auto", "torch", "torch-bf16", "onnx", "onnx-int8")


class TorchEngine:
    """Prepares modules and opens the context in which they run."""

    def __init__(self, device: torch.device, bf16: bool) -> None:
        self.device, self.bf16 = device, bf16

    @property
    def name(self) -> str:
        return "torch-bf16" if self.bf16 else "torch"

    @property
    def rounded(self) -> bool:
        """Whether the weights in memory are no longer the checkpoint's, so that nothing may be saved from them."""
        return self.bf16

    def prepare(self, module: nn.Module) -> nn.Module:
        """Onto the device, into evaluation mode; with bf16 the Linear weights are cast for good, not again in every call."""
        module.to(self.device).eval()
        if self.bf16:
            for child in module.modules():
                if isinstance(child, nn.Linear):
                    child.to(torch.bfloat16)
        return module

    @contextmanager
    def run(self) -> Iterator[None]:
        """Inference mode, with autocast where the matrices are bf16."""
        with torch.inference_mode(), torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16):
            yield


def make_engine(device: str = "auto", engine: str = "auto") -> TorchEngine:
    """device: "auto" (CUDA if present), or what torch.device takes; engine: one of ENGINES, "auto": bf16 if the hardware has it.

    Raises ValueError for an unknown engine. What "auto" means where speed can be measured is `engines/choose.py`'s.
    """
    if engine not in ENGINES:
        raise ValueError(f"engine must be one of {', '.join(ENGINES)}, got {engine!r}")
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    chosen = torch.device(device)
    if engine.startswith("onnx"):
        from .engines.onnx import OnnxEngine

        return OnnxEngine(chosen, engine)
    return TorchEngine(chosen, engine == "torch-bf16" or (engine == "auto" and _has_bf16(chosen)))


def _has_bf16(device: torch.device) -> bool:
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    # Private names, and not in every torch: without them the answer is the slower, exact engine.
    probes = (getattr(torch.cpu, name, None) for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"))
    return device.type == "cpu" and any(probe() for probe in probes if probe is not None)
