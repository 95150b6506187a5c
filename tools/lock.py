# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Rewrite a locked set from the environment it is installed in: `.venv/bin/python tools/lock.py requirements/runtime.txt ...`

A locked set has two halves: the packages we chose (kept as they stand, edit them by hand) and, below the line, all that they
bring along, pinned to what is installed here. To move a pin: install the new version, run the tests,
run this, commit the difference.
"""
from __future__ import annotations

import re
import sys
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

LINE = "# --- brought along by the above; written by tools/lock.py ---"


def installed() -> dict[str, metadata.Distribution]:
    """Distributions by name, without the egg-infos that the `ros-*` wheels carry from their build: those install from nowhere."""
    found = (d for d in metadata.distributions() if str(d._path).endswith(".dist-info"))  # type: ignore[attr-defined]
    return {canonicalize_name(d.metadata["Name"]): d for d in found}


def closure(roots: list[Requirement], have: dict[str, metadata.Distribution]) -> set[str]:
    """Names of everything that `roots` need on this Python, themselves included."""
    seen: set[tuple[str, frozenset[str]]] = set()
    todo = [(canonicalize_name(r.name), frozenset(r.extras)) for r in roots]
    while todo:
        name, extras = todo.pop()
        if (name, extras) in seen:
            continue
        seen.add((name, extras))
        if name not in have:
            raise SystemExit(f"{name} is not installed here: install the set before locking it")
        for text in have[name].requires or []:
            need = Requirement(text)
            if need.marker is None or any(need.marker.evaluate({"extra": e}) for e in (extras or {""})):
                todo.append((canonicalize_name(need.name), frozenset(need.extras)))
    return {name for name, _ in seen}


def relock(path: Path, have: dict[str, metadata.Distribution]) -> None:
    """Rewrite the lower half of one locked set."""
    upper = path.read_text().split(LINE)[0].rstrip()
    roots = [Requirement(line) for line in upper.splitlines() if line and not line.startswith(("#", "-"))]
    chosen = {canonicalize_name(r.name) for r in roots}
    # A local version such as 2.13.0+cpu names one index's build; the lock must install from any.
    brought = [f"{name}=={re.sub(r'[+].*', '', have[name].version)}" for name in sorted(closure(roots, have) - chosen)]
    path.write_text("\n".join([upper, "", LINE, *brought]) + "\n")
    print(f"{path}: {len(chosen)} chosen, {len(brought)} brought along")


def main() -> None:
    have = installed()
    for name in sys.argv[1:] or sys.exit(__doc__):
        relock(Path(name), have)


if __name__ == "__main__":
    main()
