# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a training writes down: a line of JSON for programs, TensorBoard for eyes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from torch.utils.tensorboard import SummaryWriter


class Log:
    """`folder`/log.jsonl, appended to, and `folder`/tensorboard. A resumed run's curve goes on where its last checkpoint was."""

    def __init__(self, folder: Path, step: int) -> None:
        self._lines = (folder / "log.jsonl").open("a")
        self._board = SummaryWriter(str(folder / "tensorboard"), purge_step=step or None)

    def row(self, row: dict[str, Any], part: str) -> None:
        """`row`: "step", and numbers by name, or a dictionary of them under `part`."""
        self._lines.write(json.dumps(row) + "\n")
        self._lines.flush()
        for name, value in row.get(part, row).items():
            if name != "step":
                self._board.add_scalar(f"{part}/{name}", value, row["step"])
        self._board.flush()

    def __enter__(self) -> Log:
        return self

    def __exit__(self, *_: object) -> None:
        self._lines.close()
        self._board.close()


class NoLog:
    """Of the ranks that do not write."""

    def row(self, row: dict[str, Any], part: str) -> None: ...

    def __enter__(self) -> NoLog:
        return self

    def __exit__(self, *_: object) -> None: ...


def progress(folder: Path) -> tuple[int, float]:
    """(steps done, seconds that they took, evaluations and earlier starts included) as of the last row in `folder`/log.jsonl.

    (0, 0.0) where nothing is written.
    """
    file = folder / "log.jsonl"
    rows = map(json.loads, file.read_text().splitlines() if file.exists() else ())
    last = [(row["step"], row["seconds"]) for row in rows if "seconds" in row][-1:]
    return last[0] if last else (0, 0.0)
