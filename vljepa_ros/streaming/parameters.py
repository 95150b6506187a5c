# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Parameters of the core: frozen dataclasses that own the default, the range and the sentence of every value.

A node declares its ROS parameters from these fields (`metadata["description"]`, `metadata["range"]`, `metadata["choices"]`) and
hands the dataclass back whole, so nothing is named twice. Knows nothing of ROS.
"""

from __future__ import annotations

import math
from dataclasses import field, fields
from typing import Any


def parameter(
    default: float | int | str, description: str, range: tuple[float, float] | None = None,
    choices: tuple[str, ...] | None = None, live: bool = False,
) -> Any:
    """A dataclass field with what a person needs to set it: a sentence (unit included) and either a closed range or the
    choices. `live`: it may be changed while the stream runs."""
    metadata: dict[str, Any] = {"description": description, "live": live}
    if range is not None:
        metadata["range"] = range
    if choices is not None:
        metadata["choices"] = choices
    return field(default=default, metadata=metadata)


def check(parameters: Any, prefix: str) -> None:
    """Raise ValueError for the first field outside its range or choices; the message names field, value and what is allowed."""
    for one in fields(parameters):
        value = getattr(parameters, one.name)
        bounds, choices = one.metadata.get("range"), one.metadata.get("choices")
        if bounds is not None:
            number = isinstance(value, (int, float)) and not isinstance(value, bool)
            if not number or not math.isfinite(value) or not bounds[0] <= value <= bounds[1]:
                raise ValueError(f"{prefix}.{one.name} must be a number from {bounds[0]} to {bounds[1]}, got {value!r}")
        if choices is not None and value not in choices:
            raise ValueError(f"{prefix}.{one.name} must be one of {', '.join(choices)}, got {value!r}")
