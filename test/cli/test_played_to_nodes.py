# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A bag played to the nodes in its own time gives what `vljepa replay` gives: the same vectors, boundaries and words, to a bit.

In step mode no clip gives way to a newer one, however busy the machine is, so all must be equal. Without it, what was not dropped
must be: the frames all arrive here, so the clips are the same and every embedding that was computed is the one of its clip.
"""
from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from vljepa_ros.cli import interfaces
from vljepa_ros.cli.demo import bundled_bag
from vljepa_ros.cli.main import main

_spec = importlib.util.spec_from_file_location("nodes_bench", Path(__file__).parents[1] / "nodes" / "conftest.py")
_nodes = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_nodes)

pytestmark = pytest.mark.timeout(600)
NS = 1_000_000_000
SHARP = {"transition.threshold": 1e-4, "transition.min_segment_s": 0.5}  # random weights move little, but they move
NOTHING_LOST = {"history": "keep_all", "reliability": "reliable"}
SCRIPTS = Path(__file__).parents[2] / "scripts"


def ns(stamp: Any) -> int:
    return stamp.sec * NS + stamp.nanosec


def facts(embeddings: list, transitions: list, texts: list) -> dict[str, list]:
    """What was heard or recorded, to be compared to a bit; frame ids, thresholds and times of computing left out."""
    return {
        "embeddings": [(ns(m.header.stamp), ns(m.clip_start), m.epoch, m.sequence, m.query, bits(m.vector)) for m in embeddings],
        "transitions": [
            (ns(m.header.stamp), ns(m.boundary), m.epoch, m.segment, ns(m.segment_start), m.distance, bits(m.after))
            for m in transitions
        ],
        "texts": [
            (ns(m.header.stamp), ns(m.segment_start), m.epoch, m.segment, m.trigger, m.text, round(m.confidence, 6))
            for m in texts
        ],
    }


def bits(vector: Any) -> bytes:
    return np.asarray(vector, np.float32).tobytes()


def replayed(bag: Path, out: Path, checkpoint: object, parameters: dict) -> dict[str, list]:
    """What `vljepa replay` records of it."""
    from rosbags.highlevel import AnyReader

    config = out.with_suffix(".yaml")
    config.write_text(yaml.safe_dump({"/**/predictor_node": {"ros__parameters": parameters}}))
    where = ["--checkpoint", str(checkpoint), "--engine", "torch", "--bag", "ours", "--out", str(out), "--config", str(config)]
    assert main(["replay", str(bag), *where]) == 0
    heard: dict[str, list] = {"embedding": [], "transition": [], "text": []}
    with AnyReader([out / "bag"]) as reader:
        for connection, _, data in reader.messages():
            heard.get(connection.topic.split("/")[-1], []).append(reader.deserialize(data, connection.msgtype))
    return facts(*heard.values())


@pytest.fixture(scope="module")
def bag(make_bag, tmp_path_factory) -> Path:
    return make_bag(tmp_path_factory.mktemp("played") / "bag", seconds=6.0, fps=15.0, truth=False, topics=("/image",))


@pytest.fixture(scope="module")
def expected(bag, tiny_checkpoint, tmp_path_factory) -> dict[str, list]:
    found = replayed(bag, tmp_path_factory.mktemp("replayed") / "out", tiny_checkpoint, SHARP)
    assert len(found["embeddings"]) > 40 and len(found["transitions"]) >= 2 and len(found["texts"]) >= 2
    return found


@pytest.fixture
def bench(ros_executor, wait_until, tiny_checkpoint, tmp_path, monkeypatch) -> Any:
    """The nodes' bench, whose topics keep all that was not heard yet: here a busy machine may not cost a message."""
    from vljepa_ros.nodes import qos

    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr("vljepa_ros.nodes.qos.RESULTS", qos.EVERY_IMAGE)
    return _nodes.Bench(ros_executor, wait_until, tiny_checkpoint)


class Stage:
    """Nodes in this process that live in simulated time, and a bag that another process plays to them."""

    def __init__(self, bench: Any, start: Any) -> None:
        self.bench, self._start = bench, start

    def predictor(self, **parameters: Any) -> Any:
        kept = {f"qos_overrides./image/compressed.subscription.{name}": value for name, value in NOTHING_LOST.items()}
        sharp = {name.replace(".", "__"): value for name, value in SHARP.items()}
        common = {"use_sim_time": True, "image_transport": "compressed", "engine": "torch"}
        return self.bench.predictor(**common, **sharp, **kept, **parameters)

    def decoder(self) -> Any:
        return self.bench.decoder(use_sim_time=True, engine="torch")

    def play(self, bag: Path, *options: object) -> Any:
        return self._start("vljepa_ros.cli.main", "play", bag, "--clock", "--reliable", *options)

    def has(self, expected: dict[str, list]) -> bool:
        """As much as is expected; whether it is the same, a comparison tells."""
        heard = self.bench.embeddings, self.bench.texts
        return all(len(one) >= len(expected[name]) for one, name in zip(heard, ("embeddings", "texts")))

    def heard(self) -> dict[str, list]:
        return facts(self.bench.embeddings, self.bench.transitions, self.bench.texts)

    def forget(self) -> None:
        for one in (self.bench.embeddings, self.bench.transitions, self.bench.texts):
            one.clear()


@pytest.fixture
def stage(bench: Any, start: Any) -> Stage:
    return Stage(bench, start)


@pytest.mark.faults
def test_in_step_mode_a_bag_gives_what_its_replay_gives_every_time(stage, bag, expected):
    for rate in (3, 20):  # at the second, frames come faster than any clip is computed
        predictor, decoder = stage.predictor(step=True), stage.decoder()
        player = stage.play(bag, "--rate", rate)
        stage.bench.until(lambda: stage.has(expected), "as many embeddings and texts as in the replay", timeout=200)
        stage.bench.until(lambda: player.poll() is not None, "the player's end")  # noqa: B023
        assert stage.heard() == expected
        assert predictor._of("").figures.drops["newer_clip"] == 0
        assert predictor.get_clock().now().nanoseconds == decoder.get_clock().now().nanoseconds, "both live in the bag's time"
        for node in (predictor, decoder):
            stage.bench.executor.remove_node(node)
            node.destroy_node()
        stage.forget()


def test_without_steps_what_was_not_dropped_is_what_the_replay_gives(stage, bag, expected):
    predictor, bench = stage.predictor(), stage.bench
    look = predictor._model.look

    def look_slowly(*arguments: Any) -> Any:
        time.sleep(0.1)
        return look(*arguments)

    predictor._model.look = look_slowly
    stage.play(bag, "--rate", 3)
    of_replay = {one[0]: one for one in expected["embeddings"]}
    last_ns = max(of_replay)
    bench.until(lambda: bench.embeddings and ns(bench.embeddings[-1].header.stamp) == last_ns, "the last clip", timeout=200)
    heard, dropped = stage.heard()["embeddings"], predictor._of("").figures.drops["newer_clip"]
    assert dropped > 0, "a model that is too slow drops clips, or this shows nothing"
    assert len(heard) + dropped == len(of_replay)
    assert [one for one in heard if one != of_replay.get(one[0])] == []


@pytest.mark.faults
def test_a_bag_that_begins_again_begins_an_epoch(stage, bag, expected):
    predictor = stage.predictor(step=True)
    player = stage.play(bag, "--rate", 8, "--loop")
    count = len(expected["embeddings"])
    stage.bench.until(lambda: len(stage.bench.embeddings) >= 2 * count, "the second pass", timeout=200)
    player.send_signal(signal.SIGINT)
    heard = stage.heard()
    first, second = heard["embeddings"][:count], heard["embeddings"][count : 2 * count]
    assert first == expected["embeddings"]
    assert {one[2] for one in second} == {1} and [one[0] for one in second] == [one[0] for one in first]
    assert [one[5] for one in second] == [one[5] for one in first], "no clip reaches across"
    in_first, in_second = ([one[1] for one in heard["transitions"] if one[2] == epoch] for epoch in (0, 1))
    assert in_first == in_second == [one[1] for one in expected["transitions"]]
    assert predictor._of("").clips.counts["backward_jump"] >= 1
    stage.bench.until(lambda: player.poll() is not None, "the player's end")


@pytest.fixture(scope="module")
def table(tmp_path_factory) -> Path:
    """The first 18.5 s of the bundled bag, camera alone: the lamp, something lifted, something put down."""
    from rosbags.rosbag2 import Reader, StoragePlugin, Writer

    folder = tmp_path_factory.mktemp("table") / "bag"
    store = interfaces.typestore()
    with Reader(bundled_bag()) as reader, Writer(folder, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        (camera,) = [one for one in reader.connections if one.msgtype == "sensor_msgs/msg/CompressedImage"]
        out = writer.add_connection("/image/compressed", camera.msgtype, typestore=store)
        for _, time_ns, data in reader.messages([camera]):
            if time_ns - reader.start_time <= 18.5 * NS:
                writer.write(out, time_ns, data)
    return folder


def test_processes_that_understand_a_table_agree_with_its_replay(table, bench, start, tmp_path):
    """Node processes with the bundled checkpoint, in step mode and simulated time."""
    expected = replayed(table, tmp_path / "replayed", "tabletop", {})
    assert len(expected["transitions"]) >= 2 and len({one[5] for one in expected["texts"]}) >= 3
    common = {"engine": "torch", "threads": 1, "use_sim_time": True}
    own = {
        "predictor_node": {"image_transport": "compressed", "step": True},
        "decoder_node": {"qos_overrides./predictor_node/embedding.subscription.history": "keep_all"},
    }
    nodes = []
    for name, parameters in own.items():
        arguments = [item for key, value in (common | parameters).items() for item in ("-p", f"{key}:={value}")]
        log = (tmp_path / f"{name}.log").open("wb")
        command = [sys.executable, str(SCRIPTS / name), "--ros-args", *arguments]
        nodes.append(subprocess.Popen(command, stdout=log, stderr=log, env=os.environ | {"OMP_NUM_THREADS": "1"}))
    try:
        bench.until(lambda: all(bench.status(f"{name}: node") for name in own), "both nodes", 200)
        bench.until(lambda: all(bench.values(f"{name}: node")["state"] == "active" for name in own), "both nodes active", 200)
        player = start("vljepa_ros.cli.main", "play", table, "--clock", "--reliable", "--rate", 2)
        last = expected["embeddings"][-1][0]
        bench.until(lambda: bench.embeddings and ns(bench.embeddings[-1].header.stamp) >= last, "the last embedding", 300)
        bench.until(lambda: len(bench.texts) >= len(expected["texts"]), "the last text")
        bench.until(lambda: player.poll() is not None, "the player's end")
        heard = facts(bench.embeddings, bench.transitions, bench.texts)
        for what in ("transitions", "texts", "embeddings"):
            assert heard[what] == expected[what], what
        bench.until_said("predictor_node: model", "embeddings/s")
        assert bench.values("predictor_node: model")["drops.newer_clip"] == "0", "or it would show nothing"
    finally:
        for one in nodes:
            one.send_signal(signal.SIGINT)
        ends = [one.wait(60) for one in nodes]
        print(*(path.read_text() for path in tmp_path.glob("*.log")), json.dumps(ends))
    assert ends == [0, 0]
