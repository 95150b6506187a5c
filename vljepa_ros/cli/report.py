# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What stays of a demo: summary.json, timeline.png and a table for people."""
from __future__ import annotations

import sys
from pathlib import Path

from vljepa_ros.cli import summary as numbers
from vljepa_ros.cli import timeline
from vljepa_ros.cli.recording import NS, Recording
from vljepa_ros.cli.sources import Source


def finish(out: Path, source: Source, recording: Recording) -> dict:
    """Write both files into `out`, print the table, return the summary."""
    pixels = pixel_differences(source, recording.duration_s) if recording.truth_known else None
    summary = numbers.summarise(recording, pixels)
    numbers.write(summary, out / "summary.json")
    timeline.draw(recording, out / "timeline.png", summary)
    _print(summary, out)
    return summary


def pixel_differences(source: Source, seconds: float) -> tuple[list[float], list[float]]:
    """The source once more: seconds since its first frame, and how much each frame differs from the one before."""
    from vljepa_ros.evaluation.pixels import PixelDifference

    difference = PixelDifference()
    stamps_s: list[float] = []
    scores: list[float] = []
    first_ns: int | None = None
    for frame in source.frames():
        first_ns = frame.stamp_ns if first_ns is None else first_ns
        t = (frame.stamp_ns - first_ns) / NS
        if t > seconds:
            break
        if not stamps_s or t > stamps_s[-1]:
            stamps_s.append(t)
            scores.append(difference.update(frame.image_HWC))
    return stamps_s, scores


def _print(summary: dict, out: Path) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for name, keys in (
        ("stream", ("seconds", "frames_in", "embeddings", "embedding_hz")),
        ("latency, ms", ("latency_ms_p50", "latency_ms_p99")),
        ("words", ("transitions", "texts", "decodes_per_s", "familiar_share")),
        ("boundaries", ("boundary_f1", "boundary_precision", "boundary_recall")),
        ("F1 of the best", ("boundary_f1_uniform", "boundary_f1_pixels")),
        ("event to words, s", ("delay_s_median", "delay_s_p95")),
    ):
        known = [f"[dim]{_short(key)}[/] {summary[key]}" for key in keys if summary[key] is not None]
        if known:
            table.add_row(f"[bold]{name}[/]", "  ".join(known))
    lost = "  ".join(f"[dim]{cause}[/] {count}" for cause, count in summary["drops"].items()) or "none"
    table.add_row("[bold]drops[/]", lost)
    console = Console(file=sys.stdout, highlight=False, width=None if sys.stdout.isatty() else 120)
    console.print(table)
    console.print(f"{out / 'summary.json'}\n{out / 'timeline.png'}", soft_wrap=True)


def _short(key: str) -> str:
    for part in ("boundary_f1_", "boundary_", "delay_s_", "latency_ms_"):
        if key.startswith(part) and key != "boundary_f1":
            return key.removeprefix(part)
    return key.removeprefix("boundary_").replace("_", " ")
