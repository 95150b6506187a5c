# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The planner's client: from a script, from threads and from callbacks; what it answers, and what it says where it cannot."""
from __future__ import annotations

import subprocess
import sys
import threading
import time
from typing import Any

import numpy as np
import pytest
import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.parameter import Parameter
from std_srvs.srv import Trigger

from vljepa_ros.client import Ended, NoAnswer, NotStanding, NotThere, Refused, SpaceMismatch, VLJEPAClient
from vljepa_ros.model import VLJEPA

QUESTION, CANDIDATES = "Is the lamp on?", ["The lamp is on.", "The lamp is off.", "The drawer is open."]
GREY = np.full((48, 64, 3), 90, np.uint8)


@pytest.fixture
def client(planner: Any) -> Any:
    with VLJEPAClient(planner) as client:
        yield client


@pytest.fixture
def nodes(stage: Any) -> Any:
    """Both nodes at work, and a camera that films grey."""
    predictor, decoder = stage.bench.predictor(engine="torch", clip__stride_s=0.05), stage.bench.decoder(engine="torch")
    stage.image = GREY
    stage.start()
    return predictor, decoder


def test_a_question_with_candidates(nodes: Any, client: VLJEPAClient, stage: Any) -> None:
    client.wait_for_embedding(60.0)
    answer = client.ask(QUESTION, CANDIDATES, 60.0)
    model = VLJEPA.from_pretrained(stage.bench.checkpoint, device="cpu", engine="torch")
    expected = model.encode_text(CANDIDATES) @ model.embed(GREY, QUESTION)
    assert set(answer.scores) == set(CANDIDATES)
    assert answer.best == CANDIDATES[int(expected.argmax())] == next(iter(answer.scores))
    np.testing.assert_allclose([answer.scores[one] for one in CANDIDATES], expected, atol=1e-4)
    assert answer.margin == pytest.approx(np.diff(np.sort(expected))[-1], abs=1e-4)
    assert answer.seen.query == QUESTION and answer.seen.space_id == model.space_id and answer.seen.familiar
    assert answer.seen.frame_id == "camera" and 0 <= answer.seen.age_s < 60


def test_texts_are_placed_once_per_space(nodes: Any, client: VLJEPAClient) -> None:
    _, decoder = nodes
    asked: list[list[str]] = []
    works = decoder._model.encode_text
    decoder._model.encode_text = lambda texts: (asked.append(list(texts)), works(texts))[1]
    client.wait_for_embedding(60.0)
    first = client.ask(QUESTION, CANDIDATES, 60.0)
    client.ask("", [*CANDIDATES[1:], "a"], 60.0)
    assert asked == [CANDIDATES, ["a"]]
    again = client.encode([*CANDIDATES, *CANDIDATES], first.seen.space_id)
    assert len(asked) == 2 and np.array_equal(again[:3], again[3:])
    many = [f"a{index}" for index in range(150)]
    np.testing.assert_allclose(client.encode(many, first.seen.space_id, 60.0)[-2:], works(many[-2:]), atol=1e-5)
    assert [len(texts) for texts in asked[2:]] == [64, 64, 22]


def test_looking_and_waiting_for_what_is_seen(nodes: Any, client: VLJEPAClient) -> None:
    predictor, _ = nodes
    assert client.latest("nobody asks this") is None
    seen = client.wait_for_embedding(60.0)
    later = client.wait_for_embedding(60.0)
    assert later.sequence > seen.sequence and client.latest().sequence >= later.sequence and client.latest().age_s < 60
    assert seen.query == predictor._queries[0] and np.linalg.norm(seen.vector_D) == pytest.approx(1, abs=1e-4)
    assert client.space.space_id == seen.space_id and list(client.space.queries) == [seen.query]
    with pytest.raises(NotStanding, match="nobody asks this.*add it to predictor_node's queries"):
        client.wait_for_embedding(0.3, "nobody asks this")


def test_waiting_for_a_text(nodes: Any, client: VLJEPAClient) -> None:
    seen = client.wait_for_embedding(60.0)
    score = float(client.encode(["a"], seen.space_id, 60.0)[0] @ seen.vector_D)
    match = client.wait_for_similarity("a", score - 0.01, 60.0)
    assert match.score == pytest.approx(score, abs=0.01) and match.seen.query == seen.query
    assert client.wait_for_similarity("a", min(score + 0.05, 1.0), 0.5) is None
    with pytest.raises(ValueError, match="threshold is a cosine.*1.5"):
        client.wait_for_similarity("a", 1.5)


def test_foreign_clips_do_not_count(nodes: Any, client: VLJEPAClient) -> None:
    predictor, _ = nodes
    works = predictor._model.look
    predictor._model.look = lambda *arguments: works(*arguments)._replace(novelty=1.5)
    client.wait_for_embedding(60.0)
    client._link.wait(lambda: client.latest().novelty > 1, 60.0)
    assert client.wait_for_similarity("a", -1.0, 0.5) is None
    assert not client.wait_for_similarity("a", -1.0, 60.0, foreign=True).seen.familiar


def test_transitions_are_waited_for_and_called_back(stage: Any, client: VLJEPAClient) -> None:
    """And a callback may ask, which takes the client's own thread and the nodes'."""
    stage.bench.predictor(transition__threshold=1e-5, transition__min_segment_s=0.5, transition__settle_s=0.3)
    stage.bench.decoder()
    stage.image = np.zeros((48, 64, 3), np.uint8)
    stage.start()
    answers: list[Any] = []
    end = client.on_transition(lambda transition: answers.append((transition, client.ask(QUESTION, CANDIDATES, 60.0))))
    client.on_transition(lambda _: 1 / 0)  # is logged and keeps nobody else from hearing
    client.wait_for_embedding(60.0)
    deadline = time.monotonic() + 2.0
    while time.monotonic() < deadline:  # an old state needs its time
        client.wait_for_embedding(60.0)
    light = np.full((48, 64, 3), 255, np.uint8)
    light[:, :32] = 0
    threading.Timer(0.3, lambda: setattr(stage, "image", light)).start()
    transition = client.wait_for_transition(60.0)
    assert transition.distance > transition.threshold and len(transition.after) == 16
    stage.until(lambda: answers, "the callback's answer")
    assert answers[0][1].best in CANDIDATES
    end()
    while client.wait_for_transition(1.0) is not None:  # a threshold of next to nothing tells the same change twice
        pass


def test_a_callback_of_a_spun_node_may_ask(nodes: Any, stage: Any) -> None:
    """The executor of the node's own callback is blocked meanwhile; the client does not need it."""
    planner = rclpy.create_node("spun_planner")
    with VLJEPAClient(planner) as client:
        client.wait_for_embedding(60.0)

        def on_request(_: Any, response: Any) -> Any:
            response.message, response.success = client.ask(QUESTION, CANDIDATES, 60.0).best, True
            return response

        planner.create_service(Trigger, "what", on_request)
        executor = SingleThreadedExecutor()
        executor.add_node(planner)
        asker = planner.create_client(Trigger, "what")
        while not asker.service_is_ready():
            executor.spin_once(0.05)
        future = asker.call_async(Trigger.Request())
        executor.spin_until_future_complete(future, 60.0)
        assert future.result().success and future.result().message in CANDIDATES
        executor.remove_node(planner)
        executor.shutdown()
    planner.destroy_node()


def test_many_threads_may_ask_at_once(nodes: Any, client: VLJEPAClient) -> None:
    client.wait_for_embedding(60.0)
    answers: list[Any] = []
    threads = [threading.Thread(target=lambda: answers.append(client.ask(QUESTION, CANDIDATES, 60.0))) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(answers) == 6 and {one.best for one in answers} == {answers[0].best}


def test_words_for_what_is_seen(nodes: Any, client: VLJEPAClient, stage: Any) -> None:
    seen = client.wait_for_embedding(60.0)
    model = VLJEPA.from_pretrained(stage.bench.checkpoint, device="cpu", engine="torch")
    words = client.decode(seen.vector_D, seen.space_id, 60.0)
    assert [one.text for one in words] == model.decode(seen.vector_D) and 0 <= words[0].confidence <= 1
    with pytest.raises(Refused, match="feedface.*same checkpoint"):
        client.decode(seen.vector_D, "feedface", 60.0)


# what it says where it cannot


def test_nodes_that_are_not_there_are_named(client: VLJEPAClient) -> None:
    with pytest.raises(NotThere, match=r"no service /predictor_node/predict.*start predictor_node: ros2 launch"):
        client.predict("", 0.2)
    with pytest.raises(NotThere, match=r"no service /decoder_node/encode_text.*start decoder_node"):
        client.encode(["a"], timeout=0.2)
    for wait in (client.wait_for_embedding, client.wait_for_transition):
        with pytest.raises(NotThere, match="nobody publishes /predictor_node/.*start predictor_node"):
            wait(0.2)
    with pytest.raises(NotThere):
        client.wait_for_similarity("a", 0.5, 0.2)
    with pytest.raises(ValueError, match="candidates"):
        client.ask("a", ["a", "a"])


def test_a_predictor_that_is_silent_or_not_active_says_so(stage: Any, client: VLJEPAClient) -> None:
    predictor = stage.bench.predictor()
    stage.start()
    with pytest.raises(Refused, match="no clip yet"):
        client.predict("", 60.0)
    with pytest.raises(NoAnswer, match="no embedding.*camera"):
        client.wait_for_embedding(0.3)
    stage.does(predictor.trigger_deactivate)
    with pytest.raises(Refused, match="inactive.*lifecycle set /predictor_node activate"):
        client.predict("", 60.0)


def test_a_node_that_does_not_answer_in_time(nodes: Any, client: VLJEPAClient) -> None:
    predictor, _ = nodes
    client.wait_for_embedding(60.0)
    go_on, works = threading.Event(), predictor._model.predict
    predictor._model.predict = lambda *arguments: go_on.wait(100) and works(*arguments)
    with pytest.raises(NoAnswer, match="/predictor_node/predict did not answer within 0.5 s"):
        client.predict("", 0.5)
    go_on.set()
    assert client.predict("", 60.0).query == ""


def test_nodes_of_two_checkpoints_are_never_compared(stage: Any, client: VLJEPAClient, tmp_path: Any) -> None:
    from vljepa_ros.model.random_checkpoint import make_tiny

    other = make_tiny(tmp_path / "other", seed=1)
    stage.bench.predictor()
    stage.bench.decoder(checkpoint=str(tmp_path / "other"))
    stage.image = GREY
    stage.start()
    seen = client.wait_for_embedding(60.0)
    for ask in (lambda: client.ask(QUESTION, CANDIDATES, 60.0), lambda: client.wait_for_similarity("a", 0.0, 60.0)):
        with pytest.raises(SpaceMismatch, match=f"{seen.space_id}.*{other.space_id}.*same checkpoint"):
            ask()


def test_a_change_of_queries_is_followed(nodes: Any, client: VLJEPAClient, stage: Any) -> None:
    predictor, _ = nodes
    before = client.wait_for_embedding(60.0).query
    queries = Parameter("queries", Parameter.Type.STRING_ARRAY, [QUESTION, "a"])
    assert stage.does(lambda: predictor.set_parameters([queries]))[0].successful
    client._link.wait(lambda: client.space.queries[0] == QUESTION, 60.0)
    assert client.wait_for_embedding(60.0).query == QUESTION
    assert client.wait_for_embedding(60.0, "a").query == "a"
    with pytest.raises(NotStanding):
        client.wait_for_embedding(0.3, before)


def test_closing_ends_what_waits(planner: Any) -> None:
    client = VLJEPAClient(planner)
    threading.Timer(0.2, client.close).start()
    with pytest.raises(Ended):
        client.wait_for_transition(60.0)
    with pytest.raises(Ended):
        client.predict("")
    client.close()


def test_shutting_rclpy_down_ends_what_waits() -> None:
    rclpy.init()
    client = VLJEPAClient(rclpy.create_node("planner"))
    threading.Timer(0.2, rclpy.shutdown).start()
    with pytest.raises(Ended):
        client.wait_for_transition(60.0)
    client.close()


SCRIPT = """
import rclpy
from vljepa_ros.client import VLJEPAClient
rclpy.init()
client = VLJEPAClient(rclpy.create_node("script"))
seen = client.wait_for_embedding(200)
answer = client.ask("Is the lamp on?", ["The lamp is on.", "The lamp is off."], 100)
print("answer:", answer.best, *(f"{score:.4f}" for score in answer.scores.values()))
import sys
assert "torch" not in sys.modules and "vljepa_ros.nodes" not in sys.modules
"""  # without a close or a shutdown at the end: people forget


def test_a_script_that_spins_nothing_in_a_process_of_its_own(nodes: Any, stage: Any) -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=250)
    assert done.returncode == 0, done.stderr
    said = done.stdout.removeprefix("answer: ").split(".", 1)
    model = VLJEPA.from_pretrained(stage.bench.checkpoint, device="cpu", engine="torch")
    scores = model.encode_text(CANDIDATES[:2]) @ model.embed(GREY, QUESTION)
    assert f"{said[0]}." == CANDIDATES[int(scores.argmax())]
    assert float(said[1].split()[0]) == pytest.approx(scores.max(), abs=1e-3)
