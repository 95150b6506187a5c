# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`python -m vljepa_training.card CHECKPOINT --reports FILE ... [--logs RUN]`: the model card, README.md beside the weights.

Every number comes from a file: the checkpoint's, the reports' (`python -m vljepa_training.evals --json`), the training's logs and
recipe, or the constants that the worlds are made by. What no file says is left out. The words are card.md.j2's.

Write it last: saving a checkpoint replaces its folder. Files that belong to another checkpoint are refused.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from vljepa_ros.model import checkpoint
from vljepa_ros.model.checkpoint import CheckpointError, Manifest

from .evals.__main__ import HEADLINES
from .log import progress
from .recipes import Recipe
from .tabletop import dataset
from .tabletop.scene import COLOURS, HELD_OUT_PAIRS, SHAPES
from .tabletop.state import EVENTS
from .tabletop_run import FIRST_STILL

TEMPLATE = "card.md.j2"
NO_FIGURES = ("checkpoint", "sha256", "seed", "seconds", "action_confused")
WORST = 3  # classes and confusions that the limits name
STAGES = [f.name for f in fields(Recipe) if f.type == "Schedule"]  # in the order of the training

Path_ = tuple[str, ...]  # where a figure stands in a report
Leaf = dict[str, Any] | float  # {"value", "low", "high", "n"}, or a bare number


@dataclass(frozen=True)
class Table:
    """Figures of one block of the reports. `rows`: name -> a cell for every column, "" where a report has none."""

    name: str
    columns: list[str]
    rows: dict[str, list[str]]


def number(value: float) -> str:
    """As a person reads it: three decimals, or the whole of a whole one."""
    return str(value) if isinstance(value, int) else f"{value:.0f}" if abs(value) >= 100 else f"{value:.3f}"


def cell(leaf: Leaf) -> str:
    """The value, with its 95 % interval and n where they are known."""
    if not isinstance(leaf, dict):
        return number(leaf)
    notes = [f"{number(leaf['low'])} to {number(leaf['high'])}"] if leaf.get("low") is not None else []
    notes += [f"n {leaf['n']}"] if leaf.get("n") else []
    return number(leaf["value"]) + (f" ({', '.join(notes)})" if notes else "")


def figures(report: dict[str, Any], path: Path_ = ()) -> Iterator[tuple[Path_, Leaf]]:
    """All figures and bare numbers of a report, by where they stand. Lists and words are none; so is what was not measured."""
    for key, value in report.items():
        here = (*path, key)
        if len(here) == 1 and key in NO_FIGURES:
            continue
        if isinstance(value, dict) and "value" in value:
            if value["value"] is not None:
                yield here, value
        elif isinstance(value, dict):
            yield from figures(value, here)
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield here, value


def read(file: Path) -> dict[str, Any]:
    """ValueError that names the file where it is no JSON."""
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{file} is no JSON ({error})") from error


def read_reports(files: Sequence[Path], manifest: Manifest) -> dict[str, dict[str, Any]]:
    """Reports by their worlds' seed ("seed 1"); several of one seed are one. ValueError for another checkpoint's, and where two
    of one seed say different things of one figure."""
    out: dict[str, dict[str, Any]] = {}
    for file in files:
        report = read(file)
        if report.get("sha256") != manifest.sha256:
            raise ValueError(f"{file} is a report about another checkpoint ({report.get('sha256')}, not {manifest.sha256})")
        merged = out.setdefault(f"seed {report.get('seed')}", {})
        if differing := [k for k in report if k in merged and k not in NO_FIGURES and merged[k] != report[k]]:
            raise ValueError(f"{file} and another report of that seed differ in {differing[0]}; give one of them")
        merged |= report
    return out


def tables(reports: dict[str, dict[str, Any]]) -> tuple[Table | None, Table | None, list[Table]]:
    """(headlines: what stands at the top of a report, what stands there by kind of event, one table for each other block)."""
    found = {label: dict(figures(report)) for label, report in reports.items()}
    order = {name: i for i, name in enumerate(HEADLINES)}
    paths = sorted(dict.fromkeys(p for known in found.values() for p in known), key=lambda p: order.get(p[0], len(order)))

    def table(name: str, chosen: list[Path_], place: Callable[[Path_, str], tuple[str, str]]) -> Table | None:
        """`place`: path and report -> (row, column)."""
        told = {place(p, label): cell(known[p]) for p in chosen for label, known in found.items() if p in known}
        rows, columns = (list(dict.fromkeys(key[i] for key in told)) for i in (0, 1))
        return Table(name, columns, {row: [told.get((row, c), "") for c in columns] for row in rows}) if told else None

    top = [p for p in paths if len(p) == 1]
    kinds = [p for p in paths if len(p) > 1 and p[-2].endswith("per_class")]
    blocks: dict[str, list[Path_]] = {}
    for p in (p for p in paths if len(p) > 1 and p not in kinds):
        blocks.setdefault(p[0], []).append(p)
    several = len(reports) > 1
    return (
        table("", top, lambda p, label: (p[0], label)),
        table("", kinds, lambda p, label: (p[-1], ".".join(p[:-1]) + (f", {label}" if several else ""))),
        [t for name, block in blocks.items() if (t := table(name, block, lambda p, label: (".".join(p[1:]), label)))],
    )


def weakest(reports: dict[str, dict[str, Any]]) -> dict[str, list[str]]:
    """Of every figure that is known class by class ("..._per_class", "vqa"), the lowest classes as "name value"."""
    out = {}
    for label, report in reports.items():
        classes: dict[Path_, list[tuple[float, str]]] = {}
        for path, leaf in figures(report):
            if len(path) > 1 and (path[-2].endswith("per_class") or path[:-1] == ("vqa",)):
                classes.setdefault(path[:-1], []).append((leaf["value"] if isinstance(leaf, dict) else leaf, path[-1]))
        for path, values in classes.items():
            lowest = sorted(values)[:WORST]
            if lowest[0][0] < max(values)[0]:
                out[f"{'.'.join(path)}, {label}"] = [f"{name} {number(value)}" for value, name in lowest]
    return out


def confusions(reports: dict[str, dict[str, Any]]) -> list[str]:
    """Which action is most often taken for which other."""
    taken = [
        (wrong, sum(row.values()), true, said)
        for report in reports.values()
        for true, row in report.get("action_confused", {}).items()
        for said, wrong in row.items()
        if said != true and wrong > 1
    ]
    worst = sorted(taken, key=lambda t: -t[0] / t[1])[:WORST]
    return [f"{true} is taken for {said} in {wrong} of {n}" for wrong, n, true, said in worst]


def parts(folder: Path, manifest: Manifest) -> list[dict[str, Any]]:
    """Every part with what it is made of, its numbers counted in the weight files."""
    from safetensors import safe_open

    config, out = manifest.config, []
    for part, files in manifest.weights.items():
        count = size = 0
        for name in files:
            with safe_open(folder / name, "np") as weights:
                for key in weights.keys():
                    shape, product = weights.get_slice(key).get_shape(), 1
                    for length in shape:
                        product *= length
                    count += product
            size += manifest.files[name]["size"]
        facts = getattr(config, part, None)
        hub = getattr(facts, "hub", None)
        layers, width = (hub.get("num_hidden_layers"), hub.get("hidden_size")) if hub else (
            getattr(facts, "layers", None), getattr(facts, "hidden_size", None)
        )  # fmt: skip
        out.append({"name": part, "count": count, "size": size, "layers": layers, "width": width, "hub": hub})
    return out


def read_stages(logs: Path) -> list[dict[str, Any]]:
    """Every stage: its schedule, the seconds that it took, the held-out figures of the chosen weights.

    ValueError where one is not finished: what stands in `logs` then went on after the checkpoint, or never made one.
    """
    out = []
    for name in STAGES:
        if (file := logs / name / "schedule.json").exists():
            schedule, (steps, seconds) = read(file), progress(logs / name)
            if steps < schedule["steps"]:
                raise ValueError(
                    f"{logs / name} is at step {steps} of {schedule['steps']}: no checkpoint is of this training yet"
                )
            best = read(logs / name / "best.json") if (logs / name / "best.json").exists() else {}
            held = [f"{k} {number(v)}" for k, v in best.items() if k not in ("step", "score")]
            out.append({"name": name, **schedule, "seconds": seconds, "held": held})
    return out


def render(folder: Path, reports: Sequence[Path] = (), logs: Path | None = None) -> str:
    """The card. CheckpointError for a damaged checkpoint, ValueError for files about another one."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    manifest = checkpoint.read_manifest(folder)
    for name in manifest.files:
        checkpoint.verify(folder, manifest, name)
    made = logs / "checkpoint" if logs else folder
    theirs = checkpoint.read_manifest(made).sha256 if (made / "config.json").exists() else manifest.sha256
    if theirs != manifest.sha256:
        raise ValueError(f"the training in {logs} made another checkpoint ({theirs}, not {manifest.sha256})")
    recipe = read(logs / "recipe.json") if logs and (logs / "recipe.json").exists() else {}
    begin = read(logs / "begin.json")["sha256"] if logs and (logs / "begin.json").exists() else None
    known = read_reports(reports, manifest)
    headlines, by_kind, blocks = tables(known)
    bundled = [name for name, place in checkpoint.bundled().items() if place.resolve() == folder.resolve()]
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"number": number, "minutes": lambda s: f"{s / 60:.0f}", "mib": lambda b: f"{b / 2**20:.1f}"}
    environment.filters["grouped"] = lambda n: f"{n:,}"
    return environment.get_template(TEMPLATE).render(
        manifest=manifest, config=manifest.config, handle=bundled[0] if bundled else folder.name, bundled=bool(bundled),
        parts=parts(folder, manifest), stages=read_stages(logs) if logs else [],
        recipe=recipe, begin=begin, first_still=FIRST_STILL, world=dataset,
        colours=list(COLOURS), shapes=SHAPES, events=EVENTS, unseen=HELD_OUT_PAIRS,
        seeds=list(known), headlines=headlines, by_kind=by_kind, blocks=blocks,
        weakest=weakest(known), confusions=confusions(known),
    )  # fmt: skip


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m vljepa_training.card", description=__doc__.splitlines()[0])
    parser.add_argument("checkpoint", help="a folder, or the name of a bundled checkpoint")
    parser.add_argument(
        "--reports", nargs="+", type=Path, default=[], metavar="FILE", help="of `python -m vljepa_training.evals`"
    )
    parser.add_argument("--logs", type=Path, help="folder of the training's stages, such as runs/tabletop")
    args = parser.parse_args(argv)
    try:
        folder = checkpoint.resolve(args.checkpoint)
        text = render(folder, args.reports, args.logs)
    except (CheckpointError, ValueError, OSError) as error:
        sys.exit(str(error))
    beside = folder / ".README.md.part"
    beside.write_text(text, encoding="utf-8")
    os.replace(beside, folder / "README.md")
    print(folder / "README.md")


if __name__ == "__main__":
    main()
