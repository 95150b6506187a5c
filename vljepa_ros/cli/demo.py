# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`vljepa demo`: a camera's stand-in, both nodes, real DDS between them, and somebody who watches.

    player  --image-->  predictor_node  --embedding, transition-->  decoder_node  --text-->  monitor (this process)

Four processes in a ROS domain of their own. The demo begins when both nodes are active, ends with its source (or Ctrl-C), and
leaves `summary.json`, `timeline.png` and the logs of its processes in the folder --out. It never leaves a process.
"""
from __future__ import annotations

import argparse
import contextlib
import json
import os
import queue
import signal
import sys
import threading
import time
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from vljepa_ros.cli.names import Names
from vljepa_ros.cli.processes import Child, ProcessError, environment, stop_all
from vljepa_ros.cli.sources import Source, SourceError, open_source

if TYPE_CHECKING:
    from vljepa_ros.cli.recording import Recording

READY_S = 180.0  # for two processes to import torch and load weights, on a slow and busy machine
TAIL_S = 6.0  # what is still under way when the source ends gets this long at most
QUIET_S = 1.5  # nothing has come for so long: nothing is under way any more
LOOK_S = 0.05


class DemoError(Exception):
    """The demo cannot go on; the text is for people."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--source",
        default="",
        help="a ROS 2 bag (folder, .mcap, .db3), a video file or a camera (0, /dev/video0); default: the bundled bag",
    )
    parser.add_argument("--topic", help="which camera of the bag; default: the most usual one")
    parser.add_argument(
        "--out", type=Path, default=Path("build/demo"), help="where summary.json, timeline.png and logs go (default: %(default)s)"
    )
    parser.add_argument(
        "--checkpoint", default="tabletop", help="a bundled checkpoint by name, or a checkpoint's folder (default: %(default)s)"
    )
    parser.add_argument(
        "--threads",
        type=int,
        default=0,
        help="CPU threads of each node; 0: as many as there are processors, less one for the rest",
    )
    parser.add_argument("--seconds", type=float, help="stop after so much of the source")
    parser.add_argument("--domain", type=int, help="ROS_DOMAIN_ID; default: a free one, so that nobody else's topics get in")
    parser.add_argument("--headless", action="store_true", help="plain lines even on a terminal")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Exit status. 0: played to its end, or ended by Ctrl-C where it has none. 1: something died. 2: bad source. 130: Ctrl-C."""
    signal.signal(signal.SIGTERM, _interrupt)  # whoever ends the demo ends its processes
    try:
        source = open_source(args.source or str(bundled_bag()), args.topic)
        env = environment(args.domain)
        os.environ.update(env)  # for this process's own participant, before rclpy reads it
        os.environ.setdefault("ROS_LOG_DIR", str(args.out.absolute() / "ros"))
        args.out.mkdir(parents=True, exist_ok=True)
        recording, interrupted = _watch(args, source)
        _finish(args.out, source, recording)
    except (SourceError, DemoError, ProcessError) as error:
        print(f"vljepa demo: {error}", file=sys.stderr)
        return 2 if isinstance(error, SourceError) else 1
    except KeyboardInterrupt:
        return 130
    return 130 if interrupted and not source.live else 0


def bundled_bag() -> Path:
    """The demo bag inside the package. SourceError where this package was built without it."""
    bag = Path(str(resources.files("vljepa_ros"))) / "assets" / "demo"
    if not bag.is_dir():
        raise SourceError(f"{bag}: the bundled bag is not in this package; name another source with --source")
    return bag


def _interrupt(*_) -> None:
    raise KeyboardInterrupt


def _watch(args: argparse.Namespace, source: Source) -> tuple[Recording, bool]:
    """Play the source to its end: what was heard, and whether Ctrl-C ended it early. Whatever happens, no process stays."""
    names = Names(compressed=source.compressed)
    children: list[Child] = []
    with contextlib.ExitStack() as cleanup:
        cleanup.callback(lambda: stop_all(children))
        _start(children, args, names)
        # While the children load: this process's own share of the libraries.
        from vljepa_ros.cli.monitor import Monitor
        from vljepa_ros.cli.recording import Recording
        from vljepa_ros.cli.view import make_view

        recording = Recording(source=source.name, truth_known=bool(source.truth))
        monitor = Monitor(recording, names)
        cleanup.callback(monitor.close)
        heading = f"vljepa demo · {source.name}"
        seconds = min(filter(None, (source.seconds, args.seconds)), default=None)
        view = make_view(recording, seconds, args.headless, heading)
        cleanup.callback(view.close)
        _until_ready(children, monitor, view)
        player = children[-1]
        said = _listen(player)
        with contextlib.suppress(BrokenPipeError):  # a player that is gone is found out below
            player.process.stdin.write("go\n")
            player.process.stdin.flush()
        try:
            _play(args, source, recording, children, monitor, view, said)
        except KeyboardInterrupt:
            return recording, True
    return recording, False


def _start(children: list[Child], args: argparse.Namespace, names: Names) -> None:
    """Append the three processes, the player last, each as soon as it runs."""
    env = dict(os.environ)
    common = ["--ros-args", "-r", f"__ns:={names.namespace}", "-p", f"checkpoint:={args.checkpoint}"]
    threads = args.threads or max(1, (os.cpu_count() or 2) - 1)
    for node, own in (
        (
            names.predictor,
            [
                "-r",
                f"image:={names.camera}",
                "-p",
                f"image_transport:={'compressed' if names.compressed else 'raw'}",
                "-p",
                f"threads:={threads}",
            ],
        ),
        (names.decoder, ["-p", "threads:=1"]),
    ):
        children.append(Child(node, f"vljepa_ros.nodes.{node}", [*common, *own], args.out / f"{node}.log", env))
    where = [args.source or str(bundled_bag()), "--topic", names.camera, "--hold"]
    where += ["--bag-topic", args.topic] if args.topic else []
    children.append(Child("player", "vljepa_ros.cli.player", where, args.out / "player.log", env, talks=True))


def _until_ready(children: list[Child], monitor, view) -> None:
    """Until both nodes are active. DemoError with the node's own words where one cannot be."""
    deadline = time.monotonic() + READY_S
    while not all((listening := monitor.listening()).values()):
        _check(children, monitor)
        waiting = [name for name, there in listening.items() if not there]
        faults = [text for name, (level, text) in monitor.recording.levels.items() if level >= 2 and name.endswith(": node")]
        if faults:
            raise DemoError(faults[0])
        if time.monotonic() > deadline:
            words = "\n".join(child.last_words() for child in children if child.name in waiting)
            raise DemoError(f"{' and '.join(waiting)} not active after {READY_S:.0f} s; the last words:\n{words}")
        view.update(f"waiting for {' and '.join(waiting)} …")
        time.sleep(LOOK_S)


def _play(args, source: Source, recording: Recording, children: list[Child], monitor, view, said: queue.SimpleQueue) -> None:
    """Follow the player until its source has ended and what it caused has arrived."""
    ended_at: float | None = None
    while ended_at is None or not _quiet(recording, ended_at):
        while not said.empty():
            facts = said.get()
            _note(recording, source, facts)
            if "ended" in facts:
                ended_at = time.monotonic()
        _check(children, monitor)
        if ended_at is None and args.seconds and recording.start_ns and time.time_ns() - recording.start_ns > args.seconds * 1e9:
            children[-1].process.send_signal(signal.SIGINT)  # it reports its end like any other
            args.seconds = None
        view.update()
        time.sleep(LOOK_S)


def _note(recording: Recording, source: Source, facts: dict) -> None:
    """What the player says, into the recording. Once it has started, the truth is known on this machine's clock."""
    if "started" in facts:
        recording.truth = [replace(one, start_ns=one.start_ns + facts["offset_ns"]) for one in source.truth]
        recording.start_ns = facts["first_ns"]
    recording.published = facts.get("published", recording.published)
    if "ended" in facts:
        recording.end_ns = facts["last_ns"]
        recording.late_ms_max = facts["late_ms_max"]


def _quiet(recording: Recording, ended_at: float) -> bool:
    """Nothing is under way any more. Nodes count once a second: their last counts must be in too."""
    now = time.monotonic()
    newest = max([0, *(heard[-1].received_ns for heard in (recording.beats, recording.transitions, recording.texts) if heard)])
    return now - ended_at > TAIL_S or (now - ended_at > QUIET_S and time.time_ns() - newest > QUIET_S * 1e9)


def _check(children: list[Child], monitor) -> None:
    """Raise where a process or the monitor's thread has died. The player may end by itself: it says so, and its status is 0."""
    for child in children:
        if child.name != "player" or child.process.poll():
            child.check()
    if monitor.failure is not None:
        raise DemoError(f"the monitor failed: {type(monitor.failure).__name__}: {monitor.failure}")


def _listen(player: Child) -> queue.SimpleQueue:
    """The player's lines as they come, as dictionaries."""
    said: queue.SimpleQueue = queue.SimpleQueue()

    def read() -> None:
        with contextlib.suppress(ValueError):  # the pipe is closed under it when the demo ends
            for line in player.process.stdout:
                with contextlib.suppress(json.JSONDecodeError):
                    said.put(json.loads(line))

    threading.Thread(target=read, name="player's words", daemon=True).start()
    return said


def _finish(out: Path, source: Source, recording: Recording) -> None:
    """Write summary and picture, and say what they hold."""
    from vljepa_ros.cli import report

    if not recording.published:
        raise DemoError(f"{source.name}: no frame was played")
    report.finish(out, source, recording)
