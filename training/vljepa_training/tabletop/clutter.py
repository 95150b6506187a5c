# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What makes a scene hard to read and means nothing: things at the edges, pictures on the wall, a mat under everything, something
between camera and table, a table of any colour, harder light.

Whoever names the table by its background, or an event by any motion at all, fails here. Nothing of it is ever spoken of, moved or
counted. Knows nothing of events or time.
"""

from __future__ import annotations

import colorsys
from dataclasses import dataclass, replace

import numpy as np

from .scene import CABINET_HALF, CABINET_POS, Scene, camera_axes

# Where no event goes: (x, y) ranges of the table's margins.
_MARGINS = (((-0.55, -0.42), (-0.15, 0.45)), ((0.40, 0.55), (-0.15, 0.45)), ((-0.10, 0.00), (0.34, 0.46)))
_HANG = ((-0.8, 0.8), (0.06, 0.40))  # x and z of what hangs on the wall
_WALL_Y = 0.725


@dataclass(frozen=True)
class Prop:
    """A thing that means nothing. `kind`: a MuJoCo geom (box, ellipsoid, capsule); `pos` of its centre and `size` in metres, as
    MuJoCo takes them; `euler_deg` about x, y, z."""

    kind: str
    pos: tuple[float, float, float]
    size: tuple[float, ...]
    rgb: tuple[float, float, float]
    euler_deg: tuple[float, float, float] = (0.0, 0.0, 0.0)

    def mjcf(self, name: str) -> str:
        numbers = {"pos": self.pos, "size": self.size, "rgba": (*self.rgb, 1.0), "euler": self.euler_deg}
        facts = " ".join(f'{key}="{" ".join(f"{v:.4f}" for v in value)}"' for key, value in numbers.items())
        return f'<geom name="{name}" type="{self.kind}" {facts}/>'


def clutter(scene: Scene, rng: np.random.Generator, own_table: bool = True) -> Scene:
    """The scene, made hard. `own_table=False` leaves the table's colours as they are."""
    props = [_at_the_edge(rng) for _ in range(rng.integers(0, 4))]
    props += [_on_the_wall(rng) for _ in range(rng.integers(0, 3))]
    if rng.random() < 0.4:
        props.append(_on_the_cabinet(rng))
    if rng.random() < 0.4:
        props.append(_mat(rng))
    if rng.random() < 0.35:
        props.append(_in_the_way(scene, rng))
    table = scene.table_rgb
    if own_table:
        base = np.array(_any_colour(rng, 0.55))
        while base[1] > base[0] and base[2] > base[0]:  # towards teal, which `heldout_texture` keeps for itself
            base = np.array(_any_colour(rng, 0.55))
        table = (tuple(base), tuple(np.clip(base * rng.uniform(0.6, 0.95), 0, 1)))
    return replace(
        scene,
        props=tuple(props),
        table_rgb=table,
        light_level=float(rng.uniform(0.25, 0.75)),
        ambient=float(rng.uniform(0.2, 0.45)),
    )


def _any_colour(rng: np.random.Generator, most: float = 0.8) -> tuple[float, float, float]:
    return colorsys.hsv_to_rgb(rng.random(), rng.uniform(0, most), rng.uniform(0.2, 0.9))


def _lying(rng: np.random.Generator, x: float, y: float, z: float) -> Prop:
    """A book, a pen or bottle on its side, a plate or stone: none has a shape that is spoken of."""
    turn = (0.0, 0.0, float(rng.uniform(0, 180)))
    kind = int(rng.integers(3))
    if kind == 0:
        size = (rng.uniform(0.04, 0.08), rng.uniform(0.03, 0.06), rng.uniform(0.006, 0.02))
        return Prop("box", (x, y, z + size[2]), size, _any_colour(rng), turn)
    if kind == 1:
        radius = rng.uniform(0.008, 0.025)
        return Prop("capsule", (x, y, z + radius), (radius, rng.uniform(0.03, 0.07)), _any_colour(rng), (90.0, turn[2], 0.0))
    size = (rng.uniform(0.03, 0.06), rng.uniform(0.03, 0.06), rng.uniform(0.008, 0.025))
    return Prop("ellipsoid", (x, y, z + size[2] * 0.8), size, _any_colour(rng), turn)


def _at_the_edge(rng: np.random.Generator) -> Prop:
    (x0, x1), (y0, y1) = _MARGINS[int(rng.integers(len(_MARGINS)))]
    return _lying(rng, rng.uniform(x0, x1), rng.uniform(y0, y1), 0.0)


def _on_the_cabinet(rng: np.random.Generator) -> Prop:
    x, y = rng.uniform(-0.6, 0.6, 2) * CABINET_HALF[:2]
    return _lying(rng, CABINET_POS[0] + x, CABINET_POS[1] + y, 2 * CABINET_HALF[2])


def _on_the_wall(rng: np.random.Generator) -> Prop:
    size = (rng.uniform(0.05, 0.2), 0.004, rng.uniform(0.04, 0.12))
    return Prop("box", (rng.uniform(*_HANG[0]), _WALL_Y, rng.uniform(*_HANG[1])), size, _any_colour(rng))


def _mat(rng: np.random.Generator) -> Prop:
    size = (rng.uniform(0.08, 0.3), rng.uniform(0.06, 0.2), 0.0008)
    pos = (rng.uniform(-0.25, 0.25), rng.uniform(-0.3, 0.05), 0.0008)
    return Prop("box", pos, size, _any_colour(rng, 0.4), (0.0, 0.0, float(rng.uniform(-30, 30))))


def _in_the_way(scene: Scene, rng: np.random.Generator) -> Prop:
    """A cable or pole close to the camera that crosses the picture, a twentieth of its width."""
    position, right, up, forward = camera_axes(scene)
    depth = rng.uniform(0.45, 0.6)
    half = depth * np.tan(np.radians(scene.fovy_deg / 2))
    centre = position + depth * forward + rng.uniform(-0.85, 0.85) * half * right
    lean = np.radians(rng.uniform(-25, 25))
    along = 1.6 * half * (np.cos(lean) * up + np.sin(lean) * right)
    return Prop("capsule", tuple(centre), (half * rng.uniform(0.015, 0.045), 1.6 * half), _any_colour(rng), _euler_of(along))


def _euler_of(direction: np.ndarray) -> tuple[float, float, float]:
    """Degrees about x, then the turned y, that bring the z axis along `direction`."""
    x, y, z = direction / np.linalg.norm(direction)
    return float(np.degrees(np.arctan2(-y, z))), float(np.degrees(np.arcsin(np.clip(x, -1, 1)))), 0.0
