# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A folder of exported graphs: graphs.json names every file with its size and sha256, and the checkpoint that they belong to.

Nothing is handed to a runtime before its hash is checked: a graph refers to files by name, and none outside the list is read.
Needs no runtime.
"""
from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..checkpoint import CheckpointError, seal_of, sha256_of

FORMAT = 1
PARTS = ("vision", "predictor")
STEMS = {"vision": "vision_encoder", "predictor": "predictor"}
ENV = "VLJEPA_ROS_GRAPHS"  # where `vljepa export` writes and every engine looks, for machines whose home is not writable


class GraphError(CheckpointError):
    """Exported graphs cannot be used; the message is one line that names the file and what to do."""


@dataclass(frozen=True)
class Graphs:
    """What graphs.json says."""

    folder: Path
    sha256: str  # of the checkpoint
    files: dict[str, dict[str, Any]]  # name -> {"size": bytes, "sha256": hex}

    def has(self, precision: str) -> bool:
        """Whether both parts are there in `precision`, fp32 or int8."""
        return all(graph_name(part, precision) in self.files for part in PARTS)

    def verified(self, part: str, precision: str) -> Path:
        """The path of one graph after the graph and its weights have been checked. Raises GraphError."""
        name = graph_name(part, precision)
        if name not in self.files:
            raise GraphError(self.folder, f"holds no {name}", _again(self.folder))
        for one in (file for file in self.files if file == name or file == f"{name}.data"):
            path, expected = self.folder / one, self.files[one]
            try:
                fits = path.stat().st_size == expected["size"] and sha256_of(path) == expected["sha256"]
            except OSError as error:
                raise GraphError(path, f"cannot be read ({error.strerror})", _again(self.folder)) from error
            if not fits:
                raise GraphError(path, "was altered (its sha256 does not fit graphs.json)", _again(self.folder))
        return self.folder / name


def graph_name(part: str, precision: str) -> str:
    return f"{STEMS[part]}.{precision}.onnx"


def default_folder(sha256: str) -> Path:
    """Where the graphs of a checkpoint lie unless somebody says otherwise: a folder of its own in the user's cache."""
    cache = os.environ.get(ENV) or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "vljepa_ros" / "graphs"
    return Path(cache).expanduser() / sha256[:16]


def find(sha256: str, folder: Path | str | None = None) -> Graphs:
    """The graphs of the checkpoint of that hash, in `folder` or where `vljepa export` puts them. Raises GraphError."""
    place = Path(folder).expanduser() if folder else default_folder(sha256)
    path = place / "graphs.json"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        seal = content.pop("sha256")
        graphs = Graphs(place, content["checkpoint"], content["files"])
    except FileNotFoundError:
        raise GraphError(path, "missing", "export the checkpoint first: vljepa export CHECKPOINT") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise GraphError(path, f"cannot be read ({type(error).__name__}: {error})", _again(place)) from error
    if seal != seal_of(content) or content.get("format") != FORMAT:
        raise GraphError(path, f"was altered or is of another format than {FORMAT}", _again(place))
    if unsafe := [name for name in graphs.files if Path(name).name != name]:
        raise GraphError(path, f"names {unsafe[0]!r}, which lies outside the folder", "do not use these graphs")
    if graphs.sha256 != sha256:
        raise GraphError(
            path, f"belongs to the checkpoint {graphs.sha256[:16]}, not to {sha256[:16]}", "export this checkpoint: vljepa export"
        )
    return graphs


def write_manifest(folder: Path, sha256: str, model: str) -> Graphs:
    """graphs.json over all files of a folder just written."""
    files = {p.name: {"size": p.stat().st_size, "sha256": sha256_of(p)} for p in sorted(folder.iterdir())}
    content = {"format": FORMAT, "model": model, "checkpoint": sha256, "files": files}
    (folder / "graphs.json").write_text(json.dumps(content | {"sha256": seal_of(content)}, indent=1) + "\n", encoding="utf-8")
    return Graphs(folder, sha256, files)


def _again(folder: Path) -> str:
    return f"export again: vljepa export CHECKPOINT --out {folder}"
