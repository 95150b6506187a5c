# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A node killed, dead or slow: the other one goes on as before, and what was killed is back.

Rates are embeddings per image sent and answers per request, so that a machine with other work to do changes nothing. What launch
does is tested where launch_ros is importable.
"""
from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

ROOT = Path(__file__).resolve().parents[2]
STARTS_S = 150.0  # for a process to import torch: 3 s on two idle cores, a minute where others use them
FRAME_S = 0.1
SLOW = """
import time
from vljepa_ros.model import VLJEPA
from vljepa_ros.nodes.decoder_node import DecoderNode
from vljepa_ros.nodes.lifecycle import run

decode = VLJEPA.decode_full

def slow(self, vectors):
    time.sleep(2.0)
    return decode(self, vectors)

VLJEPA.decode_full = slow
run(DecoderNode)
"""


class Street:
    """A camera at 10 Hz that never stops, and what became of its images."""

    def __init__(self, bench: Any, image: Any, to_image: Callable[..., Any]) -> None:
        from sensor_msgs.msg import Image

        self.bench, self._image, self._to_image, self.sent = bench, image, to_image, []
        self._publisher = bench.camera(Image, "image")
        self._due = time.monotonic()

    def drive(self) -> None:
        """Once around the executor, and an image if one is due."""
        if time.monotonic() >= self._due:
            self._due = max(self._due + FRAME_S, time.monotonic() - FRAME_S)
            stamp_ns = time.time_ns()
            self.sent.append(stamp_ns)
            self._publisher.publish(self._to_image(self._image, stamp_ns))
        self.bench.executor.spin_once(0.01)

    def until(self, predicate: Callable[[], Any], what: str, timeout: float = 150.0) -> None:
        self.bench._wait_until(predicate, timeout=timeout, spin=self.drive, what=what)

    def rate(self, frames: int) -> float:
        """Embeddings per image, of so many images from now on."""
        first = len(self.sent)
        self.until(lambda: len(self.sent) >= first + frames, "the images", 150 + 2 * frames * FRAME_S)
        stretch = set(self.sent[first : first + frames])
        self.until(lambda: self.newest_ns() >= self.sent[first + frames - 1], "the embeddings of the images")
        return len(stretch & {stamp(one) for one in self.bench.embeddings}) / frames

    def answers(self, node: str, requests: int) -> float:
        """Answers per request to a node, one after another, while images go on: any of its services that makes something."""
        from vljepa_ros.srv import DecodeText, EncodeText, Predict

        latest = self.bench.embeddings[-1]
        asks = {"predictor_node": [("predict", Predict, Predict.Request(query="Is the lamp on?"))], "decoder_node": [
            ("encode_text", EncodeText, EncodeText.Request(texts=["The lamp is on."])),
            ("decode_text", DecodeText, DecodeText.Request(
                space_id=latest.space_id, dim=len(latest.vector), vectors=latest.vector)),
        ]}[node]  # fmt: skip
        clients = [self.bench.outside.create_client(kind, f"{node}/{name}") for name, kind, _ in asks]
        self.until(lambda: all(one.service_is_ready() for one in clients), f"the services of {node}")
        answered, began = 0, time.monotonic()
        for number in range(requests):
            future = clients[number % len(asks)].call_async(asks[number % len(asks)][2])
            self.until(future.done, f"an answer of {node}")
            answered += future.result().success
        self.answer_ms = (time.monotonic() - began) / requests * 1e3
        for one in clients:
            self.bench.outside.destroy_client(one)
        return answered / requests

    def newest_ns(self) -> int:
        return stamp(self.bench.embeddings[-1]) if self.bench.embeddings else 0


def stamp(message: Any) -> int:
    return message.header.stamp.sec * 10**9 + message.header.stamp.nanosec


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen]]:
    """`start(command, log)` -> a process in a session of its own, killed afterwards with all that it started."""
    started: list[subprocess.Popen] = []

    def begin(command: list[Any], log: str) -> subprocess.Popen:
        with (tmp_path / log).open("ab") as file:
            started.append(subprocess.Popen(
                list(map(str, command)), stdout=file, stderr=subprocess.STDOUT, start_new_session=True,
                env=os.environ | {"OMP_NUM_THREADS": "1", "HOME": str(tmp_path)},
            ))
        return started[-1]

    yield begin
    for process in started:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        process.wait(10)
    for log in tmp_path.glob("*.log"):  # shown where the test fails
        print(f"--- {log.name}\n{log.read_text()}")


def node_command(name: str, checkpoint: Path, program: str = "", **parameters: Any) -> list[Any]:
    parameters = {"checkpoint": checkpoint, "threads": 1} | parameters
    arguments = [item for key, value in parameters.items() for item in ("-p", f"{key}:={value}")]
    return [sys.executable, *(["-c", program] if program else [ROOT / "scripts" / name]), "--ros-args", *arguments]


def active(bench: Any, name: str) -> bool:
    return bench.values(f"{name}: node").get("state") == "active"


def test_a_dead_or_slow_decoder_costs_no_embedding(
    bench: Any, noise: Any, to_image: Any, start: Any, size: Callable[[int, int], int], figures: dict
) -> None:
    frames, lost = size(20, 600), size(25, 5) / 100  # of a few images, one lost by a busy machine is a large share
    start(node_command("predictor_node", bench.checkpoint), "predictor.log")
    talks = {"decode.max_silence_s": 0.6}
    decoder = start(node_command("decoder_node", bench.checkpoint, **talks), "decoder.log")
    bench.until(lambda: active(bench, "predictor_node") and active(bench, "decoder_node"), "both nodes", STARTS_S)
    street = Street(bench, noise(1)[0], to_image)
    street.until(lambda: bench.embeddings and bench.texts, "embeddings and a text")
    rates = {"with a decoder": street.rate(frames)}
    decoder.kill()
    decoder.wait(10)
    rates["without one"] = street.rate(frames)
    figures["answers of the predictor per request, without a decoder"] = street.answers("predictor_node", frames)
    texts = len(bench.texts)
    start(node_command("decoder_node", bench.checkpoint, program=SLOW, **talks), "slow.log")
    street.until(lambda: len(bench.texts) > texts, "a slow decoder's text", STARTS_S)
    rates["2 s per text"] = street.rate(frames)
    assert bench.texts[-1].decode_seconds >= 2.0
    figures |= {"images": frames, **{what: round(rate, 4) for what, rate in rates.items()}}
    assert rates["with a decoder"] > 0.5, "or there is nothing to lose"
    for rate in rates.values():
        assert abs(rate / rates["with a decoder"] - 1) < lost, rates
    assert figures["answers of the predictor per request, without a decoder"] == 1.0


def test_a_dead_predictor_costs_no_answer(
    bench: Any, noise: Any, to_image: Any, start: Any, size: Callable[[int, int], int], figures: dict
) -> None:
    """And the decoder speaks again when the predictor is back, without being told."""
    requests, command = size(40, 600), node_command("predictor_node", bench.checkpoint)
    predictor = start(command, "predictor.log")
    start(node_command("decoder_node", bench.checkpoint, **{"decode.max_silence_s": 0.6}), "decoder.log")
    bench.until(lambda: active(bench, "predictor_node") and active(bench, "decoder_node"), "both nodes", STARTS_S)
    street = Street(bench, noise(1)[0], to_image)
    street.until(lambda: bench.embeddings and bench.texts, "embeddings and a text")
    answers: dict[str, float] = {}

    def ask(when: str) -> None:
        answers[when] = street.answers("decoder_node", requests)
        figures[f"ms per answer, {when}"] = round(street.answer_ms, 1)

    ask("with a predictor")
    predictor.kill()
    predictor.wait(10)
    ask("without one")
    bench.until_said("decoder_node: input", "no embedding on /predictor_node/embedding", level=b"\x01")
    heard = len(bench.embeddings)
    start(command, "predictor again.log")
    street.until(lambda: len(bench.embeddings) > heard, "embeddings again", STARTS_S)
    texts = len(bench.texts)
    street.until(lambda: len(bench.texts) > texts, "words again")
    ask("with a new one")
    figures |= {"requests": requests, **{f"answers per request, {when}": share for when, share in answers.items()}}
    assert set(answers.values()) == {1.0}, answers


@pytest.mark.launch
def test_a_killed_node_comes_back_under_launch(
    bench: Any, noise: Any, to_image: Any, start: Any, tmp_path: Path, size: Callable[[int, int], int], figures: dict
) -> None:
    frames = size(20, 300)
    config = tmp_path / "talks.yaml"
    config.write_text("/**/decoder_node: {ros__parameters: {decode.max_silence_s: 0.6, threads: 1}}\n")
    arguments = [f"checkpoint:={bench.checkpoint}", f"config:={config}"]
    run, file = ROOT / "test" / "launch" / "run_launch_file.py", ROOT / "launch" / "vljepa.launch.py"
    launched = start([sys.executable, run, file, *arguments], "launch.log")
    both = ("predictor_node", "decoder_node")
    bench.until(lambda: all(active(bench, name) for name in both), "both nodes", STARTS_S)
    street = Street(bench, noise(1)[0], to_image)
    street.until(lambda: bench.embeddings and bench.texts, "embeddings and a text")
    usual = street.rate(frames)

    def pid(name: str) -> int | None:
        for one in psutil.Process(launched.pid).children(recursive=True):
            try:
                if any(argument.endswith(f"/{name}") for argument in one.cmdline()):
                    return one.pid
            except psutil.Error:
                pass
        return None

    for name in both:
        before, texts = pid(name), len(bench.texts)
        os.kill(before, signal.SIGKILL)
        killed = time.monotonic()
        bench._statuses.pop(f"{name}: node", None)
        if name == "decoder_node":
            figures["embeddings per image while the decoder is dead, of the usual"] = round(street.rate(frames) / usual, 4)
        else:
            figures["answers of the decoder per request while the predictor is dead"] = street.answers("decoder_node", frames)
        street.until(lambda: pid(name) not in (None, before), "the node's return", STARTS_S)  # noqa: B023
        street.until(lambda: active(bench, name), "its being active", STARTS_S)  # noqa: B023
        loaded, heard = time.monotonic(), len(bench.embeddings)
        street.until(lambda: len(bench.embeddings) > heard, "embeddings again")  # noqa: B023
        figures[f"{name} killed: s until active"] = round(loaded - killed, 1)
        figures[f"{name} killed: s from there to the next embedding"] = round(time.monotonic() - loaded, 2)
        assert time.monotonic() - loaded < 10
        street.until(lambda: len(bench.texts) > texts, "words again")  # noqa: B023
    assert abs(figures["embeddings per image while the decoder is dead, of the usual"] - 1) < size(25, 5) / 100, figures
    assert figures["answers of the decoder per request while the predictor is dead"] == 1.0
    os.killpg(launched.pid, signal.SIGINT)
    assert launched.wait(60) == 0
