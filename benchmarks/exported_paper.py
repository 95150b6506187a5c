# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Exported graphs against torch at the paper's size: full-depth ViT-L and its predictor, random weights, on the CPU.

`python benchmarks/exported_paper.py`: exports one part at a time (the token table cut to `--vocabulary` rows, which changes no
arithmetic), runs it in torch, then in ONNX Runtime, and prints the largest difference of any number, and the memory it took. The
predictor is fed torch's visual tokens by both.
"""
from __future__ import annotations

import argparse
import dataclasses
import resource
import tempfile
from pathlib import Path

import torch

from vljepa_ros.model import paper
from vljepa_ros.model.engines.export import write_graph
from vljepa_ros.model.engines.onnx import OnnxPredictor, OnnxVision, open_session
from vljepa_ros.model.random_parts import random_part


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--vocabulary", type=int, default=1024, help="rows of the predictor's token table (paper: 128256)")
    parser.add_argument("--out", type=Path, help="where the graphs go meanwhile (default: a temporary folder)")
    args = parser.parse_args()
    config = paper()
    config = dataclasses.replace(config, predictor=dataclasses.replace(config.predictor, vocab_size=args.vocabulary))
    torch.manual_seed(0)
    facts, cpu = config.vision, torch.device("cpu")
    frames = torch.randn(1, facts.frames, 3, facts.image_size, facts.image_size)
    ids, mask = torch.randint(args.vocabulary, (2, 12)), torch.arange(12)[None] < torch.tensor([[12], [7]])
    tokens = None
    for part, stand_in in (("vision", OnnxVision), ("predictor", OnnxPredictor)):
        with tempfile.TemporaryDirectory(dir=args.out) as folder:
            module = random_part(config, part)
            count = sum(p.numel() for p in module.parameters())
            inputs = (frames,) if part == "vision" else (tokens, ids, mask)
            wanted = run(module, inputs)
            tokens = wanted if part == "vision" else tokens
            path = Path(folder) / f"{part}.onnx"
            write_graph(config, part, module, path)
            del module
            found = run(stand_in(open_session(path, cpu), config, cpu), inputs)
        difference, scale = (found - wanted).abs().max(), wanted.abs().max()
        print(
            f"{part}: {count / 1e6:.0f} M parameters, largest difference {difference:.1e}, of {scale:.2f}", flush=True
        )
    print(f"memory at most {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.1f} GiB")


@torch.inference_mode()
def run(part: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> torch.Tensor:
    return part(*inputs)


if __name__ == "__main__":
    main()
