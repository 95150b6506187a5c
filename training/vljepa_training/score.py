# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`python -m vljepa_training.score BAG SEGMENTS --checkpoint NAME`: a checkpoint on a bag that a person has annotated.

Two figures, by the robot's own streaming code: boundaries against the file's (F1 at a tolerance, beside the best that a clock
could have done), and whether an embedding is nearer to its segment's text than to any other text of the file. Embeddings nearer
to a boundary than `--margin` are left out of the second, for no person marks a boundary more exactly; intervals resample
segments, for the moments of one are one fact.
"""
from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from vljepa_ros.evaluation import boundaries
from vljepa_ros.evaluation.baselines import best_uniform_f1
from vljepa_ros.evaluation.recorded.types import SourceError
from vljepa_ros.evaluation.stream import StreamResult, run_clips
from vljepa_ros.model import VLJEPA, CheckpointError
from vljepa_ros.streaming import Embedding

from .evals.intervals import mean
from .sources.annotated import AnnotatedBag


def understand(source: AnnotatedBag, model: VLJEPA, query: str | None = None) -> StreamResult:
    """Every clip of the bag through model and detector, without words."""
    clips = (clip for _, clip in tqdm(source.clips(), desc=source.topic.name, unit="clip", mininterval=2.0, disable=None))
    return run_clips(clips, model, StreamResult(), query=query, words=False)


def score_boundaries(source: AnnotatedBag, result: StreamResult, tolerance_s: float) -> dict:
    """Detected against true, without the stream's own beginning."""
    truth = [one.start_s for one in source.segments if one.begun and one.start_s < source.seconds]
    detected = [source.clock.seconds(one.boundary_ns, one.epoch) for one in result.transitions]
    found = boundaries.score(truth, detected, tolerance_s)
    return {
        "tolerance_s": tolerance_s,
        "true": len(truth),
        "detected": len(detected),
        "matched": found.matched,
        "precision": found.precision,
        "recall": found.recall,
        "f1": found.f1,
        "f1_uniform": best_uniform_f1(truth, source.seconds, tolerance_s) if truth else None,
    }


def score_texts(source: AnnotatedBag, embeddings: list[Embedding], model: VLJEPA, margin_s: float) -> dict:
    """The share of embeddings whose segment's text is the nearest of all, together and by text; None where there is no choice."""
    texts = list(dict.fromkeys(one.state for one in source.segments if one.state))
    placed = [(one, source.segment_at(source.clock.seconds(one.stamp_ns, one.epoch), margin_s)) for one in embeddings]
    placed = [(one, segment) for one, segment in placed if segment is not None and segment.state]
    if len(texts) < 2 or not placed:
        return {"texts": len(texts), "embeddings": len(placed), "nearest_is_right": None, "most_frequent": None, "by_text": {}}
    cosines_EK = np.stack([one.vector_D for one, _ in placed]) @ model.encode_text(texts).T
    own_E = np.array([texts.index(segment.state) for _, segment in placed])
    right_E = cosines_EK.argmax(1) == own_E
    others_EK = np.where(np.arange(len(texts)) == own_E[:, None], -np.inf, cosines_EK)
    lead_E = cosines_EK[np.arange(len(own_E)), own_E] - others_EK.max(1)
    groups = [segment.index for _, segment in placed]
    return {
        "texts": len(texts),
        "embeddings": len(placed),
        "margin_s": margin_s,
        "nearest_is_right": mean(right_E, groups),
        "lead": mean(lead_E, groups),
        "most_frequent": float(np.bincount(own_E).max() / len(own_E)),
        "by_text": {
            text: {"embeddings": int((own_E == k).sum()), "right": float(right_E[own_E == k].mean())}
            for k, text in enumerate(texts)
            if (own_E == k).any()
        },
    }


def score(source: AnnotatedBag, model: VLJEPA, tolerance_s: float = 1.0, margin_s: float = 0.3) -> dict:
    """The report, as plain values."""
    result = understand(source, model)
    return {
        "bag": source.bag.path.name,
        "topic": source.topic.name,
        "seconds": round(source.seconds, 3),
        "checkpoint": {"name": model.config.name, "sha256": model.sha256},
        "segments": len(source.segments),
        "embeddings": len(result.embeddings),
        "notes": source.notes,
        "boundaries": score_boundaries(source, result, tolerance_s),
        "texts": score_texts(source, result.embeddings, model, margin_s),
    }


def lines(report: dict) -> list[str]:
    """The report for people."""
    found, texts = report["boundaries"], report["texts"]
    clock = "" if found["f1_uniform"] is None else f", the best clock {found['f1_uniform']:.2f}"
    out = [f"note: {note}" for note in report["notes"]]
    out += [
        f"{report['topic']}: {report['seconds']:.1f} s, {report['segments']} segments, {report['embeddings']} embeddings",
        f"boundaries within {found['tolerance_s']:g} s: F1 {found['f1']:.2f} ({found['matched']} of {found['true']} found, "
        f"{found['detected']} detected{clock})",
    ]
    if texts["nearest_is_right"] is None:
        return [*out, f"texts: nothing to choose from ({texts['texts']} different states, {texts['embeddings']} embeddings)"]
    right = texts["nearest_is_right"]
    out.append(
        f"the right one of {texts['texts']} texts is the nearest: {right['value']:.2f} "
        f"({right['low']:.2f} to {right['high']:.2f}; always the most frequent: {texts['most_frequent']:.2f})"
    )
    return out + [f"  {one['right']:.2f}  {text}  ({one['embeddings']})" for text, one in texts["by_text"].items()]


def main(arguments: list[str] | None = None) -> int:
    """Exit status. 0: scored. 2: not, with one line that says why."""
    parser = argparse.ArgumentParser(prog="python -m vljepa_training.score", description=__doc__.splitlines()[0])
    parser.add_argument("bag", type=Path, metavar="BAG", help="a ROS 2 bag: its folder, or an .mcap or .db3 file")
    parser.add_argument("segments", type=Path, metavar="SEGMENTS", help="its segments: what `vljepa annotate` writes, corrected")
    parser.add_argument("--checkpoint", default="tabletop", help="a bundled one, or a checkpoint's folder (default: %(default)s)")
    parser.add_argument("--topic", help="which camera of the bag (default: the most usual one)")
    parser.add_argument("--tolerance", type=float, default=1.0, help="seconds between a true boundary and its detection at most")
    parser.add_argument("--margin", type=float, default=0.3, help="seconds around a boundary without a right text")
    parser.add_argument("--engine", default="auto")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads of the network; teams of them crawl on busy cores")
    parser.add_argument("--json", type=Path, metavar="FILE", help="the whole report")
    args = parser.parse_args(arguments)
    try:
        if not args.tolerance > 0 or not args.margin >= 0:
            raise ValueError(f"--tolerance must be above 0 and --margin at least 0, got {args.tolerance} and {args.margin}")
        if args.threads < 1:
            raise ValueError(f"--threads must be at least 1, got {args.threads}")
        torch.set_num_threads(args.threads)
        parts = ("vision", "predictor", "text_encoder")
        model = VLJEPA.from_pretrained(args.checkpoint, device=args.device, engine=args.engine, parts=parts)
        report = score(AnnotatedBag(args.bag, args.segments, model.config, args.topic), model, args.tolerance, args.margin)
        if args.json:
            args.json.parent.mkdir(parents=True, exist_ok=True)
            beside = args.json.with_name(args.json.name + ".part")
            beside.write_text(json.dumps(report, indent=1, allow_nan=False) + "\n")
            os.replace(beside, args.json)
    except (SourceError, CheckpointError, ValueError, OSError) as error:
        print(f"score: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    print("\n".join(lines(report)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
