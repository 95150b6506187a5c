# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""report.html: one page that needs nothing but itself, from a template and what the replay found. Pure presentation.

The template and its style lie in assets/report/. No script, no font, no request: it opens from a mail as it does from a server.
"""
from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

import vljepa_ros
from vljepa_ros.cli.replay import charts
from vljepa_ros.cli.replay.session import Session
from vljepa_ros.cli.replay.timeline import Timeline
from vljepa_ros.cli.story import Row, news, rows, true_pieces

TEMPLATES = Path(vljepa_ros.__file__).parent / "assets" / "report"
BINS = 40


def write(report: dict, sessions: Sequence[Session], path: Path) -> None:
    """Draw the page, whole or not at all."""
    beside = path.with_name(path.name + ".part")
    beside.write_text(render(report, sessions), encoding="utf-8")
    os.replace(beside, path)


def render(report: dict, sessions: Sequence[Session]) -> str:
    """The page as HTML."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"clock": charts.clock, "number": _number, "share": lambda x: f"{100 * x:.4g}%"}
    streams = [
        _stream(k, session, facts, timing)
        for k, (session, facts, timing) in enumerate(zip(sessions, report["streams"], report["timing"]["streams"]))
    ]
    return environment.get_template("report.html.j2").render(
        report=report, streams=streams, bag=Path(report["bag"]["path"]).name, version=vljepa_ros.__version__
    )


def _stream(number: int, session: Session, facts: dict, timing: dict) -> SimpleNamespace:
    story = rows(session.recording, session.seconds + 60.0)
    key = f"c{number}-"
    timeline = Timeline(session, story, key)
    return SimpleNamespace(
        id=f"stream{number}", facts=facts, numbers=facts["summary"], timing=timing, timeline=timeline, key=key,
        truth_known=session.recording.truth_known,
        cards=(cards := [_card(k, row, session, timeline, key) for k, row in enumerate(story)]),
        verdicts=Counter(card.verdict for card in cards),
        unfamiliar=any(card.text is not None and not card.text.familiar for card in cards),
        similarity=_similarity(session), selective=_selective(facts), tiles=_tiles(facts, timing),
        latency=[chart for chart in (
            _histogram("Embedding a clip", session.result.embed_s),
            _histogram("Decoding a text", [one.seconds for one in session.result.texts]),
        ) if chart],
    )  # fmt: skip


def _tiles(facts: dict, timing: dict) -> list[tuple[str, str, str]]:
    """(value, name, what it means), the most telling first."""
    numbers, frames = facts["summary"], facts["frames"]
    lost = sum(frames["lost"].values())
    fps = frames["recorded"] / facts["seconds"] if facts["seconds"] else 0.0
    seen = f"{frames['recorded']} frames, {fps:.1f}\N{NO-BREAK SPACE}per\N{NO-BREAK SPACE}s" + (f", {lost} lost" if lost else "")
    tiles = [
        (charts.clock(facts["seconds"]), "of stream", seen),
        (_number(numbers["embedding_hz"], 1), "embeddings per s", f"{numbers['embeddings']} in all"),
        (str(numbers["transitions"]), "transitions", f"{_number(numbers['transitions_per_minute'], 1)} per minute"),
        (str(numbers["texts"]), "texts", f"{_number(60 * (numbers['decodes_per_s'] or 0), 1)} per minute"),
    ]
    if numbers["boundary_f1"] is not None:
        best = _number(numbers["boundary_f1_uniform"], 2)
        tiles += [
            (_number(numbers["boundary_f1"], 2), "boundary F1", f"best clock, told the truth: {best}"),
            (_number(numbers["delay_s_median"], 2) + " s", "event to words", "stream time, median; computing comes on top"),
        ]
    if numbers["familiar_share"] is not None:
        share = f"{100 * numbers['familiar_share']:.0f}%"
        tiles.append((share, "familiar", "of texts; the others lie outside what the model knows"))
    if timing["embed_ms"]["p50"] is not None:
        tiles.append((f"{timing['embed_ms']['p50']:.0f} ms", "per clip", f"99 %: {timing['embed_ms']['p99']:.0f} ms"))
    return tiles


def _card(number: int, row: Row, session: Session, timeline: Timeline, key: str) -> SimpleNamespace:
    """One segment, true or detected or both."""
    said = row.detected.text if row.detected is not None else None
    text = None if said is None else said.what
    return SimpleNamespace(
        id=f"{key}{number}", at_s=row.at_s, verdict=row.verdict(session.recording.truth_known),
        shot=timeline.shot(row.at_s + 0.6 if said is None else session.recording.seconds(said.received_ns), "The scene"),
        detected=row.detected, text=text, pieces=[] if text is None else news(text.text, row.said_before),
        truth=[] if row.truth is None else true_pieces(row.truth), event="" if row.truth is None else row.truth.event,
    )  # fmt: skip


def _similarity(session: Session) -> charts.Chart | None:
    if not session.texts or not len(session.t_s):
        return None
    values = session.similarities_EK
    low, high = float(values.min()), float(values.max())
    pad = max(0.02, 0.06 * (high - low))
    low, high = low - pad, high + pad
    breaks = np.flatnonzero(np.diff(session.epochs)) + 1
    span = (0.0, max(session.seconds, 1.0))
    columns = dict(zip(session.texts, values.T))
    told = [
        f"{text}, mean {np.mean(one):.2f}, highest {np.max(one):.2f} at {charts.clock(session.t_s[int(np.argmax(one))])}"
        for text, one in columns.items()
    ]
    chart = charts.Chart("Cosine similarity over time to: " + "; ".join(told))
    chart.paths = {text: charts.line(session.t_s, one, span, (low, high), breaks) for text, one in columns.items()}
    chart.x_ticks, chart.y_ticks = charts.time_ticks(*span, 8), charts.value_ticks(low, high)
    return chart


def _selective(facts: dict) -> charts.Chart | None:
    ways = facts["selective"]["ways"]
    if not ways:
        return None
    x = np.log10([one["per_minute"] for one in ways])
    y = np.array([one["currency"] for one in ways])
    x_range = (float(x.min()) - 0.12, float(x.max()) + 0.12)
    pad = max(0.02, 0.12 * float(y.max() - y.min()))
    y_range = (float(y.min()) - pad, min(1.0, float(y.max()) + pad))
    chart = charts.Chart(
        f"How current words are against how often they are made. Selective: {ways[0]['currency']:.3f} at "
        f"{ways[0]['per_minute']:.1f} per minute. Clocks: "
        + ", ".join(f"{one['currency']:.3f} at {one['per_minute']:.1f}" for one in ways[1:])
    )
    chart.paths = {"uniform": charts.line(x[1:], y[1:], x_range, y_range)}
    chart.told = {"selective": "selective"}
    chart.marks = [
        (float((a - x_range[0]) / (x_range[1] - x_range[0])), float((b - y_range[0]) / (y_range[1] - y_range[0])), one["name"])
        for a, b, one in zip(x, y, ways)
    ]
    steps = [s for s in (0.5, 1, 2, 5, 10, 20, 60, 120, 300) if x_range[0] <= np.log10(s) <= x_range[1]]
    chart.x_ticks = [charts.Tick(float((np.log10(s) - x_range[0]) / (x_range[1] - x_range[0])), f"{s:g}") for s in steps]
    chart.y_ticks = charts.value_ticks(*y_range)
    return chart


def _histogram(name: str, seconds: Sequence[float]) -> SimpleNamespace | None:
    if not len(seconds):
        return None
    ms = 1e3 * np.asarray(seconds, float)
    p50, p99 = float(np.quantile(ms, 0.5)), float(np.quantile(ms, 0.99))
    top = max(1.15 * p99, 1.5 * p50, 1e-3)
    counts, _ = np.histogram(np.minimum(ms, top * 0.999), bins=BINS, range=(0.0, top))
    chart = charts.Chart(f"{name}: median {p50:.1f} ms, 99 % within {p99:.1f} ms, {len(ms)} measured")
    chart.paths = {"bars": charts.bars(counts)}
    chart.x_ticks = charts.value_ticks(0.0, top, 5)
    chart.marks = [(p50 / top, 0.0, "p50"), (p99 / top, 0.0, "p99")]
    return SimpleNamespace(name=name, chart=chart, p50=p50, p99=p99, count=len(ms))


def _number(value: Any, digits: int = 2) -> str:
    return "–" if value is None else f"{value:.{digits}f}"
