# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What is known of a stream: from a YAML file that a person wrote or corrected, or from a text topic of the bag.

    segments:
      - {start_s: 0.0, event: start, caption: The stream begins., state: The lamp is off.}
      - {start_s: 4.2, event: switch_on, caption: The lamp goes on., state: The lamp is on.}

`start_s` counts from the camera's first frame, as the report does; `start_ns` is a stamp. A segment lasts until the next one; the
first is the state that the stream begins with. Only the start is needed. `vljepa annotate` writes such a file for a person to
correct.
"""
from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from vljepa_ros.evaluation.recorded.bag import Message, RecordedBag
from vljepa_ros.evaluation.recorded.cameras import typestore
from vljepa_ros.evaluation.recorded.clock import Clock
from vljepa_ros.evaluation.recorded.types import SourceError, TrueSegment

NS = 1_000_000_000
TEXT = "std_msgs/msg/String"
KEYS = ("start_s", "start_ns", "event", "caption", "state")
IGNORED = ("end_s", "confidence", "familiar")  # what `vljepa annotate` adds for the person's eyes


def read_file(path: Path, clock: Clock) -> list[TrueSegment]:
    """The segments of a YAML file, by time, on the clock's line. SourceError names file, segment and key."""
    try:
        data = yaml.safe_load(path.read_text())
    except OSError as error:
        raise SourceError(f"{path}: cannot be read ({error.strerror})") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise SourceError(f"{path}: no YAML ({' '.join(str(error).split())})") from None
    listed = data.get("segments") if isinstance(data, dict) else data
    if not isinstance(listed, list) or not listed:
        raise SourceError(f"{path}: needs a list named `segments`, each with start_s; `vljepa annotate` writes one to begin with")
    segments = [_segment(one, f"{path}: segment {k}", clock) for k, one in enumerate(listed)]
    return sorted(segments, key=lambda one: one.start_ns)


def _segment(one: Any, where: str, clock: Clock) -> TrueSegment:
    if not isinstance(one, dict):
        raise SourceError(f"{where} must have start_s, got {one!r}")
    if unknown := sorted(set(map(str, one)) - {*KEYS, *IGNORED}):
        raise SourceError(f"{where} has the unknown key {unknown[0]!r}; known are {', '.join(KEYS)}")
    name = "start_ns" if "start_ns" in one else "start_s"
    start = one.get(name)
    if isinstance(start, bool) or not isinstance(start, (int, float)) or start != start or abs(start) == float("inf"):
        raise SourceError(f"{where} needs a number {name}, got {start!r}")
    start_ns = clock.find(int(start)) if name == "start_ns" else clock.start_ns + round(start * NS)
    return TrueSegment(start_ns, *(str(one.get(key) or "") for key in ("event", "caption", "state")))


def read_topic(bag: RecordedBag, name: str) -> list[TrueSegment]:
    """The segments of a std_msgs/String topic, on the camera's stamps: JSON as the tabletop world writes it, or plain words
    at the time of their recording.

    SourceError where the topic is not there or is of another type.
    """
    found = [topic for topic in bag.counts if topic.name == name]
    texts = [topic for topic in found if topic.msgtype == TEXT]
    if not texts:
        has = sorted(topic.name for topic in bag.counts if topic.msgtype == TEXT)
        what = f"{name} is {found[0].msgtype}, not {TEXT}" if found else f"no topic {name}"
        raise SourceError(f"{bag.path}: {what}; text topics in it: {', '.join(has) or 'none'}")
    return sorted(_from_messages(bag.messages(texts)), key=lambda one: one.start_ns)


def _from_messages(messages: Iterable[Message]) -> list[TrueSegment]:
    segments = []
    for message in messages:
        try:
            text = str(typestore().deserialize_cdr(message.cdr, TEXT).data)
        except Exception:  # noqa: BLE001  a damaged message is no segment
            continue
        try:
            one = json.loads(text)
            words = (str(one.get(key) or "") for key in ("event", "caption", "state"))
            segments.append(TrueSegment(int(one["start_ns"]), *words))
        except (ValueError, KeyError, TypeError, AttributeError):
            segments.append(TrueSegment(message.time_ns, "", text))
    return segments
