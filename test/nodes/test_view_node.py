# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The annotated picture and the numbers for plots: for whom, from what, and at no cost without anybody."""
from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
from rclpy.parameter import Parameter
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Float32

from vljepa_ros.model import VLJEPA
from vljepa_ros.msg import DecodedText, SemanticEmbedding, WorldStateDistance, WorldStateTransition
from vljepa_ros.nodes import conversions, qos
from vljepa_ros.nodes.scalars import slugs
from vljepa_ros.streaming import DecodedText as Words
from vljepa_ros.streaming import DecodeRequest, Distance, Embedding, Transition, Trigger
from vljepa_ros.streaming.images import image_HWC

START_NS = 1_700_000_000 * 10**9
PICTURES, INPUT, CAMERA = "view_node: pictures", "view_node: input", "view_node: camera"
LAMP = ["The lamp is on.", "The lamp is off."]


class Robot:
    """What a view hears of a camera, a predictor and a decoder, said by hand."""

    def __init__(self, bench: Any) -> None:
        self.bench = bench
        self.model = VLJEPA.from_pretrained(bench.checkpoint, device="cpu", engine="torch")
        self.query = self.model.config.prompts["state"]
        self.now_ns, self.sequence = START_NS, 0
        self.view: Any = None
        self._to = {
            kind: bench.outside.create_publisher(kind, topic, qos.copy(profile))
            for kind, topic, profile in (
                (SemanticEmbedding, "predictor_node/embedding", qos.RESULTS),
                (WorldStateDistance, "predictor_node/distance", qos.RESULTS),
                (WorldStateTransition, "predictor_node/transition", qos.RESULTS), (DecodedText, "decoder_node/text", qos.LATCHED),
            )
        }  # fmt: skip

    def look_at(self, **parameters: Any) -> Any:
        """Make the view that is spoken to."""
        self.view = self.bench.view(**parameters)
        self.bench.until(lambda: all(one.get_subscription_count() for one in self._to.values()), "the view")
        return self.view

    def say(self, message: Any, told: Any) -> None:
        before = told()
        self._to[type(message)].publish(message)
        self.bench.until(lambda: told() != before, f"the view's hearing a {type(message).__name__}")

    def embed(self, vector_D: np.ndarray, **fields: Any) -> None:
        self.now_ns += 100_000_000
        values = dict(
            vector_D=vector_D, stamp_ns=self.now_ns, clip_start_ns=self.now_ns, epoch=0, sequence=self.sequence,
            space_id=self.model.space_id, query=self.query, frame_id="camera", novelty=0.5,
        )
        self.sequence += 1
        message = conversions.embedding_to_message(Embedding(**(values | fields)))
        self.say(message, lambda: self.view._topics._rate.total)

    def measure(self, distance: float, segment: int = 3) -> None:
        one = Distance(self.now_ns, 0, segment, START_NS, distance, 0.25)
        self.say(conversions.distance_to_message(one), lambda: len(self.view._board._distances))

    def speak(self, text: str, segment: int = 3, **fields: Any) -> None:
        request = DecodeRequest(np.empty(0), self.now_ns, START_NS, segment, 0, Trigger.CHANGE, "", self.query, "camera")
        values = {"text": text, "confidence": 0.75, "familiar": True, "seconds": 0.1} | fields
        self.say(conversions.text_to_message(Words(request, **values)), lambda: self.view._words and self.view._words.text)

    def watch(self, kind: type = Image, topic: str = "view_node/image") -> list[Any]:
        """Pictures, from now on; the view has its camera when this returns."""
        seen: list[Any] = []
        self.ear = self.bench.outside.create_subscription(kind, topic, seen.append, qos.copy(qos.PICTURES))
        self.bench.until(lambda: self.view._watched, "the view's noticing who watches")
        return seen

    def film(self, image: Any, seen: list[Any], what: str = "a picture") -> Any:
        """One image, and the picture that comes of it."""
        before = len(seen)
        topic = "image/compressed" if isinstance(image, CompressedImage) else "image"
        self.view._due = 0.0
        self.bench.send(self.view, image, topic)
        self.bench.until(lambda: len(seen) > before, what)
        return seen[-1]


@pytest.fixture
def robot(bench: Any) -> Robot:
    return Robot(bench)


def unit(model: VLJEPA, seed: int = 0) -> np.ndarray:
    vector = np.random.default_rng(seed).normal(size=model.dim).astype(np.float32)
    return vector / np.linalg.norm(vector)


def test_nothing_is_drawn_and_no_camera_subscribed_until_somebody_watches(
    bench: Any, robot: Robot, noise: Any, to_image: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import vljepa_ros.nodes.view_node as module

    drawn: list[int] = []
    draw = module.annotate
    monkeypatch.setattr(module, "annotate", lambda *arguments: drawn.append(1) or draw(*arguments))
    view = robot.look_at()
    assert bench.until_said(CAMERA, "nobody watches", level=b"\x00")
    robot.embed(unit(robot.model))
    assert bench.outside.count_subscribers("image") == 0 and not drawn
    seen = robot.watch()
    image = noise(1, height=240, width=320)[0]
    for k in range(3):
        robot.film(to_image(image, START_NS + k), seen)
    assert len(drawn) == len(seen) == 3 == view._figures.drawn.total
    bench.until(lambda: bench.values(PICTURES).get("pictures") == "3", "the count in /diagnostics")
    bench.outside.destroy_subscription(robot.ear)
    bench.until(lambda: bench.outside.count_subscribers("image") == 0, "the camera being left alone again")
    assert len(drawn) == 3


def test_the_picture_is_the_frame_with_what_is_known_and_its_header(robot: Robot, noise: Any, to_image: Any) -> None:
    from vljepa_ros.viewing.annotate import annotate

    view = robot.look_at()
    robot.embed(unit(robot.model))
    robot.measure(0.1)
    robot.measure(0.2)
    robot.speak("Die Lampe ist grün – völlig.", familiar=False)
    seen = robot.watch()
    image = noise(1, height=240, width=320)[0]
    message = to_image(image, START_NS + 12_345_678_901)
    message.header.frame_id = "front_optical"
    picture = robot.film(message, seen)
    assert picture.header == message.header
    assert (picture.encoding, picture.height, picture.width, picture.step) == ("rgb8", 240, 320, 960)
    known = view._board.look()
    assert (known.text, known.familiar, known.current, known.segment) == ("Die Lampe ist grün – völlig.", False, True, 3)
    np.testing.assert_array_equal(image_HWC(picture), annotate(image, known, view._fonts))


def test_the_compressed_picture_alone(robot: Robot, noise: Any, to_image: Any, bench: Any) -> None:
    view = robot.look_at(jpeg_quality=95)
    robot.embed(unit(robot.model))
    seen = robot.watch(CompressedImage, "view_node/image/compressed")
    assert view._image_publisher.get_subscription_count() == 0
    image = np.full((240, 320, 3), (200, 40, 90), np.uint8)
    message = to_image(image, START_NS + 5)
    picture = robot.film(message, seen)
    assert picture.header == message.header and "jpeg" in picture.format
    decoded = cv2.imdecode(np.frombuffer(picture.data, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    assert decoded.shape == image.shape and np.abs(decoded[:100].astype(int) - image[:100]).max() < 12
    assert np.abs(decoded[-20:].astype(int) - image[-20:]).max() > 60, "the band is there"


def test_a_compressed_camera(robot: Robot, bench: Any, noise: Any) -> None:
    robot.look_at(image_transport="compressed")
    seen = robot.watch()
    data = cv2.imencode(".png", noise(1, height=240, width=320)[0][..., ::-1])[1]
    message = CompressedImage(format="png", data=data.tobytes())
    message.header.stamp, message.header.frame_id = conversions.time_from_ns(START_NS), "camera"
    picture = robot.film(message, seen)
    assert picture.header == message.header and (picture.height, picture.width) == (240, 320)


def test_no_more_pictures_than_the_rate_says(robot: Robot, noise: Any, to_image: Any, bench: Any) -> None:
    view = robot.look_at(rate_hz=0.1)
    seen = robot.watch()
    images = noise(4)
    for k, image in enumerate(images):
        bench.send(view, to_image(image, START_NS + k))
    bench.until(lambda: seen, "the first picture")
    bench.until(lambda: bench.values(CAMERA).get("frames") == "4", "all of the camera's images")
    assert len(seen) == 1 and view._figures.drawn.total == 1 and not view._mailbox._full


def test_texts_are_compared_and_changed_while_the_node_runs(robot: Robot, bench: Any, noise: Any, to_image: Any) -> None:
    view = robot.look_at(texts=LAMP, engine="torch")
    seen = robot.watch()
    vector_D = unit(robot.model)
    image = to_image(noise(1, height=240, width=320)[0], START_NS)

    def similarities() -> dict[str, float | None]:
        robot.embed(vector_D)
        robot.film(image, seen)
        return dict(view._board.look().similarities)

    def expected(texts: list[str]) -> Any:
        return pytest.approx(dict(zip(texts, (robot.model.encode_text(texts) @ vector_D).tolist())), abs=1e-4)

    assert similarities() == expected(LAMP)
    with_card = image_HWC(seen[-1])[:60, :100].copy()
    others = [LAMP[1], "Die Schublade ist geöffnet."]
    assert view.set_parameters([Parameter("texts", value=others)])[0].successful
    bench.until(lambda: not view._comparison.missing, "the new texts' vectors")
    assert similarities() == expected(others)
    assert view.set_parameters([Parameter("texts", Parameter.Type.STRING_ARRAY, [])])[0].successful
    assert similarities() == {}
    assert not np.array_equal(image_HWC(seen[-1])[:60, :100], with_card)


def test_the_text_encoder_is_loaded_when_the_first_text_comes_and_no_callback_waits_for_it(robot: Robot, bench: Any) -> None:
    view = robot.look_at()
    assert view._comparison._model is None
    assert view.set_parameters([Parameter("texts", value=LAMP)])[0].successful
    assert set(view._comparison._model.modules if view._comparison._model else ()) <= {"text_encoder"}
    bench.until(lambda: not view._comparison.missing, "the texts' vectors")
    assert set(view._comparison._model.modules) == {"text_encoder"}


@pytest.mark.parametrize("texts, why", [(["lamp", " "], "must say something"), (["lamp", "lamp"], "differ"), (["a"] * 33, "")])
def test_texts_that_are_none_are_refused_and_the_others_stay(robot: Robot, texts: list[str], why: str) -> None:
    view = robot.look_at(texts=["The drawer is open."])
    result = view.set_parameters([Parameter("texts", value=texts)])[0]
    assert not result.successful and "texts" in result.reason and why in result.reason
    assert view._comparison.texts == ("The drawer is open.",)
    locked = view.set_parameters([Parameter("rate_hz", value=3.0)])[0]
    assert not locked.successful and "rate_hz" in locked.reason


def test_texts_that_cannot_be_read_whole_or_judged_are_refused(
    robot: Robot, bench: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    view = robot.look_at()
    long = view.set_parameters([Parameter("texts", value=["lamp", "x" * 33])])[0]
    assert not long.successful and "texts[1] has 33 tokens" in long.reason
    assert view._comparison._model is None and view._comparison.texts == (), "nothing changed, nothing was loaded"

    def fail(texts: Any) -> None:
        raise OSError("the disk is gone")

    monkeypatch.setattr(view._comparison, "check", fail)
    result = view.set_parameters([Parameter("texts", value=LAMP)])[0]
    assert not result.successful and "OSError: the disk is gone" in result.reason and view.state == "active"


def test_texts_too_long_fail_configure_in_one_line(bench: Any) -> None:
    view = bench.view(active=False, texts=["x" * 33])
    view.trigger_configure()
    assert view.state == "unconfigured" and "texts[0] has 33 tokens" in view.fault


def test_texts_that_cannot_be_encoded_are_named(robot: Robot, bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import vljepa_ros.nodes.comparison as module
    from vljepa_ros.model import CheckpointError

    view = robot.look_at()

    def refuse(*_: Any) -> Any:
        raise CheckpointError("tiny", "has no part text_encoder", "take another")

    monkeypatch.setattr(module, "load_model", refuse)
    assert view.set_parameters([Parameter("texts", value=LAMP)])[0].successful
    bench.until_said(PICTURES, "2 of 2 texts are not compared", "no part text_encoder", level=b"\x02")
    monkeypatch.undo()
    monkeypatch.setattr("vljepa_ros.nodes.diagnostics.PERIOD_S", 0.1)
    assert view.set_parameters([Parameter("texts", value=[*LAMP, "The drawer is open."])])[0].successful
    bench.until_said(PICTURES, "pictures/s", level=b"\x00")


def test_numbers_for_plots(robot: Robot, bench: Any) -> None:
    view = robot.look_at(texts=LAMP, engine="torch")
    heard: dict[str, list[float]] = {}

    def listen(name: str) -> None:
        heard[name] = []
        bench.outside.create_subscription(
            Float32, f"view_node/{name}", lambda message: heard[name].append(message.data), qos.copy(qos.RESULTS)
        )
        bench.until(lambda: view._scalars.heard(name), f"a listener to {name}")

    names = ("distance", "threshold", "novelty", "confidence", "similarity/the_lamp_is_on", "similarity/the_lamp_is_off")
    for name in names:
        listen(name)
    vector_D = unit(robot.model)
    robot.embed(vector_D)
    robot.measure(0.125)
    robot.speak("The lamp is on.")
    robot.embed(vector_D, novelty=1.5)
    on, off = robot.model.encode_text(LAMP) @ vector_D
    expected = {
        "distance": [0.125], "threshold": [0.25], "novelty": [0.5, 1.5], "confidence": [0.75],
        "similarity/the_lamp_is_on": [on, on], "similarity/the_lamp_is_off": [off, off],
    }  # fmt: skip
    for name in names:
        bench.until(lambda name=name: len(heard[name]) == len(expected[name]), name)
        assert heard[name] == pytest.approx(expected[name], abs=1e-4), name
    assert view.set_parameters([Parameter("texts", value=[LAMP[0], "Open!"])])[0].successful
    listen("similarity/open")
    bench.until(lambda: not view._comparison.missing, "the new text's vector")
    bench.until(lambda: not bench.outside.count_publishers("view_node/similarity/the_lamp_is_off"), "the old text's topic going")
    robot.embed(vector_D)
    bench.until(lambda: heard["similarity/open"], "the new text's number")
    assert heard["similarity/open"] == pytest.approx([float(robot.model.encode_text(["Open!"])[0] @ vector_D)], abs=1e-4)


def test_numbers_that_nobody_listens_to_are_not_computed(robot: Robot, monkeypatch: pytest.MonkeyPatch) -> None:
    view = robot.look_at(texts=LAMP)
    monkeypatch.setattr(view._comparison, "cosines", lambda *_: pytest.fail("computed for nobody"))
    robot.embed(unit(robot.model))
    assert view._topics._drops.total() == 0


def test_topics_of_texts_are_valid_and_differ() -> None:
    from rclpy.validate_topic_name import validate_topic_name

    texts = [
        *("The lamp is on.", "the lamp is on", "Wie grün!", "Лампа", "灯亮了", "1 cube", "a_2", "a", "a!", "__x__y__"),
        *("text", "…", "w" * 300),
    ]
    made = slugs(texts)
    assert made[:3] == ["the_lamp_is_on", "the_lamp_is_on_1", "wie_grun"] and len(set(made)) == len(texts)
    for slug in made:
        assert validate_topic_name(f"~/similarity/{slug}") and "__" not in slug and len(slug) < 60


def test_a_stream_that_ends_is_told_in_the_picture(robot: Robot, bench: Any, noise: Any, to_image: Any) -> None:
    view = robot.look_at()
    robot.embed(unit(robot.model))
    seen = robot.watch()
    looks: list[str] = []
    look = view._board.look
    view._board.look = lambda note="": looks.append(note) or look(note)
    image = to_image(noise(1, height=240, width=320)[0], START_NS)
    robot.film(image, seen)
    view._heard_at -= 60
    robot.film(image, seen)
    assert looks[-1].startswith("no embedding for 6") and "no embedding" not in looks[0]


def test_embeddings_of_another_space_are_not_shown(robot: Robot, bench: Any) -> None:
    view = robot.look_at(texts=LAMP)
    robot.embed(unit(robot.model), space_id="feedfacefeedface")
    bench.until_said(INPUT, "feedfacefeedface", robot.model.space_id, "nothing of it is shown", level=b"\x02")
    assert view._newest is None


def test_drawing_that_fails_is_named_and_goes_on(
    robot: Robot, bench: Any, noise: Any, to_image: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    view = robot.look_at()
    seen = robot.watch()
    image = to_image(noise(1)[0], START_NS)
    with monkeypatch.context() as patch:
        patch.setattr("vljepa_ros.nodes.view_node.annotate", lambda *_: 1 / 0)
        for k in range(3):
            view._due = 0.0
            bench.send(view, image)
            bench.until(lambda k=k: view._worker.failures == k + 1, "the failure")
        bench.until_said(PICTURES, "drawing failed 3 times in a row", "ZeroDivisionError", level=b"\x02")
    assert robot.film(image, seen).header == image.header


def test_with_the_other_nodes(bench: Any, noise: Any, stamps: Any, to_image: Any) -> None:
    """The predictor measures when the view listens; segment, words and pictures belong together."""
    view = bench.view()
    predictor, _ = bench.predictor(), bench.decoder()
    bench.until(lambda: predictor._of("").distance_publisher.get_subscription_count() > 0, "the view's listening")
    seen: list[Any] = []
    bench.outside.create_subscription(Image, "view_node/image", seen.append, qos.copy(qos.PICTURES))
    bench.until(lambda: view._watched, "the view's noticing")
    bench.stream(predictor, noise(1) * 25, stamps(25))
    bench.until(lambda: view._words is not None and view._board.segment is not None and seen, "words, segment and picture")
    known = view._board.look()
    assert known.current and known.segment == 0 and known.text == bench.texts[0].text and known.age_s > 0.5
    assert len(known.history.ago_s) > 5 and known.history.threshold[-1] == pytest.approx(predictor._of("").detector.threshold)
    assert all(picture.header.frame_id == "camera" for picture in seen)


def test_a_predictor_that_nobody_listens_to_measures_nothing(bench: Any, noise: Any, stamps: Any) -> None:
    predictor = bench.predictor()
    predictor._of("").detector.measured = lambda *_: pytest.fail("measured for nobody")
    bench.stream(predictor, noise(9), stamps(9))
    assert bench.embeddings and predictor._worker.failures == 0


def test_a_transition_is_heard(robot: Robot) -> None:
    view = robot.look_at()
    robot.embed(unit(robot.model))
    change = Transition(robot.now_ns, robot.now_ns - 10**8, 0, 4, START_NS, 1.0, 0.1, robot.model.space_id,
                        unit(robot.model, 1), unit(robot.model, 2))  # fmt: skip
    robot.say(conversions.transition_to_message(change), lambda: view._board.segment)
    assert view._board.segment == 4


def test_round_and_round(robot: Robot, noise: Any, to_image: Any) -> None:
    """The second time as the first, texts and what is known of the stream begun anew."""
    view = robot.look_at(texts=LAMP)
    seen = robot.watch()
    image = to_image(noise(1)[0], START_NS)
    robot.embed(unit(robot.model))
    for again in (lambda: None, view.trigger_cleanup):
        robot.film(image, seen)
        worker = view._worker
        view.trigger_deactivate()
        assert view.state == "inactive" and not worker.alive and not view._watched
        assert view.set_parameters([Parameter("texts", value=["The drawer is open."])])[0].successful
        again()
        if view.state == "unconfigured":
            assert view._fonts is view._comparison is view._camera is None
            view.trigger_configure()
        view.trigger_activate()
        assert view.state == "active", view.fault
        robot.bench.until(lambda: view._watched and not view._comparison.missing, "watchers and texts")
        assert view._board.look().age_s is None and view._comparison.texts == ("The drawer is open.",)
    robot.film(image, seen)
    view.trigger_shutdown()
    assert view.state == "finalized"


def test_a_font_that_is_none_is_named(bench: Any, tmp_path: Any) -> None:
    node = bench.view(active=False, font=str(tmp_path / "none.ttf"))
    node.trigger_configure()
    assert node.state == "unconfigured" and "none.ttf" in node.fault
