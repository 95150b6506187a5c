# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Segments from the topics to the disk and back: in order, with words and pictures, over restarts, beside questions."""
from __future__ import annotations

import sqlite3
import threading
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from vljepa_ros.memory import Segment, SegmentReader, SegmentStore
from vljepa_ros.model import VLJEPA
from vljepa_ros.msg import DecodedText, SemanticEmbedding, WorldStateTransition
from vljepa_ros.nodes import conversions, qos
from vljepa_ros.srv import Recall
from vljepa_ros.streaming import DecodedText as Text
from vljepa_ros.streaming import DecodeRequest, Embedding, Transition, Trigger

START_NS = 1_700_000_000 * 10**9
MEMORY, INPUT, RECALL = "memory_node: memory", "memory_node: input", "memory_node: recall"
SERVICES = "memory_node: services"


class World:
    """Predictor, decoder and camera, said by hand; and whoever asks."""

    def __init__(self, bench: Any, model: VLJEPA) -> None:
        self.bench, self.model = bench, model
        self.query = model.config.prompts["state"]
        make = bench.outside.create_publisher
        self.embedding = make(SemanticEmbedding, "predictor_node/embedding", qos.copy(qos.RESULTS))
        self.transition = make(WorldStateTransition, "predictor_node/transition", qos.copy(qos.RESULTS))
        self.text = make(DecodedText, "decoder_node/text", qos.copy(qos.LATCHED))
        self.client = bench.outside.create_client(Recall, "memory_node/recall")
        self.now_ns, self.sequence, self.epoch, self.segment = START_NS, 0, 0, 0
        self.start_ns = START_NS + 100_000_000
        self.node: Any = None

    def remember(self, **parameters: Any) -> Any:
        """Make the node that is spoken to."""
        self.node = self.bench.memory(**parameters)
        return self.node

    def say(self, publisher: Any, message: Any) -> None:
        self.bench.until(lambda: publisher.get_subscription_count() > 0, "the memory's subscription")
        heard = lambda: self.node._topics.heard + self.node._texts  # noqa: E731
        before = heard()
        publisher.publish(message)
        self.bench.until(lambda: heard() > before, "the memory's hearing it")

    def embed(self, seconds: float, vector_D: np.ndarray, **fields: Any) -> None:
        for _ in range(round(seconds * 10)):
            self.now_ns += 100_000_000
            values = dict(
                vector_D=vector_D, stamp_ns=self.now_ns, clip_start_ns=self.now_ns - 600_000_000, epoch=self.epoch,
                sequence=self.sequence, space_id=self.model.space_id, query=self.query, frame_id="camera",
            )
            self.say(self.embedding, conversions.embedding_to_message(Embedding(**(values | fields))))
            self.sequence += 1

    def change(self, before_D: np.ndarray, after_D: np.ndarray) -> None:
        self.segment += 1
        boundary_ns = self.now_ns - 400_000_000
        transition = Transition(
            stamp_ns=self.now_ns, boundary_ns=boundary_ns, epoch=self.epoch, segment=self.segment, segment_start_ns=self.start_ns,
            distance=1.0, threshold=0.1, space_id=self.model.space_id, before_D=before_D, after_D=after_D, frame_id="camera",
        )
        self.start_ns = boundary_ns
        self.say(self.transition, conversions.transition_to_message(transition))

    def speak(self, text: str, start_ns: int | None = None, query: str | None = None) -> None:
        request = DecodeRequest(
            vector_D=np.empty(0, np.float32), stamp_ns=self.now_ns if start_ns is None else start_ns + 600_000_000,
            segment_start_ns=self.start_ns if start_ns is None else start_ns,
            segment=self.segment, epoch=self.epoch, trigger=Trigger.CHANGE, space_id="", query=query or self.query,
        )
        self.say(self.text, conversions.text_to_message(Text(request, text, 0.75, True, 0.01)))

    def ask(self, text: str, **fields: Any) -> Any:
        self.bench.until(self.client.service_is_ready, "the service")
        future = self.client.call_async(Recall.Request(text=text, **fields))
        self.bench.until(future.done, "the answer")
        return future.result()

    def rows(self) -> list[Segment]:
        """What is in the file, by now."""
        reader = SegmentReader(self.path)
        try:
            ids = [int(one) for chunk in reader.vectors() for one in chunk.ids_N]
            found = reader.segments(ids, thumbnails=True)
            return [found[id_] for id_ in sorted(found)]
        finally:
            reader.close()

    @property
    def path(self) -> Path:
        return Path("~/.ros/vljepa_ros/memory.sqlite").expanduser()

    def vectors(self, *texts: str) -> np.ndarray:
        return self.model.encode_text(texts)


OPEN, CLOSED, LAMP = "The drawer is open.", "Push the red cube to the left.", "Is the lamp on?"


@pytest.fixture
def world(bench: Any) -> World:
    return World(bench, VLJEPA.from_pretrained(bench.checkpoint, device="cpu", engine="torch"))


def three_segments(world: World) -> None:
    """Closed, open, lamp."""
    closed, opened, lamp = world.vectors(CLOSED, OPEN, LAMP)
    for before, after, words in ((None, closed, "closed"), (closed, opened, "opened"), (opened, lamp, "lamp")):
        world.embed(1.0, after)
        if before is not None:
            world.change(before, after)
        world.embed(0.5, after)
        world.speak(words)


def test_from_the_topics_to_an_answer(bench: Any, world: World) -> None:
    world.remember(engine="torch")
    three_segments(world)
    bench.until(lambda: [one.text for one in world.rows()] == ["closed", "opened", "lamp"], "three segments with their words")
    first, second, third = world.rows()
    assert (first.start_ns, first.end_ns) == (START_NS + 100_000_000, second.start_ns) and second.end_ns == third.start_ns
    assert [(one.segment, one.frame_id) for one in (first, second, third)] == [(k, "camera") for k in range(3)]
    for one, vector_D in zip((first, second, third), world.vectors(CLOSED, OPEN, LAMP)):
        assert one.space_id == world.model.space_id and one.query == world.query and one.vector_D @ vector_D > 0.999

    answer = world.ask(OPEN, count=2)
    assert answer.success and answer.message == "" and answer.space_id == world.model.space_id and answer.seconds > 0
    assert (answer.searched, answer.skipped, len(answer.segments)) == (3, 0, 2)
    best = answer.segments[0]
    assert best.text == "opened" and best.score == pytest.approx(1.0, abs=2e-3) and best.confidence == pytest.approx(0.75)
    assert conversions.ns_from_time(best.start) == second.start_ns and conversions.ns_from_time(best.end) == second.end_ns
    assert conversions.ns_from_time(best.before) == 0 and (best.segment, best.epoch, best.frame_id) == (1, 0, "camera")

    change = world.ask(OPEN, mode=Recall.Request.CHANGE).segments[0]
    closed, opened = world.vectors(CLOSED, OPEN)
    assert change.text == "opened" and change.score == pytest.approx(1 - float(closed @ opened), abs=4e-3)
    assert change.before == change.start
    against = world.ask(OPEN, against=CLOSED).segments[0]
    assert against.text == "opened" and against.score == pytest.approx(1 - float(closed @ opened), abs=4e-3)
    early = world.ask(OPEN, until=conversions.time_from_ns(START_NS + 10**9))
    assert early.searched == 1 and [one.text for one in early.segments] == ["closed"]
    bench.until_said(SERVICES, "4 requests answered", level=b"\x00")
    bench.until_said(RECALL, "2 finished segments can be recalled", level=b"\x00")
    bench.until_said(MEMORY, "3 segments", "of 1024 MiB", level=b"\x00")


@pytest.mark.parametrize(
    "fields, words",
    [
        ({"text": "  "}, "text is empty"), ({"text": OPEN, "mode": "WHEN"}, "mode must be one of STATE, CHANGE, got 'WHEN'"),
        ({"text": OPEN, "count": 5000}, "count must be from 1 to 1000, got 5000"),
        ({"text": OPEN, "since": conversions.time_from_ns(2 * 10**9), "until": conversions.time_from_ns(10**9)}, "nothing lies"),
    ],
)
def test_questions_that_cannot_be_answered_say_why(bench: Any, world: World, fields: dict[str, Any], words: str) -> None:
    node = world.remember()
    answer = world.ask(**fields)
    assert not answer.success and words in answer.message and not answer.segments
    assert world.ask(OPEN).success, "an empty memory answers"
    assert node._recall._worker.failures == 0
    bench.until_said(SERVICES, "1 requests were refused", words, level=b"\x01")


def test_an_inactive_node_says_so(bench: Any, world: World) -> None:
    node = world.remember()
    node.trigger_deactivate()
    answer = world.ask(OPEN)
    assert not answer.success and "activate" in answer.message
    node.trigger_activate()
    assert world.ask(OPEN).success


@pytest.mark.parametrize("transport", ["raw", "compressed"])
def test_every_segment_has_a_picture(bench: Any, world: World, to_image: Any, transport: str) -> None:
    from sensor_msgs.msg import CompressedImage, Image

    node = world.remember(image_transport=transport, memory__thumbnail_width=32)
    kind, topic = (Image, "image") if transport == "raw" else (CompressedImage, "image/compressed")
    camera = bench.outside.create_publisher(kind, topic, qos.copy(qos.IMAGES))
    bench.until(lambda: camera.get_subscription_count() > 0, "the memory's ear for images")

    def show(red: int) -> None:
        image_HWC = np.zeros((48, 64, 3), np.uint8)
        image_HWC[..., 0] = red
        message = to_image(image_HWC, world.now_ns)
        if transport == "compressed":
            message = CompressedImage(format="jpeg", data=cv2.imencode(".jpg", image_HWC[..., ::-1])[1].tobytes())
        before = node._pictures._rate.total
        camera.publish(message)
        bench.until(lambda: node._pictures._rate.total > before, "the image")

    closed, opened = world.vectors(CLOSED, OPEN)
    show(250)  # nobody wants it
    world.embed(1.0, closed)
    show(200)
    show(50)
    world.embed(0.5, opened)
    world.change(closed, opened)
    show(100)
    node.trigger_deactivate()
    pictures = [cv2.imdecode(np.frombuffer(one.thumbnail, np.uint8), cv2.IMREAD_COLOR) for one in world.rows()]
    assert [one.shape for one in pictures] == [(24, 32, 3)] * 2
    assert [round(float(one[..., 2].mean()), -1) for one in pictures] == [200, 100]
    node.trigger_activate()
    asked = world.ask(OPEN, thumbnails=True).segments
    assert [bytes(one.thumbnail) for one in asked] == [one.thumbnail for one in reversed(world.rows())]
    assert not len(world.ask(OPEN).segments[0].thumbnail)


def test_a_restart_keeps_the_memory(bench: Any, world: World) -> None:
    node = world.remember(engine="torch")
    three_segments(world)
    bench.executor.remove_node(node)
    node.destroy_node()
    assert [one.text for one in world.rows()] == ["closed", "opened", "lamp"]
    world.remember(engine="torch")
    assert world.ask(OPEN).segments[0].text == "opened"
    world.embed(1.0, world.vectors(OPEN)[0])
    bench.until(lambda: world.ask(OPEN).searched == 4, "the new segment, found while it goes on")
    assert {one.segment for one in world.ask(OPEN, count=2).segments} == {0, 1}


def test_every_way_to_end_writes_the_segment_that_goes_on(bench: Any, world: World) -> None:
    node = world.remember(memory__update_s=3600.0)
    closed, opened = world.vectors(CLOSED, OPEN)
    world.embed(1.0, closed)
    world.epoch, world.now_ns = 1, world.now_ns + 60 * 10**9
    world.embed(1.0, opened)
    node.trigger_deactivate()
    first, second = world.rows()
    assert second.end_ns == world.now_ns and first.end_ns == START_NS + 10**9 and [first.epoch, second.epoch] == [0, 1]
    node.trigger_activate()
    world.embed(1.0, closed)
    node.trigger_shutdown()
    assert world.rows()[2].end_ns == world.now_ns


def test_the_segment_that_goes_on_is_on_disk_meanwhile(bench: Any, world: World) -> None:
    world.remember(memory__update_s=0.5)
    world.embed(2.0, world.vectors(OPEN)[0])
    bench.until(lambda: world.rows() and world.rows()[0].end_ns >= world.now_ns - 500_000_000, "the running segment on disk")
    assert len(world.rows()) == 1


def test_words_said_before_the_restart_reach_their_old_segment(bench: Any, world: World) -> None:
    node = world.remember()
    closed, opened = world.vectors(CLOSED, OPEN)
    world.embed(1.0, closed)
    bench.executor.remove_node(node)
    node.destroy_node()
    world.now_ns += 10 * 10**9
    node = world.remember()
    world.embed(0.5, opened)
    world.change(closed, opened)
    world.speak("of the first one", start_ns=START_NS + 100_000_000)
    bench.until(lambda: world.rows()[0].text == "of the first one", "the late words")


def test_texts_to_other_questions_are_not_the_states(bench: Any, world: World) -> None:
    world.remember()
    world.embed(1.0, world.vectors(OPEN)[0])
    world.speak("yes", query="Is the lamp on?")
    bench.until(lambda: bench.values(MEMORY).get("drops.other_query") == "1", "the count of it")
    message = DecodedText(trigger="WHATEVER", query=world.query)
    world.say(world.text, message)
    bench.until_said(MEMORY, "bad_text", "WHATEVER", level=b"\x01")
    assert [one.text for one in world.rows()] == [""]


def test_embeddings_of_another_space_are_not_remembered(bench: Any, world: World) -> None:
    world.remember()
    world.embed(0.5, world.vectors(OPEN)[0], space_id="feedfacefeedface")
    bench.until_said(INPUT, "feedfacefeedface", world.model.space_id, "nothing is remembered", level=b"\x02")
    assert world.rows() == []


def test_segments_of_another_checkpoint_are_skipped_and_counted(bench: Any, world: World) -> None:
    store = SegmentStore(world.path)
    vector_D = world.vectors(OPEN)[0]
    store.write([(None, Segment(START_NS, START_NS + 1, 0, k, "feedfacefeedface", vector_D)) for k in range(3)])
    store.close()
    world.remember(engine="torch")
    world.embed(0.5, vector_D)
    bench.until(lambda: world.ask(OPEN).searched == 1, "the new segment")
    answer = world.ask(OPEN)
    assert answer.success and (answer.skipped, len(answer.segments)) == (3, 1)


@pytest.mark.parametrize("damage", ["text", "foreign", "folder"])
def test_a_file_that_is_none_of_ours_fails_configure_in_one_line(bench: Any, world: World, tmp_path: Path, damage: str) -> None:
    path = tmp_path / "some.sqlite"
    if damage == "text":
        path.write_text("a diary\n" * 99)
    elif damage == "foreign":
        with sqlite3.connect(path) as db:
            db.execute("CREATE TABLE songs (title TEXT)")
        db.close()
    else:
        path.mkdir()
    node = bench.memory(active=False, memory__path=str(path))
    node.trigger_configure()
    assert node.state == "unconfigured" and "some.sqlite" in node.fault and ";" in node.fault and "\n" not in node.fault
    if damage == "text":
        assert path.read_text() == "a diary\n" * 99


def test_two_memories_do_not_share_a_file(bench: Any, world: World) -> None:
    world.remember()
    other = bench.memory(active=False)
    other.trigger_configure()
    assert other.state == "unconfigured" and "another process; give this node another memory.path" in other.fault


def test_a_full_disk_is_told_and_what_waited_is_written(bench: Any, world: World) -> None:
    node = world.remember(memory__thumbnail_width=0)
    db = node._store._db
    db.execute(f"PRAGMA max_page_count = {db.execute('PRAGMA page_count').fetchone()[0]}")
    vectors = world.vectors(CLOSED, OPEN)
    for k in range(40):
        world.epoch += 1
        world.embed(0.1, vectors[k % 2])
        bench.until(lambda: not len(node._queue), "the writer, who may be slower than this stream")
    status = bench.until_said(MEMORY, "database or disk is full", "free space", level=b"\x02")
    assert node.state == "active" and status.name == MEMORY
    count = len(world.rows())
    assert count < 40 and world.ask(OPEN).success
    bench.until(lambda: not len(node._queue) and not node._worker.busy, "the writer's rest")
    db.execute("PRAGMA max_page_count = 100000")
    world.epoch += 1
    world.embed(0.1, vectors[0])
    bench.until(lambda: len(world.rows()) == 41, "all that waited")
    assert [one.epoch for one in world.rows()] == list(range(1, 42)) and bench.values(MEMORY)["drops.write_error"] == "0"


def test_a_disk_slower_than_the_stream_costs_writes_that_are_counted(
    bench: Any, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = world.remember(queue=3)
    go_on, write = threading.Event(), node._store.write
    monkeypatch.setattr(node._store, "write", lambda entries: go_on.wait(100) and write(entries))
    vector_D = world.vectors(OPEN)[0]
    world.embed(0.1, vector_D)
    bench.until(lambda: node._worker.busy, "the writer, at work")
    for _ in range(3):  # each ends a segment and begins one
        world.epoch += 1
        world.embed(0.1, vector_D)
    bench.until_said(MEMORY, "3 writes were given up", "slower than the stream", level=b"\x01")
    go_on.set()
    bench.until(lambda: [one.epoch for one in world.rows()] == [0, 2, 3], "what was left")


def test_a_recall_holds_up_neither_callbacks_nor_writing(bench: Any, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    node = world.remember(engine="torch", memory__update_s=0.1)
    vector_D = world.vectors(OPEN)[0]
    world.embed(0.5, vector_D)
    go_on, encode = threading.Event(), node._model.encode_text
    monkeypatch.setattr(node._model, "encode_text", lambda texts: go_on.wait(100) and encode(texts))
    bench.until(world.client.service_is_ready, "the service")
    futures = [world.client.call_async(Recall.Request(text=OPEN)) for _ in range(3)]
    bench.until(lambda: node._recall._worker.busy and node._recall._inbox.waiting == 2, "questions that wait")
    world.embed(2.0, vector_D)
    on_disk = lambda: world.rows() and world.rows()[0].end_ns == world.now_ns  # noqa: E731
    bench.until(on_disk, "all of the stream on disk, while a question is being answered")
    assert not any(future.done() for future in futures)
    go_on.set()
    bench.until(lambda: all(future.done() for future in futures), "the answers")
    assert all(future.result().success and len(future.result().segments) == 1 for future in futures)


def test_questions_that_wait_are_answered_when_the_node_is_deactivated(
    bench: Any, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vljepa_ros.nodes.recall_service.WAITING", 2)
    node = world.remember()
    go_on, encode = threading.Event(), node._model.encode_text
    monkeypatch.setattr(node._model, "encode_text", lambda texts: go_on.wait(100) and encode(texts))
    bench.until(world.client.service_is_ready, "the service")
    futures = [world.client.call_async(Recall.Request(text=OPEN))]
    bench.until(lambda: node._recall._worker.busy and not node._recall._inbox.waiting, "the question under way")
    futures += [world.client.call_async(Recall.Request(text=OPEN)) for _ in range(5)]
    bench.until(lambda: sum(future.done() for future in futures) == 3, "those that were too many")
    assert all("wait already" in future.result().message for future in futures if future.done())
    go_on.set()
    node.trigger_deactivate()
    bench.until(lambda: all(future.done() for future in futures), "an answer to each")


def test_predictor_and_memory_together(bench: Any, world: World, noise: Any, stamps: Any) -> None:
    predictor = bench.predictor()
    world.remember(engine="torch", memory__update_s=0.5)
    sent = stamps(40)
    bench.stream(predictor, noise(1) * 40, sent)
    stamp_ns = conversions.ns_from_time(bench.embeddings[-1].header.stamp)
    bench.until(lambda: world.rows() and world.rows()[0].end_ns >= stamp_ns - 500_000_000, "the stream on disk")
    (row,) = world.rows()
    assert row.start_ns == conversions.ns_from_time(bench.embeddings[0].header.stamp)
    mean_D = np.mean([np.array(one.vector) for one in bench.embeddings], axis=0)
    assert row.vector_D @ mean_D / np.linalg.norm(mean_D) > 0.999
    assert world.rows()[0].thumbnail, "a picture of the stream's own images"
