# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`vljepa replay` end to end on real bags: what comes out, twice the same; truth, several cameras, without ROS."""
from __future__ import annotations

import json
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import yaml

from vljepa_ros.cli import interfaces
from vljepa_ros.cli.main import main
from vljepa_ros.cli.sources import open_source
from vljepa_ros.evaluation.stream import run
from vljepa_ros.model import VLJEPA

NS = 1_000_000_000
TEXTS = ("The lamp is on.", "The <b>drawer</b> & co are open.")
VOID = {"meta", "link", "img", "br", "path", "line"}


@pytest.fixture(scope="module")
def bag(make_bag, tmp_path_factory):
    return make_bag(tmp_path_factory.mktemp("recorded") / "drive", seconds=7.0, fps=15.0)


def replay(bag: Path, out: Path, checkpoint: Path, *more: object) -> dict:
    """The report of a replay that goes well."""
    assert main(["replay", str(bag), "--checkpoint", str(checkpoint), "--out", str(out), *map(str, more)]) == 0
    return json.loads((out / "report.json").read_text())


@pytest.fixture(scope="module")
def replayed(bag, tiny_checkpoint, tmp_path_factory):
    """(report, folder) of one replay."""
    out = tmp_path_factory.mktemp("replayed")
    return replay(bag, out, tiny_checkpoint, "--texts", *TEXTS), out


def test_it_is_what_evaluation_makes_of_the_same_frames(bag, tiny_checkpoint, replayed):
    stream = replayed[0]["streams"][0]
    expected = run(open_source(str(bag)).frames(), VLJEPA.from_pretrained(tiny_checkpoint))
    assert stream["curve"]["distance"] == [round(one, 5) for one in expected.distances]
    assert stream["curve"]["t_s"] == [round((one.stamp_ns - expected.first_ns) / NS, 3) for one in expected.embeddings]
    assert stream["summary"]["transitions"] == len(expected.transitions)
    said = [one["text"] for one in stream["segments"] if "text" in one]
    assert [one["due_s"] for one in said] == [round((x.request.stamp_ns - expected.first_ns) / NS, 3) for x in expected.texts]
    assert said and len(expected.embeddings) > 40


def test_two_runs_differ_in_timing_alone(bag, tiny_checkpoint, tmp_path, replayed):
    again = replay(bag, tmp_path, tiny_checkpoint, "--texts", *TEXTS)
    first = dict(replayed[0])
    assert set(first) - {"timing"} == set(again) - {"timing"}
    assert {k: v for k, v in first.items() if k != "timing"} == {k: v for k, v in again.items() if k != "timing"}
    assert (tmp_path / "bag/bag.mcap").read_bytes() == (replayed[1] / "bag/bag.mcap").read_bytes()
    assert again["timing"]["wall_s"] > 0 and again["timing"]["streams"][0]["embed_ms"]["p50"] > 0


def test_a_second_replay_into_the_same_folder_takes_the_place_of_the_first(bag, tiny_checkpoint, tmp_path):
    for _ in range(2):
        replay(bag, tmp_path, tiny_checkpoint)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["bag", "report.html", "report.json"]


def test_only_frames_that_clips_show_are_decoded(make_bag, tiny_checkpoint, tmp_path):
    report = replay(make_bag(tmp_path / "fast", seconds=6.0, fps=30.0), tmp_path / "out", tiny_checkpoint, "--bag", "none")
    frames = report["streams"][0]["frames"]
    assert frames["recorded"] == 180 and 60 <= frames["decoded"] <= 100
    assert not (tmp_path / "out/bag").exists()


def test_the_new_bag_holds_the_old_one_and_what_the_nodes_would_have_published(bag, replayed):
    from rosbags.highlevel import AnyReader

    report, out = replayed
    with AnyReader([bag]) as old:
        recorded = [(c.topic, at, bytes(data)) for c, at, data in old.messages()]
    with AnyReader([out / "bag"]) as new:
        everything = [(c, at, bytes(data)) for c, at, data in new.messages()]
        assert [(c.topic, at, data) for c, at, data in everything if not c.topic.startswith("/vljepa/")] == recorded
        assert [at for _, at, _ in everything] == sorted(at for _, at, _ in everything)
        ours = {}
        for c, at, data in everything:
            if c.topic.startswith("/vljepa/"):
                ours.setdefault(c.topic.removeprefix("/vljepa/"), []).append((at, new.deserialize(data, c.msgtype)))
    numbers = report["streams"][0]["summary"]
    assert {name: len(heard) for name, heard in ours.items()} == {
        name: count for name, count in {
            "predictor_node/space": 1, "predictor_node/embedding": numbers["embeddings"],
            "predictor_node/distance": numbers["embeddings"],
            "predictor_node/transition": numbers["transitions"], "decoder_node/text": numbers["texts"],
        }.items() if count
    }  # fmt: skip
    at, embedding = ours["predictor_node/embedding"][0]
    assert at == embedding.header.stamp.sec * NS + embedding.header.stamp.nanosec, "this camera's stamps are its recording times"
    assert abs(np.linalg.norm(embedding.vector) - 1) < 1e-5 and embedding.header.frame_id == "camera"
    assert ours["decoder_node/text"][0][1].trigger == "START"


def test_the_replay_of_a_replay_goes_beside_the_first(replayed, tiny_checkpoint, tmp_path):
    replay(replayed[1] / "bag", tmp_path, tiny_checkpoint, "--bag", "ours")
    source = yaml.safe_load((tmp_path / "bag/metadata.yaml").read_text())["rosbag2_bagfile_information"]
    names = {one["topic_metadata"]["name"] for one in source["topics_with_message_count"]}
    assert all(name.startswith("/replay/") for name in names) and len(names) == 5


def test_our_messages_are_those_that_are_built():
    """The definitions that a bag carries are those that colcon compiles: as many fields, of the same names, in the same order."""
    from vljepa_ros import msg

    for path in interfaces.folder().glob("*.msg"):
        fields = [name for name, _ in interfaces.typestore().fielddefs[f"vljepa_ros/msg/{path.stem}"][1]]
        assert fields == list(getattr(msg, path.stem).get_fields_and_field_types())


def test_several_cameras_of_one_bag(make_bag, tiny_checkpoint, tmp_path):
    folder = make_bag(tmp_path / "two", seconds=4.0, fps=15.0, topics=("/left", "/right"))
    report = replay(folder, tmp_path / "out", tiny_checkpoint, "--topic", "/left", "--topic", "/right/compressed")
    assert [one["topic"] for one in report["streams"]] == ["/left/compressed", "/right/compressed"]
    left, right = ({k: v for k, v in one.items() if k != "topic"} for one in report["streams"])
    assert left == right, "the same pictures"
    source = yaml.safe_load((tmp_path / "out/bag/metadata.yaml").read_text())["rosbag2_bagfile_information"]
    names = {one["topic_metadata"]["name"] for one in source["topics_with_message_count"]}
    assert {"/vljepa/left/predictor_node/embedding", "/vljepa/right/decoder_node/text"} <= names
    html = (tmp_path / "out/report.html").read_text()
    assert 'href="#stream0"' in html and 'href="#stream1"' in html


@pytest.mark.parametrize(("raw", "storage"), [(True, "mcap"), (False, "sqlite3")])
def test_raw_images_and_sqlite3(make_bag, tiny_checkpoint, tmp_path, raw, storage):
    bag = make_bag(tmp_path / "bag", seconds=4.0, raw=raw, storage=storage, truth=False)
    report = replay(bag, tmp_path / "out", tiny_checkpoint)
    stream = report["streams"][0]
    assert report["bag"]["storage"] == storage and report["notes"] == []
    assert stream["summary"]["embeddings"] > 10 and stream["summary"]["boundary_f1"] is None
    assert all(one["verdict"] is None for one in stream["segments"])


def test_truth_from_the_bag_from_a_file_and_from_plain_words(make_bag, bag, tiny_checkpoint, tmp_path, replayed):
    assert replayed[0]["streams"][0]["summary"]["true_segments"] == 7, "the bag's own topic is found by itself"
    file = tmp_path / "segments.yaml"
    file.write_text(yaml.safe_dump({"segments": [{"start_s": 0}, {"start_s": 2.5, "event": "push", "caption": "It moves."}]}))
    stream = replay(bag, tmp_path / "a", tiny_checkpoint, "--truth", file, "--bag", "none")["streams"][0]
    assert stream["summary"]["true_segments"] == 2 and stream["summary"]["boundary_f1"] is not None
    true = [one["truth"] for one in stream["segments"] if "truth" in one]
    assert true[1] == {"start_s": 2.5, "event": "push", "caption": "It moves.", "state": ""}
    named = replay(bag, tmp_path / "b", tiny_checkpoint, "--truth-topic", "/truth/segment", "--bag", "none")
    assert named["streams"][0]["segments"] == replayed[0]["streams"][0]["segments"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("segments: 3", "a list named `segments`"), ("a: [", "no YAML"), ("segments: [7]", "segment 0 must have"),
        ("segments: [{caption: x}]", "segment 0 needs a number start_s"),
        ("segments: [{start_s: 1}, {start_s: .nan}]", "segment 1 needs a number start_s"),
        ("segments: [{start_s: 1, titel: x}]", "unknown key 'titel'"), (None, "cannot be read"),
    ],
)  # fmt: skip
def test_a_bad_truth_file_says_where(bag, tiny_checkpoint, tmp_path, capsys, text, says):
    file = tmp_path / "truth.yaml"
    if text is not None:
        file.write_text(text)
    where = ["--checkpoint", str(tiny_checkpoint), "--out", str(tmp_path / "out")]
    assert main(["replay", str(bag), "--truth", str(file), *where]) == 2
    said = capsys.readouterr().err
    assert says in said and "truth.yaml" in said and said.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--topic", "/nowhere"], "no camera topic /nowhere; it has /camera/image_raw/compressed"),
        (["--truth-topic", "/nowhere"], "no topic /nowhere; text topics in it: /truth/segment"),
        (["--truth-topic", "/camera/image_raw/compressed"], "is sensor_msgs/msg/CompressedImage, not std_msgs/msg/String"),
        (["--checkpoint", "/nowhere"], "/nowhere"), (["--config", "/nowhere.yaml"], "/nowhere.yaml: cannot be read"),
        (["--texts", " "], "--texts"), (["--threads", "0"], "--threads"), (["--engine", "steam"], "engine"),
    ],
)  # fmt: skip
def test_a_bad_option_ends_in_one_line(bag, tiny_checkpoint, tmp_path, capsys, options, says):
    assert main(["replay", str(bag), "--checkpoint", str(tiny_checkpoint), "--out", str(tmp_path / "out"), *options]) == 2
    said = capsys.readouterr().err
    assert says in said and said.count("\n") == 1 and said.startswith("vljepa replay: ")


def test_the_nodes_own_parameters_shape_the_replay(bag, tiny_checkpoint, tmp_path, replayed):
    file = tmp_path / "nodes.yaml"
    section = {"ros__parameters": {"clip": {"stride_s": 0.5}, "transition.settle_s": 0.2, "threads": 7, "queries": ["what now?"]}}
    file.write_text(yaml.safe_dump({"/**/predictor_node": section}))
    report = replay(bag, tmp_path / "out", tiny_checkpoint, "--config", file, "--bag", "none")
    assert (report["parameters"]["clip"]["stride_s"], report["parameters"]["transition"]["settle_s"]) == (0.5, 0.2)
    stream = report["streams"][0]
    assert stream["query"] == "what now?"
    assert stream["summary"]["embeddings"] * 3 < replayed[0]["streams"][0]["summary"]["embeddings"]
    shipped = Path(__file__).resolve().parents[2] / "config/vljepa.yaml"
    again = replay(bag, tmp_path / "b", tiny_checkpoint, "--config", shipped, "--bag", "none", "--texts", *TEXTS)
    assert again["streams"] == replayed[0]["streams"], "the shipped file says what the defaults are"


def test_a_clock_that_jumps_back_begins_a_second_epoch_on_one_line_of_time(make_bag, tiny_checkpoint, tmp_path):
    stamps = [1000.0 + k / 15 for k in range(60)] + [500.0 + k / 15 for k in range(60)]
    folder = make_bag(tmp_path / "jump", seconds=8.0, fps=15.0, stamps_s=stamps, truth=False)
    report = replay(folder, tmp_path / "out", tiny_checkpoint)
    stream = report["streams"][0]
    assert stream["frames"]["odd"] == {"backward_jump": 1} and any("backward jump 1" in note for note in report["notes"])
    assert stream["seconds"] == pytest.approx(2 * 59 / 15 + 1, abs=0.01)
    t_s = stream["curve"]["t_s"]
    assert t_s == sorted(t_s) and set(stream["curve"]["epoch"]) == {0, 1}


class Checker(HTMLParser):
    """Tags that close what was opened, ids that are there once, links that lead somewhere, pictures with words."""

    def __init__(self) -> None:
        super().__init__()
        self.open, self.ids, self.links, self.wrong = [], [], [], []

    def handle_starttag(self, tag, attrs):
        facts = dict(attrs)
        self.ids += [facts["id"]] if "id" in facts else []
        self.links += [facts["href"]] if tag == "a" else []
        if tag == "img" and not facts.get("alt"):
            self.wrong.append(f"a picture without words: {facts.get('src', '')[:40]}")
        for name in ("src", "href"):
            if not facts.get(name, "#").startswith(("#", "data:")):
                self.wrong.append(f"{tag} asks for {facts[name]}")
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.wrong.append(f"</{tag}> closes something else at {self.getpos()}")

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()


def test_the_page_is_well_formed_and_needs_nothing_but_itself(replayed):
    html = (replayed[1] / "report.html").read_text()
    checker = Checker()
    checker.feed(html)
    checker.close()
    assert checker.wrong == [] and checker.open == []
    assert len(set(checker.ids)) == len(checker.ids)
    assert {link.removeprefix("#") for link in checker.links} <= set(checker.ids)
    assert "http" not in html.replace("http://www.w3.org", "") and "<script" not in html
    assert "&lt;b&gt;drawer&lt;/b&gt; &amp; co" in html and "<b>drawer</b>" not in html, "words of people are no markup"


def test_it_works_where_there_is_no_ros(bag, tiny_checkpoint, tmp_path):
    """rclpy, the generated messages and cv_bridge cannot be imported; MuJoCo neither."""
    code = (
        "import sys\n"
        "class Gone:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.split('.')[0] in ('rclpy', 'sensor_msgs', 'std_msgs', 'cv_bridge', 'mujoco', 'vljepa_training') or "
        "name.startswith('vljepa_ros.msg'): raise ImportError(name)\n"
        "sys.meta_path.insert(0, Gone())\n"
        "from vljepa_ros.cli.main import main\n"
        f"sys.exit(main(['replay', {str(bag)!r}, '--checkpoint', {str(tiny_checkpoint)!r}, '--out', {str(tmp_path)!r}]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=250)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "bag/bag.mcap").exists()
