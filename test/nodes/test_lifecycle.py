# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Transitions, again and again; faults on the way, and the way back from them."""
from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState, GetState
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.parameter import Parameter

from vljepa_ros.nodes.decoder_node import DecoderNode
from vljepa_ros.nodes.memory_node import MemoryNode
from vljepa_ros.nodes.predictor_node import PredictorNode
from vljepa_ros.nodes.view_node import ViewNode

SUCCESS, FAILURE = TransitionCallbackReturn.SUCCESS, TransitionCallbackReturn.FAILURE
NODES = pytest.mark.parametrize("make", [PredictorNode, DecoderNode, MemoryNode])
ALL = pytest.mark.parametrize("make", [PredictorNode, DecoderNode, MemoryNode, ViewNode])


def ask(bench: Any, node: Any, transition: int) -> bool:
    """Through the service, as a lifecycle manager does."""
    request = ChangeState.Request(transition=Transition(id=transition))
    return call(bench, ChangeState, f"{node.get_name()}/change_state", request).success


def state(bench: Any, node: Any) -> str:
    """As rclpy has it, which must be as the node thinks."""
    assert call(bench, GetState, f"{node.get_name()}/get_state", GetState.Request()).current_state.label == node.state
    return node.state


def call(bench: Any, service_type: type, name: str, request: Any) -> Any:
    clients = {client.srv_name: client for client in bench.outside.clients}
    client = clients.get(f"/{name}") or clients.get(name) or bench.outside.create_client(service_type, name)
    bench.until(client.service_is_ready, f"the service {name}")
    future = client.call_async(request)
    bench.until(future.done, f"the answer of {name}")
    return future.result()


@NODES
def test_round_and_round(bench: Any, make: type) -> None:
    node = bench.node(make, active=False)
    for _ in range(2):
        assert node.trigger_configure() == SUCCESS and state(bench, node) == "inactive"
        for _ in range(2):
            assert node.trigger_activate() == SUCCESS and state(bench, node) == "active"
            assert node.trigger_deactivate() == SUCCESS and state(bench, node) == "inactive"
            assert node._model is not None, "deactivate keeps the model"
        assert node.trigger_cleanup() == SUCCESS and state(bench, node) == "unconfigured"
        assert node._model is None
    assert node.trigger_shutdown() == SUCCESS and state(bench, node) == "finalized"
    node.destroy_node()
    node.destroy_node()


@ALL
def test_a_destroyed_node_is_gone_from_the_graph_while_we_still_hold_it(bench: Any, make: type) -> None:
    """Else it is there until a garbage collection, in a later test's graph too: a service of its name that nobody answers."""
    node = bench.node(make)
    name = node.get_fully_qualified_name()
    services = {one for one, _ in bench.outside.get_service_names_and_types() if one.startswith(f"{name}/")}
    assert {f"{name}/change_state", f"{name}/get_state"} < services
    services.discard(f"{name}/get_type_description")  # rclpy 7 leaves any node's to the end of the context
    bench.executor.remove_node(node)
    node.destroy_node()
    bench.until(lambda: name[1:] not in bench.outside.get_node_names(), "the end of its name")
    bench.until(lambda: not any(map(bench.outside.count_services, services)), "the end of its services")
    bench.until(lambda: not bench.outside.count_publishers(f"{name}/transition_event"), "the end of its transitions' topic")


@NODES
def test_shutdown_from_active(bench: Any, make: type) -> None:
    node = bench.node(make)
    worker = node._worker
    assert node.trigger_shutdown() == SUCCESS and state(bench, node) == "finalized"
    assert not worker.alive and node._model is None


@ALL
def test_through_the_services_and_what_is_not_allowed_there(bench: Any, make: type) -> None:
    node = bench.node(make, active=False)
    assert not ask(bench, node, Transition.TRANSITION_ACTIVATE), "from unconfigured"
    assert ask(bench, node, Transition.TRANSITION_CONFIGURE) and not ask(bench, node, Transition.TRANSITION_CONFIGURE)
    assert ask(bench, node, Transition.TRANSITION_ACTIVATE) and not ask(bench, node, Transition.TRANSITION_ACTIVATE)
    assert not ask(bench, node, 250), "no such transition"
    assert state(bench, node) == "active"


@ALL
def test_autostart(bench: Any, make: type) -> None:
    node = bench.node(make, active=False, autostart=True)
    bench.until(lambda: node.state == "active", "active by itself")
    assert state(bench, node) == "active"
    bench.until_said(f"{node.get_name()}: node", "active", level=b"\x00")


@ALL
def test_without_autostart_it_waits_and_says_so(bench: Any, make: type) -> None:
    node = bench.node(make, active=False)
    for _ in range(3):
        bench.until_said(f"{node.get_name()}: node", "unconfigured", "nothing is computed", level=b"\x01")
    assert state(bench, node) == "unconfigured"


def test_deactivated_it_says_nothing_and_a_new_epoch_follows(bench: Any, noise: Any, stamps: Any, to_image: Any) -> None:
    node = bench.predictor()
    sent, images = stamps(40), noise(40)
    bench.stream(node, images[:10], sent[:10])
    count = len(bench.embeddings)
    assert count and node.trigger_deactivate() == SUCCESS
    publisher = bench._cameras["image"]
    bench.until(lambda: publisher.get_subscription_count() == 0, "the camera's loss of its subscriber")
    publisher.publish(to_image(images[10], sent[10]))
    assert node.trigger_activate() == SUCCESS
    bench.until(lambda: publisher.get_subscription_count() == 1, "its return")
    bench.stream(node, images[11:21], sent[11:21])  # the stamps alone would not tell a break
    assert {one.epoch for one in bench.embeddings[:count]} == {0} and {one.epoch for one in bench.embeddings[count:]} == {1}
    assert min(one.clip_start.sec * 10**9 + one.clip_start.nanosec for one in bench.embeddings[count:]) >= sent[11]
    assert node.trigger_deactivate() == node.trigger_cleanup() == node.trigger_configure() == node.trigger_activate() == SUCCESS
    bench.until(lambda: publisher.get_subscription_count() == 1, "its second return")
    bench.embeddings.clear()
    for image, stamp_ns in zip(images[21:31], sent[21:31]):
        bench.send(node, to_image(image, stamp_ns))
    bench.until(lambda: bench.embeddings, "embeddings after all that")
    assert {one.epoch for one in bench.embeddings} == {2}, "epochs count up over the node's life"


def truncate(folder: Path) -> None:
    for file in folder.glob("*.safetensors"):
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def alter(folder: Path) -> None:
    """One bit of every weight file."""
    for file in folder.glob("*.safetensors"):
        data = bytearray(file.read_bytes())
        data[-1] ^= 1
        file.write_bytes(data)


def alter_config(folder: Path) -> None:
    config = folder / "config.json"
    config.write_text(config.read_text().replace("tiny", "tinY"))


def foreign_config(folder: Path) -> None:
    (folder / "config.json").write_text(json.dumps({"architectures": ["LlamaForCausalLM"]}))


DAMAGE = {
    "missing": shutil.rmtree, "truncated": truncate, "altered": alter, "config altered": alter_config,
    "config foreign": foreign_config,
}


@NODES
@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_checkpoint_fails_configure_in_one_line(
    bench: Any, make: type, damage: str, tmp_path: Path, capfd: pytest.CaptureFixture
) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(bench.checkpoint, folder)
    DAMAGE[damage](folder)
    node = bench.node(make, active=False, autostart=True, checkpoint=str(folder))
    bench.until(lambda: node.fault, "the failure of autostart")
    assert state(bench, node) == "unconfigured" and "configure failed" in node.fault
    named = folder.name if damage == "missing" else "config.json" if "config" in damage else ".safetensors"
    assert named in node.fault and "\n" not in node.fault
    assert ";" in node.fault, "problem; remedy"
    errors = [line for line in capfd.readouterr().err.splitlines() if "[ERROR]" in line]
    assert len(errors) == 2 and "configure failed" in errors[0] and "stays unconfigured" in errors[1], errors
    bench.until_said(f"{node.get_name()}: node", "unconfigured", named, level=b"\x02")
    assert not ask(bench, node, Transition.TRANSITION_CONFIGURE), "it is still damaged"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(bench.checkpoint, folder)
    assert ask(bench, node, Transition.TRANSITION_CONFIGURE) and ask(bench, node, Transition.TRANSITION_ACTIVATE)
    bench.until_said(f"{node.get_name()}: node", "active", level=b"\x00")


@ALL
def test_a_bad_parameter_fails_configure_and_can_be_mended(bench: Any, make: type) -> None:
    node = bench.node(make, active=False, threads=-5)
    assert node.trigger_configure() == FAILURE and "threads must be" in node.fault and "-5" in node.fault
    assert node.set_parameters([Parameter("threads", value=1)])[0].successful
    assert node.trigger_configure() == SUCCESS
    refused = node.set_parameters([Parameter("threads", value=2)])[0]
    assert not refused.successful and "configure" in refused.reason


@NODES
def test_a_checkpoint_without_the_part_is_named(bench: Any, make: type, tmp_path: Path) -> None:
    from vljepa_ros.model import VLJEPA

    keep = ("text_decoder", "text_encoder") if make is PredictorNode else ("predictor", "vision")
    VLJEPA.from_pretrained(bench.checkpoint, device="cpu", engine="torch", parts=keep).save_pretrained(tmp_path / "half")
    node = bench.node(make, active=False, checkpoint=str(tmp_path / "half"))
    assert node.trigger_configure() == FAILURE and "half" in node.fault and "has no part" in node.fault


@NODES
def test_activate_that_fails_leaves_an_inactive_node_that_can_be_activated(
    bench: Any, make: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = bench.node(make, active=False)
    assert node.trigger_configure() == SUCCESS
    with monkeypatch.context() as patch:
        patch.setattr(node, "create_subscription", lambda *_, **__: 1 / 0)
        assert node.trigger_activate() == FAILURE
    assert state(bench, node) == "inactive" and "ZeroDivisionError" in node.fault and node._worker is None
    assert node.trigger_activate() == SUCCESS and state(bench, node) == "active" and node.fault == ""


@NODES
def test_deactivate_that_fails_releases_all(bench: Any, make: type, monkeypatch: pytest.MonkeyPatch) -> None:
    node = bench.node(make)

    def stop(timeout_s: float = 0) -> None:
        raise TimeoutError("it does not finish")

    monkeypatch.setattr(node._worker, "stop", stop)
    node._worker._inbox.close()
    assert node.trigger_deactivate() == TransitionCallbackReturn.ERROR
    assert state(bench, node) == "unconfigured" and node._model is None and "does not finish" in node.fault
    assert node.trigger_configure() == node.trigger_activate() == SUCCESS
