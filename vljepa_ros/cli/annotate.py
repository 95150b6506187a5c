# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`vljepa annotate BAG`: a first segments file from the model's output. A person corrects it; `vljepa replay --truth` reads it.

One segment per detected one, with its words as they were said. Comments in the file say what to look at: how sure the model was,
and where it was on unfamiliar ground.
"""
from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from vljepa_ros.cli.replay.command import add_common, one_line

if TYPE_CHECKING:
    from vljepa_ros.cli.replay.session import Session

HEAD = """\
# Segments of {topic} in {bag}, as {model} saw them. Correct them, then: vljepa replay {bag} --truth THIS_FILE
# start_s: seconds from the camera's first frame to the moment at which the event completed; the first segment begins at 0.
# event, caption: what happened (one word; a sentence). state: what is true from then on. Only start_s is needed.
# Delete segments that are none, insert those that are missing; order does not matter.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_common(parser)
    parser.add_argument("--out", type=Path, metavar="FILE", help="default: segments.yaml in the current folder")
    parser.add_argument("--force", action="store_true", help="write over a file that is there: somebody may have corrected it")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Exit status. 0: written. 2: nothing was, with one line that says why. 130: Ctrl-C."""
    with one_line("annotate") as status:
        _annotate(args)
    return status[0]


def _annotate(args: argparse.Namespace) -> None:
    from vljepa_ros.cli.replay.command import load, notes_of, open_bag, sessions_of
    from vljepa_ros.cli.replay.settings import read_settings

    out = args.out or Path("segments.yaml")
    if out.exists() and not args.force:
        raise FileExistsError(f"{out} is there already, perhaps corrected by hand; --force writes over it, --out another one")
    settings = read_settings(args.config)
    bag, topics = open_bag(args)
    if len(topics) > 1:
        raise ValueError("--topic: a segments file is of one camera; annotate them one by one")
    model = load(args)
    (session,) = sessions_of(bag, topics, model, settings, [], None)
    beside = out.with_name(out.name + ".part")
    beside.parent.mkdir(parents=True, exist_ok=True)
    beside.write_text(text_of(session, args.source, model.config.name), encoding="utf-8")
    os.replace(beside, out)
    for note in [*bag.notes, *notes_of(session)]:
        print(f"note: {note}")
    print(f"{out}: {session.seconds:.1f} s, {len(session.result.transitions) + 1} segments to look at")


def text_of(session: Session, bag: Path, model: str) -> str:
    """The file. Times are seconds since the camera's first frame, as `--truth` reads them."""
    import yaml

    from vljepa_ros.cli.story import detected_segments

    recording = session.recording
    lines = [HEAD.format(topic=session.camera.topic.name, bag=bag, model=model), "segments:\n"]
    for k, segment in enumerate(detected_segments(recording)):
        said = None if segment.text is None else segment.text.what
        facts = {
            "start_s": 0.0 if k == 0 else round(segment.start_s, 3),
            "event": "start" if segment.transition is None else "change",
            "caption": "",
            "state": said.text if said is not None else "",
        }
        if said is None:
            lines.append("  # nothing was said: the segment ended before it settled\n")
        else:
            odd = "" if said.familiar else ", unfamiliar: do not trust the words"
            lines.append(f"  # {said.confidence:.2f} sure{odd}\n")
        entry = yaml.safe_dump([facts], sort_keys=False, allow_unicode=True, width=120)
        lines += [f"  {line}\n" for line in entry.splitlines()]
    return "".join(lines)
