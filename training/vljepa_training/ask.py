# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`python -m vljepa_training.ask --checkpoint NAME --seed N --clips 60 --json FILE`: what a planner is answered, to a point.

Clips of unseen worlds go to a running predictor as a camera's frames; about each, everything that can be asked is asked with
`client.ask(question, candidates)`, through both nodes. Beside the share of right answers stands what the model itself answers to
the same questions about the same clips: where the two differ, a node is at fault, and each such answer is in the report.

The nodes are processes of their own in a ROS domain of their own. A clip's eight frames are stamped 0.2 s apart and PAUSE_S after
those of the clip before, so that each clip begins an epoch and nothing of one reaches the next; the stamps are nobody's time, so
the frames go out as fast as they are taken.
"""
from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from array import array
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from tqdm import tqdm

from vljepa_ros.cli.processes import Child, ProcessError, environment, stop_all
from vljepa_ros.model import VLJEPA, CheckpointError

from .evals.answers import Answered
from .evals.bench import Bench
from .evals.clips import draw_clips
from .evals.intervals import mean
from .tabletop.state import EVENTS

NS = 1_000_000_000
FIRST_NS = NS  # any stamp but zero
PAUSE_S = 10.0  # beyond the predictor's clip.max_gap_s
READY_S = 300.0  # for two processes to import torch and load weights, on a slow and busy machine
ANSWER_S = 60.0
NODES = ("predictor_node", "decoder_node")
Camera = Callable[[np.ndarray, int], None]  # frame_HWC uint8 RGB, stamp_ns


class Question(Protocol):
    """What is needed of `tabletop.language.Question`."""

    kind: str
    answer: str
    answer_class: str
    candidates: tuple[str, ...]

    def ask(self) -> str: ...


@dataclass(frozen=True, eq=False)
class Shown:
    """A clip and what is asked about it. `group`: its stream."""

    frames_THWC: np.ndarray
    questions: Sequence[Question]
    group: int = 0


def ask_model(model: VLJEPA, shown: Sequence[Shown]) -> list[str]:
    """Its own answers, clip by clip and question by question."""
    bench, out = Bench(model, seed=0), []
    for one in tqdm(shown, desc="the model itself", unit="clip", mininterval=2.0):
        tokens_1ND = model.encode_frames(one.frames_THWC)
        out += [bench.choose(model.predict(tokens_1ND, [q.ask()])[0], q.candidates) for q in one.questions]
    return out


def ask_nodes(shown: Sequence[Shown], period_s: float, checkpoint: str, engine: str, threads: int, logs: Path) -> list[str]:
    """The same by the nodes, which run as long as this does. `period_s`: between frames. Raises ProcessError, ClientError."""
    out = []
    with running_nodes(checkpoint, engine, threads, logs) as (client, show):
        stamp_ns = FIRST_NS
        for one in tqdm(shown, desc="through the nodes", unit="clip", mininterval=2.0):
            for frame_HWC in one.frames_THWC:
                stamp_ns += round(period_s * NS)
                show(frame_HWC, stamp_ns)
            _until(lambda: (seen := client.latest()) is not None and seen.stamp_ns == stamp_ns, ANSWER_S, "the clip")  # noqa: B023
            for question in one.questions:
                answer = client.ask(question.ask(), question.candidates, timeout=ANSWER_S)
                if answer.seen.stamp_ns != stamp_ns:
                    raise ProcessError(f"the answer is about the clip at {answer.seen.stamp_ns} ns, not at {stamp_ns} ns")
                out.append(answer.best)
            stamp_ns += round(PAUSE_S * NS)
    return out


@contextmanager
def running_nodes(checkpoint: str, engine: str, threads: int, logs: Path) -> Iterator[tuple[Any, Camera]]:
    """Both nodes, a client of theirs, and `show(frame_HWC, stamp_ns)`: their camera."""
    env = environment()
    os.environ.update(env)  # for this process's own participant, before rclpy reads it
    import rclpy
    from rclpy.qos import QoSHistoryPolicy, QoSProfile
    from sensor_msgs.msg import Image

    from vljepa_ros.client import VLJEPAClient

    children: list[Child] = []
    with ExitStack() as cleanup:
        cleanup.callback(lambda: stop_all(children))
        common = ["-p", f"checkpoint:={checkpoint}", "-p", f"engine:={engine}", "-p", f"threads:={threads}"]
        for name, own in zip(NODES, (["-p", "step:=true"], [])):
            where = logs / f"{name}.log"
            children.append(Child(name, f"vljepa_ros.nodes.{name}", ["--ros-args", *common, *own], where, env))
        context = rclpy.Context()
        rclpy.init(context=context)
        cleanup.callback(context.try_shutdown)
        node = rclpy.create_node("asking", context=context)
        cleanup.callback(node.destroy_node)
        publisher = node.create_publisher(Image, "image", QoSProfile(history=QoSHistoryPolicy.KEEP_ALL))
        client = cleanup.enter_context(VLJEPAClient(node))

        def ready() -> bool:
            for child in children:
                child.check()
            return bool(publisher.get_subscription_count()) and client.space is not None

        try:
            _until(ready, READY_S, "the nodes")
        except ProcessError as error:
            raise ProcessError("\n".join([str(error), *(child.last_words() for child in children)])) from None
        client.encode(["ready"], timeout=READY_S)  # the decoder as well

        def show(frame_HWC: np.ndarray, stamp_ns: int) -> None:
            height, width, _ = frame_HWC.shape
            message = Image(height=height, width=width, encoding="rgb8", step=3 * width, data=array("B", frame_HWC.tobytes()))
            message.header.stamp.sec, message.header.stamp.nanosec = divmod(stamp_ns, NS)
            publisher.publish(message)

        yield client, show


def report(shown: Sequence[Shown], by_nodes: Sequence[str], by_model: Sequence[str]) -> dict:
    """Shares of right answers with their intervals, of all questions, by kind and balanced as in `evals/answers.py` (None where
    the clips are too few for that); and every question that was answered differently."""
    asked = [(one, question) for one in shown for question in one.questions]
    groups = [one.group for one, _ in asked]
    facts = {"kind": [q.kind for _, q in asked], "answer_class": [q.answer_class for _, q in asked], "group": groups}
    figures = {}
    for who, answers in (("nodes", by_nodes), ("model", by_model)):
        right = [answer == q.answer for answer, (_, q) in zip(answers, asked, strict=True)]
        of_kind = {kind: [i for i, one in enumerate(facts["kind"]) if one == kind] for kind in sorted(set(facts["kind"]))}
        figures[who] = {
            "right": mean(right, groups),
            "balanced": Answered(**facts, right=right).figure(right),
            "kinds": {kind: mean([right[i] for i in index], [groups[i] for i in index]) for kind, index in of_kind.items()},
        }
    differ = [
        {"question": q.ask(), "nodes": ours, "model": theirs, "truth": q.answer}
        for (_, q), ours, theirs in zip(asked, by_nodes, by_model) if ours != theirs
    ]
    same = 1 - len(differ) / len(asked)
    return {"clips": len(shown), "questions": len(asked), **figures, "same_answer": same, "differ": differ}  # fmt: skip


def lines(found: dict) -> list[str]:
    """The report for people."""
    nodes, model = found["nodes"], found["model"]
    out = [f"{found['questions']} questions about {found['clips']} clips, candidates given: by the nodes, by the model itself"]
    rows = {"right": (nodes["right"], model["right"]), "balanced": (nodes["balanced"], model["balanced"])}
    rows |= {f"  {kind}": (one, model["kinds"][kind]) for kind, one in nodes["kinds"].items()}
    out += [f"{name:16} {_told(ours)}  {_told(theirs)}  of {ours['n']}" for name, (ours, theirs) in rows.items()]
    return [*out, f"the same answer to {found['same_answer']:.4f} of them, {len(found['differ'])} differ"]


def _told(figure: dict) -> str:
    if figure["value"] is None:
        return "too few clips          "
    return f"{figure['value']:.3f} ({figure['low']:.3f} to {figure['high']:.3f})"


def _until(true: Callable[[], bool], seconds: float, what: str) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            raise ProcessError(f"waited {seconds:.0f} s in vain for {what}")
        time.sleep(0.005)


def main(arguments: list[str] | None = None) -> int:
    """Exit status. 0: asked and answered. 2: not, with one line that says why."""
    parser = argparse.ArgumentParser(prog="python -m vljepa_training.ask", description=__doc__.splitlines()[0])
    parser.add_argument("--checkpoint", default="tabletop", help="a bundled one, or a checkpoint's folder (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of the worlds; any seed is unseen")
    parser.add_argument("--clips", type=int, default=60, help=f"rounded up to as many of each of {len(EVENTS)} kinds of event")
    parser.add_argument("--engine", default="torch", help="of both sides (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads of the network in each process")
    parser.add_argument("--json", type=Path, required=True, metavar="FILE", help="where the report goes")
    args = parser.parse_args(arguments)
    try:
        if args.clips < 1 or args.threads < 1:
            raise ValueError(f"--clips and --threads must be at least 1, got {args.clips} and {args.threads}")
        _ask(args)
    except (ProcessError, CheckpointError, RuntimeError, ValueError, OSError) as error:
        print(f"ask: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    return 0


def _ask(args: argparse.Namespace) -> None:
    from .tabletop.render import can_render

    if why := can_render():
        raise RuntimeError(f"the worlds must be rendered: {why}. Install EGL (Debian: libegl1 libgl1-mesa-dri) or set MUJOCO_GL")
    torch.set_num_threads(args.threads)
    parts = ("vision", "predictor", "text_encoder")
    model = VLJEPA.from_pretrained(args.checkpoint, engine=args.engine, parts=parts)
    size = model.config.preprocess.image_size
    streams: dict[int, int] = {}
    shown = [
        Shown(one.frames, [q for some in one.questions() for q in some], streams.setdefault(id(one.stream), len(streams)))
        for one in draw_clips(args.seed, -(-args.clips // len(EVENTS)), image_size=size)
    ]
    by_model = ask_model(model, shown)
    with tempfile.TemporaryDirectory(prefix="vljepa_ask_") as logs:
        by_nodes = ask_nodes(shown, model.config.clip_period_s, args.checkpoint, args.engine, args.threads, Path(logs))
    found = {"checkpoint": args.checkpoint, "sha256": model.sha256, "seed": args.seed, **report(shown, by_nodes, by_model)}
    args.json.parent.mkdir(parents=True, exist_ok=True)
    beside = args.json.with_name(args.json.name + ".part")
    beside.write_text(json.dumps(found, indent=1, allow_nan=False) + "\n")
    os.replace(beside, args.json)
    print("\n".join(lines(found)))


if __name__ == "__main__":
    sys.exit(main())
