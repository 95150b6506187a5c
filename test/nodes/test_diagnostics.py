# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""/diagnostics names what is wrong: silence and its reasons, QoS that does not fit, a model that fails, a worker that stopped."""
from __future__ import annotations

from itertools import cycle
from typing import Any

import pytest
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.context import Context
from rclpy.node import Node
from rclpy.qos import QoSDurabilityPolicy, QoSProfile, QoSReliabilityPolicy, qos_profile_sensor_data
from sensor_msgs.msg import CompressedImage, Image

from vljepa_ros.msg import SemanticEmbedding
from vljepa_ros.nodes import diagnostics
from vljepa_ros.nodes.diagnostics import Diagnostics

CAMERA, MODEL, NODE = "predictor_node: camera", "predictor_node: model", "predictor_node: node"
ERROR, WARN, OK = b"\x02", b"\x01", b"\x00"


def test_once_a_second(ros_executor: Any, wait_until: Any) -> None:
    node = Node("reporter")
    ros_executor.add_node(node)
    received: list[DiagnosticArray] = []
    node.create_subscription(DiagnosticArray, "/diagnostics", received.append, 10)
    Diagnostics(node).add("part", lambda status: status.value("share", 0.25))
    wait_until(lambda: len(received) >= 3, spin=lambda: ros_executor.spin_once(0.05), what="three reports")
    times = [one.header.stamp.sec + one.header.stamp.nanosec / 1e9 for one in received]
    assert diagnostics.PERIOD_S == 1.0 and times[2] - times[0] > 1.5
    status = received[0].status[0]
    assert (status.name, status.level, status.message) == ("reporter: part", OK, "ok")
    assert [(one.key, one.value) for one in status.values] == [("share", "0.250")]


def test_the_worst_comes_first_and_a_report_that_fails_says_so(bench: Any) -> None:
    def two(status: Any) -> None:
        status.warn("a bit late")
        status.error("no camera")

    bench.predictor()
    extra = Diagnostics(bench.outside)
    extra.add("two", two)
    extra.add("broken", lambda status: 1 / 0)
    assert bench.until_said("outside: two", "no camera; a bit late", level=ERROR)
    assert bench.until_said("outside: broken", "ZeroDivisionError", level=ERROR)


def test_rates_latency_and_counts_of_a_healthy_stream(bench: Any, noise: Any, stamps: Any, to_image: Any) -> None:
    predictor = bench.predictor(clip__stride_s=0.5)
    images, sent = cycle(noise(2)), iter(stamps(100_000))  # two: a picture that never changes is a frozen camera's

    def well() -> bool:
        bench.send(predictor, to_image(next(images), next(sent)))
        values = bench.values(MODEL)
        return bool(values) and int(values["embeddings"]) > 5 and float(values["embeddings_per_s"]) > 0

    bench.until(well, "five embeddings and their rate")
    values = bench.values(MODEL)
    assert 0 < float(values["latency_ms_p50"]) <= float(values["latency_ms_p99"]) < 5000
    assert values["last_error"] == "" and values["drops.model_error"] == "0" and values["space_id"] == predictor._model.space_id
    values = bench.values(CAMERA)
    assert int(values["frames"]) >= 20 and (values["encoding"], values["size"], values["publishers"]) == ("rgb8", "64x48", "1")
    assert all(bench.status(name).level == OK for name in (NODE, CAMERA, MODEL))


def test_no_camera_at_all(bench: Any) -> None:
    bench.predictor(silence_s=0.2, start_s=2.0)
    bench.until_said(CAMERA, "no image on /image", "nobody publishes", "remap", level=WARN)
    bench.until_said(CAMERA, "no image on /image", "nobody publishes", "remap", level=ERROR)


def test_a_camera_that_publishes_under_another_name(bench: Any) -> None:
    bench.predictor(silence_s=0.2, start_s=0.2)
    bench.outside.create_publisher(Image, "/front/image_raw", 1)
    bench.until_said(CAMERA, "no image on /image", "remap `image` to one of /front/image_raw", level=ERROR)


def test_a_camera_that_shows_one_picture_again_and_again(bench: Any, noise: Any, to_image: Any) -> None:
    predictor = bench.predictor(frozen_s=0.5, clip__stride_s=5.0)
    clock, (first, second) = bench.outside.get_clock(), noise(2)

    def told(image: Any, frozen: bool) -> bool:
        bench.send(predictor, to_image(image, clock.now().nanoseconds))
        status = bench.status(CAMERA)
        return status is not None and ("has not changed" in status.message) == frozen

    bench.until(lambda: told(first, True), "the complaint")
    assert bench.status(CAMERA).level == WARN and "frozen_s" in bench.status(CAMERA).message
    bench.until(lambda: told(second, False), "its end")


def test_a_camera_that_is_there_and_starves_names_the_remedies(bench: Any) -> None:
    bench.predictor(silence_s=0.2)
    bench.camera(Image, "image")
    bench.until_said(CAMERA, "no image", "1 publisher(s)", "fastdds_shm32m.xml", "compressed", level=ERROR)


def test_a_camera_too_slow_for_the_clips(bench: Any, noise: Any, to_image: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    predictor = bench.predictor(clip__stride_s=0.01)
    predictor._of("").camera._rate._window_s = 0.5
    clock = bench.outside.get_clock()

    def said() -> bool:
        bench.send(predictor, to_image(noise(1)[0], clock.now().nanoseconds))
        for _ in range(3):
            bench.spin()
        status = bench.status(CAMERA)
        return status is not None and "only" in status.message and "clip.stride_s" in status.message

    bench.until(said, "the complaint")


def test_a_camera_whose_qos_does_not_fit(bench: Any) -> None:
    """Asked for reliable images by override, while the camera sends best effort."""
    override = {"qos_overrides./image.subscription.reliability": "reliable"}
    bench.predictor(silence_s=0.2, **override)
    bench.outside.create_publisher(Image, "image", qos_profile_sensor_data)
    bench.until_said(CAMERA, "QoS incompatible", "RELIABILITY", "qos_overrides./image.subscription.reliability", level=ERROR)
    assert bench.values(CAMERA)["qos_incompatible"] == "1"


def test_qos_overrides_are_obeyed_again_after_a_second_activation(bench: Any) -> None:
    predictor = bench.predictor(**{"qos_overrides./image.subscription.reliability": "reliable"})
    predictor.trigger_deactivate()
    predictor.trigger_activate()
    infos = bench.until(lambda: bench.outside.get_subscriptions_info_by_topic("/image"), "the subscription")
    assert infos[0].qos_profile.reliability == QoSReliabilityPolicy.RELIABLE


def test_the_default_qos(bench: Any) -> None:
    bench.predictor()
    bench.decoder()
    graph = bench.outside

    def of(topic: str) -> tuple[Any, Any]:
        profile = bench.until(lambda: graph.get_publishers_info_by_topic(topic), f"a publisher of {topic}")[0].qos_profile
        return profile.reliability, profile.durability

    reliable, volatile, latched = QoSReliabilityPolicy.RELIABLE, QoSDurabilityPolicy.VOLATILE, QoSDurabilityPolicy.TRANSIENT_LOCAL
    assert of("/predictor_node/embedding") == of("/predictor_node/transition") == (reliable, volatile)
    assert of("/predictor_node/space") == of("/decoder_node/text") == (reliable, latched)
    camera = bench.until(lambda: graph.get_subscriptions_info_by_topic("/image"), "the camera's subscriber")[0].qos_profile
    assert camera.reliability == QoSReliabilityPolicy.BEST_EFFORT


def test_a_subscriber_that_hears_nothing(bench: Any) -> None:
    bench.predictor()
    profile = QoSProfile(depth=1, durability=QoSDurabilityPolicy.TRANSIENT_LOCAL)
    bench.outside.create_subscription(SemanticEmbedding, "predictor_node/embedding", lambda message: None, profile)
    bench.until_said(NODE, "incompatible QoS", "/predictor_node/embedding", "DURABILITY", level=WARN)


def test_a_topic_of_another_type(bench: Any) -> None:
    """From another process, as it were: one process cannot have two types on a topic."""
    bench.predictor(silence_s=0.2)
    context = Context()
    rclpy.init(context=context)
    stranger = rclpy.create_node("stranger", context=context)
    try:
        stranger.create_publisher(CompressedImage, "image", 10)
        bench.until_said(CAMERA, "no image on /image", "carries sensor_msgs/msg/CompressedImage, not Image", level=ERROR)
    finally:
        stranger.destroy_node()
        context.try_shutdown()


@pytest.mark.parametrize("transport, there, remedy", [("raw", CompressedImage, "compressed"), ("compressed", Image, "raw")])
def test_the_other_transport_is_there(bench: Any, transport: str, there: type, remedy: str) -> None:
    bench.predictor(silence_s=0.2, image_transport=transport)
    topic = "/image/compressed" if there is CompressedImage else "/image"
    bench.outside.create_publisher(there, topic, 10)
    bench.until_said(CAMERA, f"somebody publishes {topic}", f"set image_transport to {remedy}", level=ERROR)


def test_a_model_that_fails_now_and_then(bench: Any, noise: Any, stamps: Any, to_image: Any) -> None:
    predictor = bench.predictor()
    embed, calls = predictor._model.look, []

    def sometimes(*arguments: Any) -> Any:
        calls.append(1)
        if len(calls) == 2:
            raise MemoryError("no memory for this one")
        return embed(*arguments)

    predictor._model.look = sometimes
    for image, stamp_ns in zip(noise(14), stamps(14)):
        bench.send(predictor, to_image(image, stamp_ns))
        done = predictor._of("").clips._sequence
        bench.until(lambda done=done: len(calls) == done, "the worker")
    bench.until_said(MODEL, "failed on 1 clips", "no memory", level=WARN)
    assert len(bench.embeddings) >= 3 and 1 not in [one.sequence for one in bench.embeddings]
    assert bench.values(MODEL)["drops.model_error"] == "1"


@pytest.mark.parametrize("error, words", [(RuntimeError, "in a row"), (SystemExit, "the worker stopped")])
def test_a_model_that_fails_for_good(bench: Any, noise: Any, stamps: Any, to_image: Any, error: type, words: str) -> None:
    predictor = bench.predictor()

    def fail(*_: Any) -> None:
        raise error("the device is gone")

    works, predictor._model.look = predictor._model.look, fail
    worker = predictor._worker
    for image, stamp_ns in zip(noise(20), stamps(20)):
        bench.send(predictor, to_image(image, stamp_ns))
        clips = predictor._of("").clips._sequence
        bench.until(lambda clips=clips: worker.failures == clips or not worker.alive, "the worker")
    bench.until_said(MODEL, words, "the device is gone", level=ERROR)
    assert predictor.state == "active" and not bench.embeddings
    predictor._model.look = works
    predictor.trigger_deactivate()
    predictor.trigger_activate()
    start_ns = stamps(40)[20]
    bench.stream(predictor, noise(10), stamps(10, start_ns=start_ns))
    assert bench.embeddings, "it works again"
    bench.until(lambda: words not in bench.status(MODEL).message, "the end of the complaint")


def test_no_predictor(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vljepa_ros.nodes.predictor_topics.SILENCE_S", 0.2)
    bench.decoder()
    bench.until_said("decoder_node: input", "no embedding on /predictor_node/embedding", "nobody publishes", level=WARN)


def test_core_logs_reach_the_ros_log(bench: Any, noise: Any, stamps: Any, capfd: pytest.CaptureFixture) -> None:
    predictor = bench.predictor()
    bench.stream(predictor, noise(2), [0, stamps(1)[0]])
    bench.stream(predictor, noise(1), [1000])
    logged = capfd.readouterr().err
    assert "[WARN]" in logged and "stamp 0" in logged and "epoch 1 begins: backward_jump" in logged
    assert logged.count("epoch 1 begins") == 1


def test_in_simulated_time_silence_passes_with_the_clock(bench: Any, noise: Any, to_image: Any) -> None:
    """A bag that is paused or played slowly is no silent camera; one that goes on without images is."""
    from rosgraph_msgs.msg import Clock

    predictor = bench.predictor(use_sim_time=True, silence_s=0.3, step=True)
    bench.until_said(NODE, "use_sim_time is true and nothing comes on /clock", "--clock", level=WARN)
    publisher = bench.outside.create_publisher(Clock, "/clock", 1)

    def at(seconds: float) -> None:
        message = Clock()
        message.clock.sec, message.clock.nanosec = 1_700_000_000 + int(seconds), round(seconds % 1 * 1e9)

        def told() -> bool:
            publisher.publish(message)
            return predictor.get_clock().now().nanoseconds == message.clock.sec * 10**9 + message.clock.nanosec

        bench.until(told, f"the clock at {seconds}")

    at(0.0)
    image = to_image(noise(1)[0], 1_700_000_000 * 10**9)
    bench.camera(Image, "image", QoSProfile(depth=10)).publish(image)
    bench.until(lambda: predictor._of("").camera.frames == 1, "the image")
    before = bench.status(NODE)
    bench.until(lambda: bench.status(NODE) is not before, "a report")
    for _ in range(8):  # of every tenth of a second: the camera says nothing for longer than silence_s
        bench.until_said(CAMERA, "images/s on", level=OK)
    bench.until_said(NODE, "active", level=OK)
    at(5.0)
    bench.until_said(CAMERA, "no image on", "for 5 s", level=ERROR)
    at(1.0)  # the bag begins again
    bench.until_said(CAMERA, "images/s on", level=OK)
