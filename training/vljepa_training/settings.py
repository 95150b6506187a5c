# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`--set PHASE.FIELD=VALUE`: another value for a field of a recipe's phase or of its schedule, from the command line."""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from .joint_recipes import JointRecipe

EVERY = "*"  # instead of a phase's name
DECODE = "decode"  # the Y-Decoder's schedule, which belongs to no phase


def changed(recipe: JointRecipe, settings: list[str]) -> JointRecipe:
    """`recipe` with each of `settings`, as in `video.steps=1000`, `*.parallel=fsdp2`, `decode.lr=1e-3`. ValueError names what is
    wrong."""
    phases = list(recipe.phases)
    for setting in settings:
        where, equals, text = setting.partition("=")
        name, dot, field = where.partition(".")
        if not (equals and dot):
            raise ValueError(f"a setting looks like PHASE.FIELD=VALUE, got {setting!r}")
        if name == DECODE:
            recipe = replace(recipe, decode=_with(recipe.decode, field, text, setting))
            continue
        chosen = [k for k, phase in enumerate(phases) if name in (phase.name, EVERY)]
        if not chosen:
            known = ", ".join(phase.name for phase in phases)
            raise ValueError(f"{recipe.name} has no phase {name!r}; it has {known}, {EVERY} for all of them, and {DECODE}")
        for k in chosen:
            phases[k] = _with(phases[k], field, text, setting)
    return replace(recipe, phases=tuple(phases))


def _with(one: Any, field: str, text: str, setting: str) -> Any:
    """A phase or a schedule with another value of the field, which may be one of the phase's schedule."""
    own = {f.name: getattr(one, f.name) for f in fields(one)}
    plain = {name: value for name, value in own.items() if not is_dataclass(value) and name != "name"}
    if field in plain:
        return replace(one, **{field: _typed(plain[field], text, setting)})
    inside = own.get("schedule")
    known = [f.name for f in fields(inside)] if inside else []
    if field in known:
        return replace(one, schedule=_with(inside, field, text, setting))
    raise ValueError(f"{setting}: there is no {field!r}; there are {', '.join([*plain, *known])}")


def _typed(before: Any, text: str, setting: str) -> Any:
    """`text` as YAML, of the type of the value that it replaces."""
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        value = None
    if isinstance(before, float) and not isinstance(value, bool):  # YAML 1.1 takes 1e-4 for a text
        try:
            value = float(text)
        except ValueError:
            value = None
    if type(value) is not type(before):
        raise ValueError(f"{setting}: the value must be like {before!r}, of type {type(before).__name__}")
    return value
