# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What one embedding costs, per engine and number of standing queries: `make bench`.

The engines take turns within one run (a busy machine slows all alike). The table shows medians and how many times as fast as
torch in full precision each is. Engines that are not here (no ONNX Runtime, no CUDA provider) are left out by name.
`--paper` takes the paper's sizes with random weights (vision encoder and predictor alone) on a GPU, and nothing elsewhere.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from vljepa_ros.model import VLJEPA, CheckpointError, paper
from vljepa_ros.model.engine import ENGINES as NAMES
from vljepa_ros.model.engines.choose import agreement
from vljepa_ros.model.engines.export import export_graphs
from vljepa_ros.model.engines.graphs import PARTS
from vljepa_ros.model.preprocess import normalise
from vljepa_ros.model.random_parts import random_part

ENGINES = [name for name in NAMES if name != "auto"]
WARM = 2  # rounds: the first allocates, the second takes as long as any


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--checkpoint", default="tabletop")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--paper", action="store_true", help="clip latency at the paper's size, on a GPU")
    args = parser.parse_args()
    if args.paper:
        paper_latency(args.rounds)
        return
    with tempfile.TemporaryDirectory() as graphs:
        source = VLJEPA.from_pretrained(args.checkpoint, device="cpu", engine="torch")
        export(source, Path(graphs))
        for threads in args.threads:
            torch.set_num_threads(threads)  # before the engines are made: ONNX Runtime asks once
            Console(width=120).print(table(load(args.checkpoint, args.device, graphs), threads, args.rounds))


def export(source: VLJEPA, folder: Path) -> None:
    try:
        export_graphs(source.config, *(source.modules[part] for part in PARTS), source.sha256, folder)
    except CheckpointError as error:
        print(f"without the engines onnx, onnx-int8: {error}", file=sys.stderr)


def load(checkpoint: str, device: str, graphs: str) -> dict[str, VLJEPA]:
    models = {}
    for name in ENGINES:
        try:
            models[name] = VLJEPA.from_pretrained(checkpoint, device=device, engine=name, graphs=graphs)
        except CheckpointError as error:
            print(f"without {name}: {error}", file=sys.stderr)
    return models


def table(models: dict[str, VLJEPA], threads: int, rounds: int) -> Table:
    exact = models["torch"]
    config = exact.config
    shape = (config.vision.frames, config.preprocess.image_size, config.preprocess.image_size, 3)
    frames = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    three = (list(config.prompts.values()) * 3)[:3]
    vector = exact.embed(frames, config.prompts["state"])
    work = {
        "embed, 1 query": lambda m: m.embed_queries(frames, [config.prompts["state"]]),
        "embed, 3 queries": lambda m: m.embed_queries(frames, three),
        "decode 1 text": lambda m: m.decode(vector),
    }
    out = Table(title=f"{config.name} on {exact.engine.device}, {threads} threads: median ms (p95) of {rounds} rounds")
    for column in ("work", *models):
        out.add_column(column, justify="left" if column == "work" else "right")
    for name, do in work.items():
        taken = in_turns({engine: lambda m=model, do=do: do(m) for engine, model in models.items()}, rounds)
        medians = {engine: statistics.median(times) for engine, times in taken.items()}
        cells = [
            f"{medians[e]:.1f} ({np.quantile(times, 0.95):.1f})\n{medians['torch'] / medians[e]:.2f}x"
            for e, times in taken.items()
        ]
        out.add_row(name, *cells)
    out.add_row("cosine with torch", *(f"{agreement(exact, model).cosine:.5f}" for model in models.values()))
    return out


def in_turns(work: dict[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Milliseconds of every round but the first ones."""
    taken: dict[str, list[float]] = {name: [] for name in work}
    for round_ in range(rounds + WARM):
        for name, do in work.items():
            began = time.perf_counter()
            do()
            if round_ >= WARM:
                taken[name].append(1e3 * (time.perf_counter() - began))
    return taken


def paper_latency(rounds: int) -> None:
    """One clip of the paper's size, from uint8 frames on the host to a vector on the host, in fp32 and bf16."""
    if not torch.cuda.is_available():
        sys.exit("no CUDA device here: nothing was measured")
    config, device = paper(), torch.device("cuda")
    size = config.preprocess.image_size
    frames = np.random.default_rng(0).integers(0, 256, (config.vision.frames, size, size, 3), dtype=np.uint8)
    vision, predictor = (random_part(config, part).to(device).eval() for part in PARTS)
    ids = torch.arange(12, device=device)[None]

    @torch.inference_mode()
    def see(bf16: bool) -> np.ndarray:
        with torch.autocast("cuda", torch.bfloat16, enabled=bf16):
            return predictor(vision(normalise(frames, config.preprocess, device)), ids).cpu().numpy()

    work = {name: lambda b=b: see(b) for name, b in (("torch", False), ("torch autocast to bf16", True))}
    for name, times in in_turns(work, rounds).items():
        print(f"{torch.cuda.get_device_name()}, {name}: {statistics.median(times):.1f} ms, p95 {np.quantile(times, 0.95):.1f} ms")
    print(f"memory at most {torch.cuda.max_memory_allocated() / 2**30:.1f} GiB")


if __name__ == "__main__":
    main()
