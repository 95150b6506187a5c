# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`vljepa recall DB TEXT`: looks into a robot's memory, while it is being written or years later, without ROS."""
from __future__ import annotations

import argparse
import json
import signal
import sys
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vljepa_ros.memory import Answer, Recalled

NS = 1_000_000_000
CALENDAR_NS = 365 * 86_400 * NS  # stamps below are of a clock that counts from its own start, a simulator's say


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("db", type=Path, metavar="DB", help="the memory's file (the memory node's parameter memory.path)")
    parser.add_argument("text", metavar="TEXT", help='a state in words: "the drawer is open"')
    parser.add_argument("--change", action="store_true", help="when it became so, not when it was so")
    parser.add_argument("--against", default="", metavar="TEXT", help="the opposite state: scores are differences then")
    when = "a date and time of this machine's zone (2026-11-25, 2026-11-25T14:30), or seconds of the camera's clock"
    parser.add_argument("--since", metavar="TIME", help=when)
    parser.add_argument("--until", metavar="TIME", help="the same")
    parser.add_argument("-k", type=int, default=5, metavar="N", help="how many (default: %(default)s)")
    parser.add_argument("--pictures", type=Path, metavar="DIR", help="write their pictures there, as <id>.jpg")
    parser.add_argument("--checkpoint", default="tabletop", help="the one that made the memory (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of lines")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Exit status. 0: answered, be it with nothing. 2: not, with one line that says why. 130: Ctrl-C."""
    from vljepa_ros.memory import StoreError
    from vljepa_ros.model import CheckpointError

    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        _recall(args)
    except (StoreError, CheckpointError, ValueError, OSError) as error:
        print(f"vljepa recall: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    return 0


def _recall(args: argparse.Namespace) -> None:
    from vljepa_ros.memory import Mode, Question, SegmentReader, VectorIndex, ask, recall

    since_ns, until_ns = (_stamp(name, value) for name, value in (("--since", args.since), ("--until", args.until)))
    if not args.text.strip():
        raise ValueError("TEXT must say something, as in 'the drawer is open'")
    reader = SegmentReader(args.db)  # before the model: a wrong path is told at once
    try:
        model = _load(args.checkpoint)
        index = VectorIndex(model.space_id, model.dim)
        index.load(reader.vectors())
        vectors = model.encode_text([one for one in (args.text, args.against) if one.strip()])
        mode = Mode.CHANGE if args.change else Mode.STATE
        question = Question(ask(*vectors), model.space_id, mode, args.k, since_ns, until_ns)
        answer = recall(index, reader, question, thumbnails=args.pictures is not None)
        if not answer.searched and answer.skipped:
            spaces = ", ".join(f"{space} ({count})" for space, count in reader.space_ids().items())
            raise ValueError(
                f"{args.db}: all {answer.skipped} segments are of other checkpoints than {args.checkpoint}, which makes space "
                f"{model.space_id}; theirs: {spaces}; give --checkpoint"
            )
    finally:
        reader.close()
    if args.pictures is not None:
        _write_pictures(answer, args.pictures)
    print(json.dumps(_facts(answer, args), indent=1, ensure_ascii=False) if args.json else _lines(answer, args.change))


def _load(checkpoint: str) -> Any:
    import torch

    from vljepa_ros.model import VLJEPA

    torch.set_num_threads(1)
    return VLJEPA.from_pretrained(checkpoint, device="cpu", engine="torch", parts=("text_encoder",))


def _stamp(name: str, value: str | None) -> int | None:
    """Nanoseconds of what a person wrote. ValueError."""
    if value is None:
        return None
    try:
        return round(float(value) * NS)
    except ValueError:
        pass
    except OverflowError:  # inf
        raise ValueError(f"{name}: {value} is no time") from None
    try:
        return round(datetime.fromisoformat(value).timestamp() * NS)
    except ValueError:
        raise ValueError(f"{name}: {value!r} is neither a time (2026-11-25T14:30) nor a number of seconds") from None


def _clock(stamp_ns: int) -> str:
    """For people: local time, to the tenth of a second; seconds where the clock does not know the date."""
    if stamp_ns < CALENDAR_NS:
        return f"{stamp_ns / NS:.1f} s"
    whole = datetime.fromtimestamp(stamp_ns // NS)
    return f"{whole:%Y-%m-%d %H:%M:%S}.{stamp_ns % NS // 100_000_000}"


def _lines(answer: Answer, change: bool) -> str:
    """One per segment, best first."""
    lines = [_line(one, change) for one in answer.recalled]
    if not lines:
        lines.append("nothing" if answer.searched else "no segments in that time")
    elsewhere = f"; {answer.skipped} of other checkpoints skipped" if answer.skipped else ""
    return "\n".join([*lines, f"({answer.searched} segments searched in {answer.seconds * 1e3:.0f} ms{elsewhere})"])


def _line(one: Recalled, change: bool) -> str:
    segment = one.segment
    lasted = f"{(segment.end_ns - segment.start_ns) / NS:.1f} s"
    words = segment.text or "(no words)"
    if not segment.familiar:
        words += "  [unfamiliar: do not trust it]"
    unseen_s = (segment.start_ns - one.before_ns) / NS if change and one.before_ns is not None else 0.0
    gap = f"  [not seen for {unseen_s:.0f} s before]" if unseen_s >= 1 else ""
    return f"{one.score:+.3f}  {_clock(segment.start_ns)}  for {lasted}  {words}{gap}"


def _facts(answer: Answer, args: argparse.Namespace) -> dict:
    """For programs: stamps are integer nanoseconds of the camera's clock."""
    segments = [
        {
            "score": round(one.score, 6), "start_ns": one.segment.start_ns, "end_ns": one.segment.end_ns,
            "before_ns": one.before_ns, "text": one.segment.text, "confidence": round(one.segment.confidence, 6),
            "familiar": one.segment.familiar, "label": one.segment.label, "epoch": one.segment.epoch,
            "segment": one.segment.segment, "frame_id": one.segment.frame_id, "id": one.id,
        }
        for one in answer.recalled
    ]  # fmt: skip
    asked = {"text": args.text, "against": args.against, "mode": "CHANGE" if args.change else "STATE"}
    return asked | {"searched": answer.searched, "skipped": answer.skipped, "segments": segments}


def _write_pictures(answer: Answer, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for one in answer.recalled:
        if one.segment.thumbnail:
            (folder / f"{one.id}.jpg").write_bytes(one.segment.thumbnail)
