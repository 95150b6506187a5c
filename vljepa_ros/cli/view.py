# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The demo while it runs: a live terminal view, or plain lines where there is no terminal. Both only read the recording."""
from __future__ import annotations

import sys
import time
from typing import Protocol

import numpy as np
from rich.console import Console, Group
from rich.layout import Layout
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from vljepa_ros.cli.halfblocks import half_blocks
from vljepa_ros.cli.recording import Recording
from vljepa_ros.cli.story import Pieces, Row, news, rows, true_pieces
from vljepa_ros.streaming.types import DecodedText, Trigger

NEAR_S = 1.0  # an event this far from a detected boundary is the one it stands for
REFRESH_S = 0.25  # the processors belong to the nodes
INK = {"truth": "#6cc49a", "said": "#f2a65a", "wrong": "#ef6461", "soft": "#9aa5b1", "quiet": "#5c6773", "curve": "#6f9bd1"}
BLOCKS = " ▁▂▃▄▅▆▇█"


class View(Protocol):
    def update(self, note: str = "") -> None:
        """Show the recording as it is now; `note`: what the demo is waiting for."""

    def close(self) -> None: ...


def make_view(recording: Recording, seconds: float | None, headless: bool, heading: str) -> View:
    """Live on a terminal large enough for it, plain lines otherwise."""
    console = Console()
    if headless or not console.is_terminal or console.width < 60 or console.height < 18:
        return PlainView(recording, heading)
    return LiveView(recording, seconds, heading, console)


class PlainView:
    """One line for each thing that happens, and one of figures every five seconds."""

    EVERY_S = 5.0

    def __init__(self, recording: Recording, heading: str, out=None) -> None:
        self._recording, self._out = recording, out or sys.stdout
        self._told, self._texts, self._due, self._note = 0, 0, 0.0, ""
        self._say(heading)

    def update(self, note: str = "") -> None:
        r = self._recording
        if note and note != self._note:
            self._say(note)
        self._note = note
        for heard in r.transitions[self._told:]:
            change = heard.what
            self._say(
                f"{r.seconds(change.boundary_ns):7.1f} s  transition  distance {change.distance:.2f} above {change.threshold:.2f}"
            )
            self._told += 1
        for heard in r.texts[self._texts:]:
            said = heard.what
            unfamiliar = "" if said.familiar else ", unfamiliar"
            when, why = r.seconds(heard.received_ns), said.request.trigger.value.lower()
            self._say(f"{when:7.1f} s  {why:10}  {said.text}  ({said.confidence:.0%}{unfamiliar}){self._true(said)}")
            self._texts += 1
        if r.beats and time.monotonic() >= self._due:
            self._due = time.monotonic() + self.EVERY_S
            rates = figures(r)
            self._say(f"{r.duration_s:7.1f} s  " + "  ".join(f"{name} {value}" for name, value in rates.items()))

    def close(self) -> None:
        pass

    def _true(self, said: DecodedText) -> str:
        """The truth beside it: the state that an epoch opens in, or the event nearest to the beginning of what is spoken of."""
        r = self._recording
        if not r.truth_known:
            return ""
        at_s = r.seconds(said.request.segment_start_ns)
        starts = [(abs(r.seconds(one.start_ns) - at_s), one) for one in r.truth]
        if said.request.trigger is Trigger.START:
            begun = [one for one in r.truth if r.seconds(one.start_ns) <= at_s]
            return f"  | truth: {_plain(true_pieces(begun[-1]))}" if begun else ""
        far_s, nearest = min(starts, key=lambda one: one[0], default=(NEAR_S + 1, None))
        return f"  | truth: {_plain(true_pieces(nearest))}" if far_s <= NEAR_S else "  | truth: no event here"

    def _say(self, line: str) -> None:
        print(line, file=self._out, flush=True)


class LiveView:
    """Camera, figures, distance curve and the segments so far."""

    def __init__(self, recording: Recording, seconds: float | None, heading: str, console: Console) -> None:
        self._recording, self._seconds, self._heading, self._console = recording, seconds, heading, console
        self._due = 0.0
        self._live = Live(console=console, auto_refresh=False, screen=True)
        self._live.start()

    def update(self, note: str = "") -> None:
        if time.monotonic() >= self._due:
            self._due = time.monotonic() + REFRESH_S
            self._live.update(self._draw(note), refresh=True)

    def close(self) -> None:
        """Give the terminal back, with the whole story on it: the live view goes with its screen."""
        self._live.stop()
        story = rows(self._recording, self._recording.duration_s)
        if story:
            self._console.print(self._table([self._cells(row) for row in story]))
            self._console.print()

    def _draw(self, note: str) -> Layout:
        r = self._recording
        width, height = self._console.size
        picture_rows = min(15, max(8, height // 3))
        picture_columns = min(40, picture_rows * 8 // 3)
        layout = Layout()
        layout.split_column(
            Layout(name="head", size=1),
            Layout(name="top", size=picture_rows + 2),
            Layout(name="story"),
            Layout(name="foot", size=1),
        )
        layout["top"].split_row(Layout(name="camera", size=picture_columns + 4), Layout(name="figures"))
        layout["head"].update(Text.assemble((f" {self._heading}", "bold"), ("   " + r.model, INK["soft"])))
        picture = (
            half_blocks(r.thumbnails[-1].image_HWC, picture_columns, picture_rows)
            if r.thumbnails
            else Text(note, style=INK["soft"])
        )
        layout["camera"].update(Panel(picture, title="camera", title_align="left", border_style=INK["quiet"]))
        inner = max(10, width - picture_columns - 8)
        layout["figures"].update(
            Panel(self._figures(inner, picture_rows), title="stream", title_align="left", border_style=INK["quiet"])
        )
        layout["story"].update(self._story(width, height - picture_rows - 4))
        layout["foot"].update(self._progress(width, note))
        return layout

    def _figures(self, width: int, lines: int) -> Group:
        r = self._recording
        table = Table.grid(padding=(0, 2))
        items = list(figures(r).items())
        per_row = max(1, width // 24)
        for start in range(0, len(items), per_row):
            table.add_row(
                *(Text.assemble((f"{name} ", INK["soft"]), (value, "bold")) for name, value in items[start : start + per_row])
            )
        problems = [text for level, text in r.levels.values() if level > 0 and text]
        parts = [table, Text()]
        used = (len(items) + per_row - 1) // per_row + 2 + bool(problems)
        parts += [curve(r, width, max(2, lines - used))]
        parts += [Text(f"! {problems[0]}", style=INK["wrong"], no_wrap=True, overflow="ellipsis")] if problems else []
        return Group(*parts)

    def _story(self, width: int, lines: int) -> Panel:
        """The newest segments that fit, the newest at the bottom."""
        r = self._recording
        room, shown = lines - 3, []
        columns = ((width - 22) * 3 // 5, (width - 22) * 2 // 5) if r.truth_known else (width - 20,)
        for row in reversed(rows(r, r.duration_s)):
            cells = self._cells(row)
            room -= max(len(cell.wrap(self._console, column)) for cell, column in zip((cells[1], *cells[3:]), columns))
            if room < 0 and shown:
                break
            shown.append(cells)
        return Panel(self._table(shown[::-1]), title="segments", title_align="left", border_style=INK["quiet"])

    def _table(self, lines: list[list[Text]]) -> Table:
        table = Table(box=None, expand=True, padding=(0, 1), header_style=INK["soft"])
        table.add_column("", width=6, justify="right")
        table.add_column("said", ratio=3)
        table.add_column("sure", width=4, justify="right")
        if self._recording.truth_known:
            table.add_column("truth", ratio=2)
        for cells in lines:
            table.add_row(*cells)
        return table

    def _cells(self, row: Row) -> list[Text]:
        verdict = row.verdict(self._recording.truth_known)
        ink = INK["wrong"] if verdict in ("missed", "extra") else INK["said"]
        clock = Text(f"{int(row.at_s // 60)}:{row.at_s % 60:04.1f}", style=INK["soft"])
        if row.detected is not None and row.detected.text is not None:
            said = row.detected.text.what
            words = _styled(news(said.text, row.said_before), ink) if said.familiar else Text(said.text, f"italic {INK['soft']}")
            sure = Text(f"{said.confidence:.0%}" if said.familiar else "?", style=INK["soft"])
        else:
            words, sure = Text("missed" if verdict == "missed" else "…", style=ink), Text()
        cells = [clock, words, sure]
        if self._recording.truth_known:
            cells.append(_styled(true_pieces(row.truth), INK["truth"]) if row.truth else Text("no event here", INK["wrong"]))
        return cells

    def _progress(self, width: int, note: str) -> Text:
        r = self._recording
        if self._seconds is None or not r.beats:
            return Text(f" {note or f'{r.duration_s:.0f} s, Ctrl-C ends'}", style=INK["soft"])
        label = f" {r.duration_s:5.1f} of {self._seconds:.0f} s "
        room = max(4, width - len(label) - 2)
        done = min(room, int(room * r.duration_s / max(self._seconds, 1e-3)))
        return Text.assemble((label, INK["soft"]), ("━" * done, INK["said"]), ("━" * (room - done), INK["quiet"]))


def figures(r: Recording) -> dict[str, str]:
    """The numbers a person wants to see moving, of the last five seconds where they are rates."""
    beats = r.beats[-200:]
    recent = [beat for beat in beats if beats[-1].received_ns - beat.received_ns < 5e9]
    span_s = (recent[-1].received_ns - recent[0].received_ns) / 1e9 if len(recent) > 1 else 0.0
    latency = [(beat.received_ns - beat.stamp_ns) / 1e6 for beat in beats]
    drops = sum(
        int(value) for values in list(r.diagnostics.values()) for key, value in values.items() if key.startswith("drops.")
    )
    camera = next((values["frames_per_s"] for values in list(r.diagnostics.values()) if "frames_per_s" in values), None)
    return {
        "camera": f"{float(camera):.1f}/s" if camera else "–",
        "embeddings": f"{(len(recent) - 1) / span_s:.1f}/s" if span_s else "–",
        "latency": f"{np.median(latency):.0f} ms, p99 {np.quantile(latency, 0.99):.0f}" if latency else "–",
        "transitions": str(len(r.transitions)),
        "texts": str(len(r.texts)),
        "drops": str(drops),
    }


def curve(r: Recording, width: int, height: int) -> Group:
    """Distance over the latest embeddings as columns of blocks, of another colour above the threshold (dotted, at a third)."""
    beats = r.beats[-width:]
    lines = []
    for level in reversed(range(height)):
        line = Text(no_wrap=True)
        for beat in beats:
            full = min(1.0, beat.distance / (3 * beat.threshold)) if beat.threshold > 0 else 0.0
            eighths = int(np.clip(full * height * 8 - level * 8, 0, 8))
            if not eighths and level == height // 3:
                line.append("╌", style=INK["quiet"])
            else:
                line.append(BLOCKS[eighths], style=INK["said"] if beat.distance > beat.threshold else INK["curve"])
        lines.append(line)
    return Group(*lines, Text("distance to the segment so far" if beats else "", style=INK["quiet"], no_wrap=True))


def _styled(pieces: Pieces, ink: str) -> Text:
    """News in colour, the rest in grey."""
    return Text(" ").join(Text(words, style=ink if new else INK["soft"]) for words, new in pieces)


def _plain(pieces: Pieces) -> str:
    return " ".join(words for words, _ in pieces)
