# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Every source on files in its exact format, with broken ones among them: samples, causes, order, shares."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path

import av
import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from vljepa_training.sources import captions, folders, lerobot, questions, shards
from vljepa_training.sources.media import Shape, clip
from vljepa_training.sources.mixture import Mixture
from vljepa_training.sources.sample import BrokenSampleError, Share, Source

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


@pytest.fixture(params=SOURCES)
def case(request, tmp_path):
    make, targets, broken = SOURCES[request.param]
    return make(tmp_path), targets, broken


def epoch_of(source: Source) -> list:
    """The samples of the first epoch; the next one has begun."""
    out = []
    while (sample := source.next()) and source.epoch == 0:
        out.append(sample)
    return out


def test_samples_and_causes(case):
    make, targets, broken = case
    source = make()
    samples = epoch_of(source)
    assert {one.target for one in samples} == targets and len(samples) == len(targets)
    for one in samples:
        assert one.frames_THWC.dtype == np.uint8 and one.frames_THWC.shape in ((1, 32, 32, 3), (4, 32, 32, 3))
        assert one.query
    total = {}
    for _, load in make().records(0):
        try:
            load()
        except BrokenSampleError as error:
            total[error.cause] = total.get(error.cause, 0) + 1
    assert total == broken
    assert all(n <= source.broken[cause] <= 2 * n for cause, n in broken.items()) and set(source.broken) == set(broken)
    assert all(cause in source.report() for cause in broken)


def test_resumed_in_the_same_order(case):
    make, _, _ = case
    whole = make(seed=3)
    order = [(one.key, one.target) for _, one in zip(range(9), whole)]
    for stop in (0, 1, 4):
        first = make(seed=3)
        for _ in range(stop):
            first.next()
        second = make(seed=3)
        second.load_state_dict(json.loads(json.dumps(first.state_dict())))
        assert [(one.key, one.target) for _, one in zip(range(9 - stop), second)] == order[stop:]
        assert second.broken == whole.broken
    with pytest.raises(ValueError, match="saved order is of seed"):
        make(seed=4).load_state_dict(whole.state_dict())


def test_shares_are_parts_of_the_whole(case):
    make, _, _ = case
    keys = [[key for key, _ in make(share=Share(rank, 2)).records(0)] for rank in range(2)]
    assert all(keys) and sorted(keys[0] + keys[1]) == sorted(key for key, _ in make().records(0))
    with pytest.raises(ValueError, match="workers"):
        make(share=Share(0, 100))


def test_a_clip_spreads_over_its_span(tmp_path):
    (tmp_path / "v.mp4").write_bytes(mp4(RAMP))
    greys = clip(tmp_path / "v.mp4", SHAPE).mean((1, 2, 3))
    assert np.abs(greys - [20, 80, 140, 210]).max() < 12 and np.all(np.diff(greys) > 40)
    greys = clip(tmp_path / "v.mp4", SHAPE, 1.0, 2.0).mean((1, 2, 3))
    assert np.abs(greys - [120, 150, 180, 210]).max() < 12


def test_episodes_of_one_file_are_told_apart(tmp_path):
    greys = {one.target: one.frames_THWC.mean() for one in epoch_of(make_lerobot(tmp_path)())}
    assert greys["Pick."] < 50 and greys["Place."] > 180


def test_a_source_without_a_good_sample_says_so(tmp_path):
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "1.jpg").write_bytes(b"x")
    with pytest.raises(ValueError, match="none of 1 records can be used: 1 skipped .1 bad picture"):
        folders.folders(tmp_path, SHAPE, QUERY).next()


def test_a_mixture_keeps_weights_and_resumes(tmp_path):
    def make() -> Mixture:
        return Mixture([folder_source(), gqa_source()], [3, 1], seed=1)

    for name in ("f", "g"):
        (tmp_path / name).mkdir()
    folder_source, gqa_source = make_folders(tmp_path / "f"), make_gqa(tmp_path / "g")
    whole = make()
    order = [one.key for one in whole.batch(60)]
    assert 8 <= order.count("02930152") <= 22  # a quarter
    first, second = make(), make()
    first.batch(25)
    second.load_state_dict(json.loads(json.dumps(first.state_dict())))
    assert [one.key for one in second.batch(35)] == order[25:] and second.report() == whole.report()
    with pytest.raises(ValueError, match="weight"):
        Mixture([folder_source()], [0.0])
