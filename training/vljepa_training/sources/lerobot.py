# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""LeRobot data sets of version 3: episodes as spans of shared mp4 files, with the task that each performed.

    meta/info.json                              codebase_version v3.*, video_path, features
    meta/episodes/chunk-000/file-000.parquet    per episode: tasks, and for every camera which file and from when to when
    videos/CAMERA/chunk-000/file-000.mp4        many episodes one after the other

An episode is one sample: the clip spreads over it, the target is its task.
"""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from .media import Shape, clip
from .sample import BrokenSampleError, ListSource, Sample, Share, text_of


def lerobot(root: Path, shape: Shape, query: str, camera: str | None = None, seed: int = 0, share: Share = Share()) -> ListSource:
    """`camera`: a feature of dtype video; None: the first. ValueError: another version, no such camera, bad metadata."""
    try:
        info = json.loads((root / "meta" / "info.json").read_text())
    except (OSError, ValueError) as error:
        raise ValueError(f"{root} is no LeRobot data set: meta/info.json: {error}") from None
    if not str(info.get("codebase_version")).startswith("v3."):
        raise ValueError(f"{root} is of version {info.get('codebase_version')}; v3 is needed, LeRobot converts it")
    cameras = sorted(name for name, one in info["features"].items() if one.get("dtype") == "video")
    if not cameras or (camera and camera not in cameras):
        raise ValueError(f"{root} has no video {camera or 'at all'}; it has {', '.join(cameras) or 'none'}")
    chosen = camera or cameras[0]
    at = {name: f"videos/{chosen}/{name}" for name in ("chunk_index", "file_index", "from_timestamp", "to_timestamp")}
    try:
        files = sorted((root / "meta" / "episodes").glob("chunk-*/file-*.parquet"))
        columns = ["episode_index", "tasks", *at.values()]
        rows = [row for file in files for row in pq.read_table(file, columns=columns).to_pylist()]
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"{root}: meta/episodes cannot be read: {error}") from None

    def load(k: int) -> Sample:
        row = rows[k]
        target = text_of((row["tasks"] or [None])[0], "no task")
        chunk, file, start, end = (row[name] for name in at.values())
        if None in (chunk, file, start, end):
            raise BrokenSampleError("no video named", str(row["episode_index"]))
        path = root / info["video_path"].format(video_key=chosen, chunk_index=chunk, file_index=file)
        return Sample(clip(path, shape, start, end), query, target, root.name, str(row["episode_index"]))

    return ListSource(root.name, [str(row["episode_index"]) for row in rows], load, seed, share)
