"""`--set PHASE.FIELD=VALUE`: another value for a field of a recipe's phase or of its schedule, from the command line."""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from .joint_recipes import JointRecipe

EVERY = "*"  # instead of a phase's name


def changed(recipe: JointRecipe, settings: list[str]) -> JointRecipe:
    """`recipe` with each of `settings`, as in `video.steps=1000`, `*.parallel=fsdp2`. ValueError names what is wrong."""
    phases = list(recipe.phases)
    for setting in settings:
        where, equals, text = setting.partition("=")
        name, dot, field = where.partition(".")
        if not (equals and dot):
            raise ValueError(f"a setting looks like PHASE.FIELD=VALUE, got {setting!r}")
        chosen = [k for k, phase in enumerate(phases) if name in (phase.name, EVERY)]
        if not chosen:
            known = ", ".join(phase.name for phase in phases)
            raise ValueError(f"{recipe.name} has no phase {name!r}; it has {known}, and {EVERY} for all of them")
        for k in chosen:
            phases[k] = _with(phases[k], field, text, setting)
    return replace(recipe, phases=tuple(phases))


def _with(phase: Any, field: str, text: str, setting: str) -> Any:
    """The phase, or the phase with another schedule, where the field is one of the schedule's."""
    own, of_schedule = ({f.name: getattr(one, f.name) for f in fields(one)} for one in (phase, phase.schedule))
    plain = {name: value for name, value in own.items() if not is_dataclass(value) and name != "name"}
    if field in plain:
        return replace(phase, **{field: _typed(plain[field], text, setting)})
    if field in of_schedule:
        return replace(phase, schedule=replace(phase.schedule, **{field: _typed(of_schedule[field], text, setting)}))
    raise ValueError(f"{setting}: a phase has no {field!r}; it has {', '.join([*plain, *of_schedule])}")


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
