# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`vljepa replay`: its options, and what is done in which order."""
from __future__ import annotations

import argparse
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vljepa_ros.evaluation.recorded.types import TRUTH_TOPIC, SourceError

if TYPE_CHECKING:
    from vljepa_ros.cli.replay.session import Session, Settings
    from vljepa_ros.evaluation.recorded.bag import RecordedBag, Topic
    from vljepa_ros.evaluation.recorded.clock import Clock




def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_common(parser)
    parser.add_argument("--truth", type=Path, metavar="FILE", help="true segments, YAML; `vljepa annotate` begins such a file")
    parser.add_argument("--truth-topic", metavar="TOPIC",
                        help=f"a text topic of the bag with the true segments (default: {TRUTH_TOPIC} where it is)")  # fmt: skip
    parser.add_argument("--texts", nargs="+", action="extend", default=[], metavar="TEXT", help="what to hold the stream against")
    parser.add_argument("--bag", choices=("full", "ours", "none"), default="full",
                        help="the new bag: the old one and our topics, our topics alone, or none (default: full)")  # fmt: skip
    parser.add_argument("--out", type=Path, default=Path("build/replay"), metavar="DIR",
                        help="where report.html, report.json and the new bag go (default: %(default)s)")  # fmt: skip
    parser.set_defaults(run=run)


def add_common(parser: argparse.ArgumentParser) -> None:
    """What every command that reads a bag whole is told."""
    parser.add_argument("source", type=Path, metavar="BAG", help="a ROS 2 bag: its folder, or an .mcap or .db3 file")
    parser.add_argument("--topic", nargs="+", action="extend", default=[], metavar="TOPIC",
                        help="which cameras of the bag (default: the most usual one)")  # fmt: skip
    parser.add_argument("--checkpoint", default="tabletop", help="a bundled one, or a checkpoint's folder (default: %(default)s)")
    parser.add_argument("--config", type=Path, metavar="FILE", help="the nodes' parameters, as YAML (see config/vljepa.yaml)")
    parser.add_argument("--engine", default="auto", help="auto, torch, torch-bf16, onnx or onnx-int8 (default: %(default)s)")
    parser.add_argument("--device", default="auto", help="cpu, cuda, ... (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads of the network; another one reads and decodes")


def run(args: argparse.Namespace) -> int:
    """Exit status. 0: done. 2: nothing to be done, with one line that says why. 130: Ctrl-C."""
    with one_line("replay") as status:
        _replay(args)
    return status[0]


@contextmanager
def one_line(command: str) -> Iterator[list[int]]:
    """What a person did wrong, or a bag has wrong, ends in one line and status 2; Ctrl-C in 130. The list holds the status."""
    from vljepa_ros.model import CheckpointError

    status = [0]
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        yield status
    except (SourceError, CheckpointError, ValueError, OSError) as error:
        print(f"vljepa {command}: {' '.join(str(error).split())}", file=sys.stderr)
        status[0] = 2
    except KeyboardInterrupt:
        status[0] = 130


def _interrupt(*_) -> None:
    raise KeyboardInterrupt


def _replay(args: argparse.Namespace) -> None:
    from vljepa_ros.cli.replay import facts, outbag, page
    from vljepa_ros.cli.replay.settings import read_settings

    settings = read_settings(args.config)
    began = time.perf_counter()
    bag, topics = open_bag(args)
    truth = truth_of(bag, args.truth, args.truth_topic)
    model = load(args)
    if blank := [text for text in args.texts if not text.strip()]:
        raise ValueError(f"--texts: a text must say something, got {blank[0]!r}")
    sessions = sessions_of(bag, topics, model, settings, args.texts, truth)
    took_s = time.perf_counter() - began
    args.out.mkdir(parents=True, exist_ok=True)
    notes = [*bag.notes, *(note for session in sessions for note in notes_of(session))]
    if args.bag != "none":
        notes += outbag.write(bag, sessions, model, args.out / "bag", copy=args.bag == "full")
    report = facts.report(bag, sessions, model, settings, took_s, notes)
    facts.write(report, args.out / "report.json")
    page.write(report, sessions, args.out / "report.html")
    _tell(report, args)


def open_bag(args: argparse.Namespace) -> tuple[RecordedBag, list[Topic]]:
    """The bag and the cameras that were asked for. SourceError."""
    from vljepa_ros.evaluation.recorded.bag import RecordedBag, choose

    bag = RecordedBag(args.source.expanduser())
    return bag, choose(bag, args.topic)


def truth_of(bag: RecordedBag, file: Path | None, topic: str | None) -> Callable[[Clock], list] | None:
    """How to get the true segments once the stream's clock is known; None without any. SourceError now, not later."""
    from vljepa_ros.evaluation.recorded.clock import Clock
    from vljepa_ros.evaluation.recorded.truth import read_file, read_topic

    if file is not None and topic is not None:
        raise ValueError("--truth and --truth-topic: give one of the two")
    if file is not None:
        read_file(file, Clock([]))
        return lambda clock: read_file(file, clock)
    if topic is None and not any(one.name == TRUTH_TOPIC and count for one, count in bag.counts.items()):
        return None
    segments = read_topic(bag, topic or TRUTH_TOPIC)
    return lambda clock: [replace(one, start_ns=clock.find(one.start_ns)) for one in segments]


def load(args: argparse.Namespace) -> Any:
    """The checkpoint. CheckpointError, ValueError."""
    import torch

    from vljepa_ros.model import VLJEPA

    if args.threads < 1:
        raise ValueError(f"--threads must be at least 1, got {args.threads}")
    torch.set_num_threads(args.threads)
    return VLJEPA.from_pretrained(args.checkpoint, device=args.device, engine=args.engine)


def sessions_of(
    bag: RecordedBag, topics: list[Topic], model: Any, settings: Settings, texts: list[str], truth: Callable | None
) -> list[Session]:
    """Every camera through the streaming code, one after the other. SourceError where none of them has a picture."""
    from tqdm import tqdm

    from vljepa_ros.cli.replay.session import understand
    from vljepa_ros.evaluation.recorded.cameras import Camera

    sessions = []
    for topic in topics:
        with tqdm(total=bag.counts[topic], desc=topic.name, unit="frame", disable=None, dynamic_ncols=True) as bar:
            sessions.append(understand(bag.messages([topic]), Camera(topic), model, settings, texts, truth, bar.update))
    if not any(session.camera.decoded for session in sessions):
        camera = sessions[0].camera
        why = camera.last_bad or "its stamps are all zero or repeat"
        raise SourceError(f"{bag.path}: none of the {camera.frames} images on {camera.topic.name} can be used: {why}")
    return sessions


def notes_of(session: Session) -> list[str]:
    """What is odd about a camera, for people."""
    camera, out = session.camera, []
    if camera.lost:
        causes = ", ".join(f"{cause} {count}" for cause, count in sorted(camera.bad.items()))
        some = f"{camera.lost} of {camera.frames} images could not be used"
        out.append(f"{camera.topic.name}: {some} ({causes}); the last: {camera.last_bad}")
    if camera.unstamped:
        out.append(f"{camera.topic.name}: the driver sent no stamps; the recorder's times stand in for them")
    if camera.counts:
        odd = ", ".join(f"{cause.replace('_', ' ')} {count}" for cause, count in sorted(camera.counts.items()))
        out.append(f"{camera.topic.name}: the stream is odd ({odd}); gaps and jumps begin a new epoch")
    if not session.result.embeddings:
        out.append(f"{camera.topic.name}: {camera.frames} images in {session.seconds:.1f} s are too few for a clip")
    return out


def _tell(report: dict, args: argparse.Namespace) -> None:
    for note in report["notes"]:
        print(f"note: {note}", file=sys.stderr)
    for stream in report["streams"]:
        numbers, f1 = stream["summary"], stream["summary"]["boundary_f1"]
        known = "" if f1 is None else f", boundary F1 {f1:.2f}"
        counts = f"{numbers['transitions']} transitions, {numbers['texts']} texts{known}"
        print(f"{stream['topic']}: {stream['seconds']:.1f} s, {counts}")
    print(f"{report['timing']['times_real_time']} times as fast as the stream")
    print(args.out / "report.html", args.out / "report.json", sep="\n")
    if args.bag != "none":
        print(args.out / "bag")
