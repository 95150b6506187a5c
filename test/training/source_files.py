# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Files in the exact format of every source, with broken ones among them, for the tests that read them.

Loaded by its name, so that worker processes find it too.
"""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import av
import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
import yaml

from vljepa_training.sources import captions, folders, lerobot, questions, shards
from vljepa_training.sources.media import Shape
from vljepa_training.sources.sample import Source
from vljepa_training.tabletop.bag import BagOptions, write_bag

SHAPE = Shape(frames=4, size=32)
QUERY = "What is seen?"


def jpeg(grey: int) -> bytes:
    return cv2.imencode(".jpg", np.full((40, 48, 3), grey, np.uint8))[1].tobytes()


def mp4(greys: list[int], fps: int = 10) -> bytes:
    """A frame of each grey."""
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=fps)
        stream.width, stream.height, stream.pix_fmt = 48, 40, "yuv420p"
        for grey in greys:
            for packet in stream.encode(av.VideoFrame.from_ndarray(np.full((40, 48, 3), grey, np.uint8), format="rgb24")):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
    return file.getvalue()


def tar(path: Path, members: dict[str, bytes]) -> None:
    with tarfile.open(path, "w") as out:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            out.addfile(info, io.BytesIO(data))


RAMP = list(range(20, 220, 10))  # two seconds of ever brighter frames


def make_shards(root: Path) -> Callable[..., Source]:
    tar(
        root / "s-000.tar", {"a.jpg": jpeg(50), "a.txt": b"a dog", "b.jpg": b"no jpeg", "b.txt": b"a cat", "c.txt": b"no picture"}
    )
    tar(root / "s-001.tar", {"d.mp4": mp4(RAMP), "d.json": b'{"caption": "it grows\\n light"}', "e.jpg": jpeg(9), "e.json": b"{"})
    tar(root / "s-002.tar", {"f.mp4": mp4(RAMP)[:900], "f.txt": b"cut", "g.png": jpeg(70), "g.txt": b"a bird", "h.jpg": jpeg(1)})
    whole = (root / "s-000.tar").read_bytes()
    (root / "s-003.tar").write_bytes(whole[:700])
    return lambda **k: shards.Shards(str(root / "s-{000..003}.tar"), SHAPE, QUERY, **k)


def make_msrvtt(root: Path) -> Callable[..., Source]:
    (root / "TrainValVideo").mkdir()
    (root / "TrainValVideo" / "video0.mp4").write_bytes(mp4(RAMP))
    (root / "TrainValVideo" / "video1.mp4").write_bytes(b"no video")
    row = {"category": 9, "url": "https://www.youtube.com/watch?v=x", "start time": 1.5, "end time": 3.5}
    videos = [{**row, "video_id": f"video{k}", "id": k, "split": "validate" if k == 3 else "train"} for k in range(4)]
    said = [
        ("video0", "light grows"),
        ("video0", "it is brighter"),
        ("video0", " "),
        ("video1", "x"),
        ("video2", "y"),
        ("video3", "z"),
    ]
    sentences = [{"caption": text, "video_id": video, "sen_id": k} for k, (video, text) in enumerate(said)]
    file = root / "train_val_videodatainfo.json"
    file.write_text(json.dumps({"info": {"version": "1.0"}, "videos": videos, "sentences": sentences}))
    return lambda **k: captions.msrvtt(file, root / "TrainValVideo", SHAPE, QUERY, **k)


def make_gqa(root: Path) -> Callable[..., Source]:
    (root / "2370799.jpg").write_bytes(jpeg(90))
    (root / "5.jpg").write_bytes(b"")
    one = {
        "semantic": [],
        "isBalanced": True,
        "question": "Is it dark?",
        "answer": "no",
        "fullAnswer": "No.",
        "imageId": "2370799",
    }
    known = {"02930152": one, "1": one | {"imageId": "4"}, "2": one | {"imageId": "5"}, "3": one | {"answer": ""}}
    known["4"] = {"question": "Where?", "answer": "there"}
    (root / "q.json").write_text(json.dumps(known))
    return lambda **k: questions.gqa(root / "q.json", root, SHAPE, **k)


def make_llava(root: Path) -> Callable[..., Source]:
    (root / "coco").mkdir()
    (root / "coco" / "1.jpg").write_bytes(jpeg(90))

    def said(*texts: str) -> list[dict]:
        return [{"from": ("human", "gpt")[k % 2], "value": text} for k, text in enumerate(texts)]

    known = [
        {"id": "1", "image": "coco/1.jpg", "conversations": said("<image>\nWhat is it?", "A wall.", "Is it grey?", "Yes.")},
        {"id": "2", "image": "coco/2.jpg", "conversations": said("What?\n<image>", "A car.")},
        {"id": "3", "conversations": said("Who are you?", "Nobody.")},
        {"id": "4", "image": "coco/1.jpg", "conversations": said("<image>\nAlone?")},
    ]
    (root / "llava.json").write_text(json.dumps(known))
    return lambda **k: questions.llava(root / "llava.json", root, SHAPE, **k)


def make_folders(root: Path) -> Callable[..., Source]:
    for name, data in {
        "open_drawer/1.mp4": mp4(RAMP),
        "lamp/2.JPG": jpeg(80),
        "lamp/3.png": b"x",
        "lamp/notes.txt": b"-",
    }.items():
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_bytes(data)
    return lambda **k: folders.folders(root, SHAPE, QUERY, "This is {}.", **k)


def make_lerobot(root: Path) -> Callable[..., Source]:
    camera = "observation.images.top"
    (root / "meta/episodes/chunk-000").mkdir(parents=True)
    (root / f"videos/{camera}/chunk-000").mkdir(parents=True)
    info = {"codebase_version": "v3.0", "robot_type": "so100", "fps": 10, "chunks_size": 1000, "total_episodes": 4}
    info["video_path"] = "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4"
    info["features"] = {camera: {"dtype": "video", "shape": [40, 48, 3]}, "action": {"dtype": "float32", "shape": [6]}}
    (root / "meta/info.json").write_text(json.dumps(info))
    (root / f"videos/{camera}/chunk-000/file-000.mp4").write_bytes(mp4([30] * 10 + [200] * 10))
    spans = [(0, 0.0, 1.0, ["Pick."]), (0, 1.0, 2.0, ["Place."]), (1, 0.0, 1.0, ["Push."]), (0, 0.0, 1.0, [])]
    rows = [
        {
            "episode_index": k,
            "tasks": tasks,
            "length": 10,
            f"videos/{camera}/chunk_index": 0,
            f"videos/{camera}/file_index": file,
            f"videos/{camera}/from_timestamp": start,
            f"videos/{camera}/to_timestamp": end,
        }
        for k, (file, start, end, tasks) in enumerate(spans)
    ]
    pq.write_table(pa.Table.from_pylist(rows), root / "meta/episodes/chunk-000/file-000.parquet")
    return lambda **k: lerobot.lerobot(root, SHAPE, QUERY, **k)


# Who makes it, the targets of an epoch, what is skipped.
SOURCES = {
    "shards": (
        make_shards,
        {"a dog", "it grows light", "a bird"},
        {"bad picture": 1, "no picture or video": 1, "bad text": 1, "bad video": 1, "no text": 1, "damaged shard": 1},
    ),
    "msrvtt": (make_msrvtt, {"light grows", "it is brighter"}, {"no text": 1, "bad video": 1, "missing file": 1}),
    "gqa": (make_gqa, {"no"}, {"missing file": 1, "bad picture": 1, "no answer": 1, "no picture named": 1}),
    "llava": (make_llava, {"A wall.", "Yes."}, {"missing file": 1, "no picture named": 1, "bad conversation": 1}),
    "folders": (make_folders, {"This is open drawer.", "This is lamp."}, {"bad picture": 1, "no picture or video": 1}),
    "lerobot": (make_lerobot, {"Pick.", "Place."}, {"missing file": 1, "no task": 1}),
}


@dataclass
class Lamp:
    """A stream that is dark, and after two seconds light."""

    seconds: float = 4.0
    segments: list = field(default_factory=list)

    def frames(self, fps: float, width: int, height: int) -> Iterator[tuple[float, np.ndarray]]:
        for k in range(int(self.seconds * fps)):
            yield k / fps, np.full((height, width, 3), 40 if k / fps < 2.0 else 200, np.uint8)


def make_bag(root: Path, storage: str = "mcap") -> tuple[Path, Path]:
    """A bag and its segments."""
    write_bag(Lamp(), root / "drive", BagOptions(fps=10.0, width=48, height=40, raw=True, storage=storage))
    said = [("start", "", "The lamp is off."), ("switch_on", "Somebody turns the lamp on.", "The lamp is on.")]
    segments = [{"start_s": 2.0 * k, "event": e, "caption": c, "state": s} for k, (e, c, s) in enumerate(said)]
    (root / "drive.yaml").write_text(yaml.safe_dump({"segments": segments}))
    return root / "drive", root / "drive.yaml"


# An entry of every kind, on what the functions above make, each in a folder of its kind's name.
ENTRIES = {
    "shards": {"path": "shards/s-{000..003}.tar", "query": QUERY, "weight": 2},
    "msrvtt": {"path": "msrvtt/train_val_videodatainfo.json", "videos": "msrvtt/TrainValVideo", "query": QUERY},
    "gqa": {"path": "gqa/q.json", "images": "gqa"},
    "llava": {"path": "llava/llava.json", "images": "llava", "weight": 0.5},
    "folders": {"path": "folders", "query": "", "text": "This is {}."},
    "lerobot": {"path": "lerobot", "query": QUERY},
    "annotated": {"path": "annotated/drive", "segments": "annotated/drive.yaml", "state": "Lamp?", "caption": "What happened?"},
}


def make_all(root: Path) -> dict[str, list[dict]]:
    """The groups of a sources file, each kind once."""
    for name in ENTRIES:
        (root / name).mkdir()
        SOURCES[name][0](root / name) if name in SOURCES else make_bag(root / name)
    return {
        "image": [{"kind": name, **ENTRIES[name]} for name in ("shards", "folders")],
        "video": [{"kind": name, **ENTRIES[name]} for name in ("msrvtt", "lerobot", "annotated")],
        "vqa": [{"kind": name, **ENTRIES[name]} for name in ("gqa", "llava")],
        "held": [{"kind": "msrvtt", **ENTRIES["msrvtt"], "split": "validate"}],
    }


def write_listing(root: Path, groups: object) -> Path:
    file = root / "sources.yaml"
    file.write_text(groups if isinstance(groups, str) else yaml.safe_dump(groups, sort_keys=False))
    return file


def make_many(root: Path) -> dict[str, list[dict]]:
    """Groups of sources that several workers can share, every fifth record broken: cut pictures, empty texts, missing files."""
    for k in range(4):
        members = {}
        for i in range(5):
            members[f"{k}-{i}.jpg"] = jpeg(10 * k + i)[: 200 if i == 3 else None]
            members[f"{k}-{i}.txt"] = b"" if i == 4 else f"shard {k} {i}".encode()
        tar(root / f"s-{k}.tar", members)
    (root / "videos").mkdir()
    for k in range(2):
        (root / "videos" / f"video{k}.mp4").write_bytes(mp4(RAMP[k:]))
    videos = [{"video_id": f"video{k}", "split": "train"} for k in range(3)]
    said = [{"caption": f"said {k}", "video_id": f"video{k % 5 // 2}", "sen_id": k} for k in range(20)]
    (root / "msrvtt.json").write_text(json.dumps({"videos": videos, "sentences": said}))
    (root / "seen.jpg").write_bytes(jpeg(120))
    asked = {str(k): {"question": f"What {k}?", "answer": f"this {k}", "imageId": "seen"} for k in range(15)}
    asked |= {str(k): {"question": "?", "answer": "", "imageId": "seen"} for k in range(15, 18)}
    (root / "gqa.json").write_text(json.dumps(asked))
    return {
        "image": [{"kind": "shards", "path": "s-{0..3}.tar", "query": QUERY}],
        "video": [{"kind": "msrvtt", "path": "msrvtt.json", "videos": "videos", "query": QUERY}],
        "vqa": [{"kind": "gqa", "path": "gqa.json", "images": "."}],
    }


def collate(samples: list) -> dict:
    """Tensors of every kind that a batch may hold, an empty one too, and plain values."""
    return {
        "frames": torch.stack([torch.from_numpy(np.resize(one.frames_THWC, (4, 32, 32, 3))) for one in samples]),
        "length": torch.tensor([len(one.target) for one in samples]),
        "none": torch.zeros(0, dtype=torch.long),
        "key": [f"{one.source}/{one.key}" for one in samples],
    }


def refuse(samples: list) -> dict:
    raise KeyError(f"{len(samples)} samples are not to my taste")
