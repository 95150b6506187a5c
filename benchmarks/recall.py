# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a question to the memory costs, and opening it: `python benchmarks/recall.py`.

Segments of random vectors without pictures are written to a file of its own, which is removed afterwards. A search costs the same
whatever the vectors are. Rounds of both modes take turns, and the text encoder is not in them. With one thread the CPU time of a
question stands beside the wall time: on a busy machine it is the one that says what the search costs.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from vljepa_ros.memory import Mode, Question, Segment, SegmentReader, SegmentStore, VectorIndex, recall

SPACE = "0" * 16
NS = 10**9
BATCH = 10_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--segments", type=int, default=1_000_000)
    parser.add_argument("--dim", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--threads", type=int, nargs="+", default=[1])
    args = parser.parse_args()
    table = Table(title=f"{args.segments} segments of {args.dim} numbers")
    for column in ("what", "threads", "median", "p95", "least", "CPU, median"):
        table.add_column(column, justify="left" if column == "what" else "right")
    with tempfile.TemporaryDirectory(prefix="recall_bench_") as folder:
        path = Path(folder) / "memory.sqlite"
        rng = np.random.default_rng(0)
        began = time.perf_counter()
        write(path, args.segments, args.dim, rng)
        table.add_row("write, in batches", "", f"{(time.perf_counter() - began) / args.segments * 1e6:.0f} us each")
        table.add_row("the file", "", f"{path.stat().st_size / 2**20:.0f} MiB")
        reader, index = SegmentReader(path), VectorIndex(SPACE, args.dim)
        began, cpu = time.perf_counter(), time.process_time()
        index.load(reader.vectors())
        table.add_row("open", "", f"{time.perf_counter() - began:.1f} s", "", "", f"{time.process_time() - cpu:.1f} s")
        for threads in args.threads:
            torch.set_num_threads(threads)
            taken: dict[Mode, list[float]] = {mode: [] for mode in Mode}
            worked: dict[Mode, list[float]] = {mode: [] for mode in Mode}
            for round_ in range(args.rounds + 1):
                query_D = unit(rng.standard_normal((1, args.dim)).astype(np.float32))[0]
                for mode in Mode:
                    cpu = time.process_time()
                    answer = recall(index, reader, Question(query_D, SPACE, mode, 10))
                    assert len(answer.recalled) == 10 and answer.searched == args.segments
                    if round_:  # the first one allocates
                        taken[mode].append(1e3 * answer.seconds)
                        worked[mode].append(1e3 * (time.process_time() - cpu))
            for mode, times in taken.items():
                cells = (statistics.median(times), float(np.quantile(times, 0.95)), min(times), statistics.median(worked[mode]))
                table.add_row(f"recall 10 of all, {mode.value}", str(threads), *(f"{one:.0f} ms" for one in cells))
        reader.close()
    Console(width=100).print(table)


def write(path: Path, count: int, dim: int, rng: np.random.Generator) -> None:
    store = SegmentStore(path, max_mib=1_000_000)
    for first in range(0, count, BATCH):
        vectors_ND = unit(rng.standard_normal((min(BATCH, count - first), dim), dtype=np.float32))
        store.write([
            (None, Segment(k * NS, (k + 1) * NS, 0, k, SPACE, vector_D, text=f"The state of segment {k}."))
            for k, vector_D in enumerate(vectors_ND, first)
        ])  # fmt: skip
    store.close()


def unit(vectors_ND: np.ndarray) -> np.ndarray:
    return vectors_ND / np.linalg.norm(vectors_ND, axis=1, keepdims=True)


if __name__ == "__main__":
    main()
