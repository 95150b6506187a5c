# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""report.json: everything that a replay found, as plain values. Two runs differ in `timing` alone."""
from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from vljepa_ros.cli import summary
from vljepa_ros.cli.replay.session import Session, Settings
from vljepa_ros.cli.replay.worth import Worth, as_often_as, compare
from vljepa_ros.cli.story import Row, rows
from vljepa_ros.evaluation.recorded.bag import RecordedBag

FORMAT = 1
OF_SUMMARY = (
    "embeddings", "embedding_hz", "transitions", "transitions_per_minute", "texts", "decodes_per_s",
    "familiar_share", "true_segments", "boundary_f1", "boundary_precision", "boundary_recall", "boundary_f1_uniform",
    "delay_s_median", "delay_s_p95",
)


def report(
    bag: RecordedBag, sessions: Sequence[Session], model: Any, settings: Settings, wall_s: float, notes: Sequence[str]
) -> dict:
    """The whole report. `wall_s`: from opening the bag to the end of understanding."""
    stream_s = sum(session.seconds for session in sessions)
    return {
        "format": FORMAT,
        "bag": {
            "path": str(bag.path),
            "storage": bag.storage,
            "messages": sum(bag.counts.values()),
            "messages_lost": bag.lost,
            "topics": [
                {"name": topic.name, "type": topic.msgtype, "messages": count}
                for topic, count in sorted(bag.counts.items(), key=lambda one: (one[0].name, one[0].msgtype))
            ],
        },
        "notes": list(notes),
        "model": {"name": model.config.name, "sha256": model.sha256, "space_id": model.space_id, "engine": model.engine.name},
        "parameters": {name: asdict(getattr(settings, name)) for name in ("clip", "transition", "decode")},
        "streams": [stream(session) for session in sessions],
        "timing": {
            "wall_s": round(wall_s, 2),
            "times_real_time": round(stream_s / wall_s, 2) if wall_s > 0 else None,
            "streams": [timing(session) for session in sessions],
        },
    }


def stream(session: Session) -> dict:
    """One camera."""
    camera, ways = session.camera, compare(session)
    numbers = summary.summarise(session.recording)
    return {
        "topic": camera.topic.name,
        "type": camera.topic.msgtype,
        "encoding": camera.encoding,
        "size": camera.size,
        "query": session.result.embeddings[0].query if session.result.embeddings else "",
        "first_frame_ns": session.clock.start_ns,
        "seconds": _round(session.seconds, 3),
        "frames": {
            "recorded": camera.frames,
            "decoded": camera.decoded,
            "lost": dict(sorted(camera.bad.items())),
            "last_lost": camera.last_bad,
            "stamps": "recorder's" if camera.unstamped else "camera's",
            "odd": dict(sorted(camera.counts.items())),
        },
        "summary": {key: numbers[key] for key in OF_SUMMARY},
        "segments": [segment(row, session) for row in rows(session.recording, session.seconds + 60.0)],
        "selective": {"ways": [_way(one) for one in ways], "uniform_needs_times": _round(as_often_as(ways), 3)},
        "similarity": [
            {"text": text, "mean": _round(float(np.mean(column)), 4), "highest": _round(float(np.max(column)), 4),
             "highest_at_s": _round(float(session.t_s[int(np.argmax(column))]), 3)}
            for text, column in zip(session.texts, session.similarities_EK.T) if len(column)
        ],
        "curve": {
            "t_s": _list(session.t_s, 3),
            "epoch": session.epochs.tolist(),
            "distance": _list(session.result.distances, 5),
            "threshold": _list(session.result.thresholds, 5),
            "similarity": {text: _list(column, 4) for text, column in zip(session.texts, session.similarities_EK.T)},
        },
    }


def segment(row: Row, session: Session) -> dict:
    """A true or detected segment, or the two that match."""
    recording = session.recording
    out: dict[str, Any] = {"start_s": _round(row.at_s, 3), "verdict": row.verdict(recording.truth_known) or None}
    if row.truth is not None:
        out["truth"] = {"start_s": _round(recording.seconds(row.truth.start_ns), 3), "event": row.truth.event,
                        "caption": row.truth.caption, "state": row.truth.state}  # fmt: skip
    if row.detected is not None:
        change, said = row.detected.transition, row.detected.text
        out["detected"] = {
            "start_s": _round(row.detected.start_s, 3),
            "certain_s": None if change is None else _round(recording.seconds(change.stamp_ns), 3),
            "distance": None if change is None else _round(change.distance, 5),
            "threshold": None if change is None else _round(change.threshold, 5),
        }
        if said is not None:
            request = said.what.request
            out["text"] = {
                "text": said.what.text,
                "due_s": _round(recording.seconds(request.stamp_ns), 3),
                "trigger": request.trigger.value,
                "confidence": _round(said.what.confidence, 4),
                "familiar": bool(said.what.familiar),
            }
    return out


def timing(session: Session) -> dict:
    """What computing took on this machine, in milliseconds."""
    embed, words = session.result.embed_s, [one.seconds for one in session.result.texts]
    return {
        "wall_s": round(session.wall_s, 2),
        "embed_ms": {name: _ms(embed, q) for name, q in (("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("max", 1.0))},
        "decode_ms": {name: _ms(words, q) for name, q in (("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("max", 1.0))},
    }


def write(facts: dict, path: Path) -> None:
    """As JSON, whole or not at all."""
    beside = path.with_name(path.name + ".part")
    beside.write_text(json.dumps(facts, indent=1, allow_nan=False) + "\n")
    os.replace(beside, path)


def _way(one: Worth) -> dict:
    return {key: _round(value, 4) if isinstance(value, float) else value for key, value in asdict(one).items()}


def _ms(seconds: Sequence[float], q: float) -> float | None:
    return round(1e3 * float(np.quantile(seconds, q)), 2) if len(seconds) else None


def _list(values: Any, digits: int) -> list[float]:
    return [round(float(value), digits) for value in values]


def _round(value: float | None, digits: int) -> float | None:
    return None if value is None else round(float(value), digits)
