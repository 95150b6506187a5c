"""What one embedding costs, per engine and number of standing queries: `make bench`.

The engines take turns within one run (a busy machine slows both alike), and the table shows the ratio of each pair's medians.
"""

from __future__ import annotations

import argparse
import statistics
import time

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from vljepa_ros.model import VLJEPA

ENGINES = ("torch", "torch-bf16")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--checkpoint", default="tabletop")
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    args = parser.parse_args()
    models = {engine: VLJEPA.from_pretrained(args.checkpoint, device="cpu", engine=engine) for engine in ENGINES}
    config = models["torch"].config
    shape = (config.vision.frames, config.preprocess.image_size, config.preprocess.image_size, 3)
    frames = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    three = (list(config.prompts.values()) * 3)[:3]
    vector = models["torch"].embed(frames, config.prompts["state"])
    work = {
        "embed, 1 query": lambda m: m.embed_queries(frames, [config.prompts["state"]]),
        "embed, 3 queries": lambda m: m.embed_queries(frames, three),
        "decode 1 text": lambda m: m.decode(vector),
    }
    table = Table(title=f"{config.name}: median ms (p95) of {args.rounds} rounds")
    for column in ("threads", "work", *ENGINES, "ratio"):
        table.add_column(column, justify="left" if column == "work" else "right")
    for threads in args.threads:
        torch.set_num_threads(threads)
        for name, do in work.items():
            taken: dict[str, list[float]] = {engine: [] for engine in ENGINES}
            for round_ in range(args.rounds + 2):
                for engine in ENGINES:
                    began = time.perf_counter()
                    do(models[engine])
                    if round_ >= 2:  # the first two allocate
                        taken[engine].append(1e3 * (time.perf_counter() - began))
            medians = {engine: statistics.median(times) for engine, times in taken.items()}
            cells = [f"{medians[e]:.1f} ({np.quantile(taken[e], 0.95):.1f})" for e in ENGINES]
            table.add_row(str(threads), name, *cells, f"{medians['torch'] / medians['torch-bf16']:.2f}x")
    Console(width=100).print(table)


if __name__ == "__main__":
    main()
