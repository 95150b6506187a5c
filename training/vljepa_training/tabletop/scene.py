# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What stands on the table and how it is seen: one random scene as a dataclass, and its MJCF.

World frame: x to the camera's right, y away from the camera, z up, metres; the table top is z = 0. Left and right are therefore
the camera's own. Knows nothing of events or time.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

SHAPES = ("cube", "ball", "cylinder", "cone")
COLOURS = {
    "red": (0.85, 0.10, 0.10),
    "green": (0.10, 0.60, 0.15),
    "blue": (0.10, 0.25, 0.85),
    "yellow": (0.95, 0.85, 0.10),
    "purple": (0.55, 0.15, 0.65),
    "white": (0.95, 0.95, 0.95),
}
HELD_OUT_PAIRS = (("red", "cylinder"), ("blue", "cone"), ("yellow", "cube"))  # never rendered for training

COLUMN_X = (-0.24, 0.0, 0.24)  # left, middle, right
ROW_Y = (-0.25, -0.07)  # near, far
CABINET_POS = (0.19, 0.30)  # x, y of the cabinet's centre
CABINET_HALF = (0.14, 0.10, 0.075)
TRAY_HALF = (0.12, 0.085, 0.035)
DRAWER_TRAVEL = 0.16  # how far the tray slides towards the camera, in metres
LAMP_POS = (-0.26, 0.25)
BUTTON_POS = (-0.17, 0.19, 0.06)  # top of the lamp's button


@dataclass(frozen=True)
class ObjectSpec:
    """One thing on the table. `radius` is half its width, `height` its full height, both in metres."""

    shape: str
    colour: str
    radius: float
    height: float

    @property
    def name(self) -> str:
        return f"{self.colour} {self.shape}"


@dataclass(frozen=True)
class Scene:
    """Everything about a world that does not change while it runs."""

    objects: tuple[ObjectSpec, ...]
    table_rgb: tuple[tuple[float, ...], tuple[float, ...]]
    table_texture: str  # flat | checker | gradient
    wall_rgb: tuple[float, ...]
    wood_rgb: tuple[float, ...]  # cabinet and tray
    metal_rgb: tuple[float, ...]  # gripper
    azimuth_deg: float  # 0: from straight ahead
    elevation_deg: float
    distance: float  # metres from the look-at point
    fovy_deg: float
    look_at: tuple[float, float, float]
    light_dir: tuple[float, float, float]
    light_level: float
    ambient: float
    props: tuple = ()  # of clutter.Prop: what means nothing and stands in the way


def sample_scene(rng: np.random.Generator, split: str = "train") -> Scene:
    """Draw a scene. `split`: "train" and "eval" draw familiar colour-shape pairs, "heldout_pairs" puts at least one unseen pair
    on the table, "heldout_camera" looks from angles outside the training range, "heldout_texture" uses
    table colours outside it."""
    familiar = [(c, s) for c in COLOURS for s in SHAPES if (c, s) not in HELD_OUT_PAIRS]
    count = int(rng.integers(2, 5))
    pairs = [familiar[i] for i in rng.choice(len(familiar), count, replace=False)]
    if split == "heldout_pairs":
        pairs[0] = HELD_OUT_PAIRS[rng.integers(len(HELD_OUT_PAIRS))]
    objects = tuple(_object(c, s, rng.uniform(0.92, 1.12)) for c, s in pairs)

    brown = np.array([0.55, 0.42, 0.30])
    base = np.clip(rng.uniform(0.25, 0.75) * (brown / brown.mean()) ** rng.uniform(-0.6, 1.2), 0, 1)
    if split == "heldout_texture":
        base = np.clip(np.array([0.35, 0.55, 0.60]) + rng.uniform(-0.08, 0.08, 3), 0, 1)  # teal: no training table is
    contrast = rng.uniform(0.75, 0.95)
    side = rng.choice([-1, 1])
    azimuth = rng.uniform(-14, 14) if split != "heldout_camera" else side * rng.uniform(16, 22)
    grey = rng.uniform(0.3, 0.85)
    return Scene(
        objects=objects,
        table_rgb=(tuple(base), tuple(base * contrast)),
        table_texture=str(rng.choice(["flat", "checker", "gradient"])),
        wall_rgb=tuple(np.clip(grey + rng.uniform(-0.08, 0.08, 3), 0, 1)),
        wood_rgb=tuple(np.clip(np.array([0.62, 0.45, 0.28]) * rng.uniform(0.6, 1.3) + rng.uniform(-0.05, 0.05, 3), 0, 1)),
        metal_rgb=tuple(np.full(3, rng.uniform(0.12, 0.32))),
        azimuth_deg=float(azimuth),
        elevation_deg=float(rng.uniform(36, 50)),
        distance=float(rng.uniform(1.15, 1.3)),
        fovy_deg=float(rng.uniform(38, 41)),
        look_at=(float(rng.uniform(-0.02, 0.02)), float(rng.uniform(-0.02, 0.03)), 0.06),
        light_dir=tuple(rng.uniform([-0.6, -0.3, -1.0], [0.6, 0.8, -0.7])),
        light_level=float(rng.uniform(0.35, 0.65)),
        ambient=float(rng.uniform(0.25, 0.42)),
    )


def _object(colour: str, shape: str, scale: float) -> ObjectSpec:
    radius, height = {"cube": (0.052, 0.104), "ball": (0.058, 0.116), "cylinder": (0.044, 0.14), "cone": (0.060, 0.14)}[shape]
    return ObjectSpec(shape, colour, radius * scale, height * scale)


def _rgba(rgb: tuple[float, ...], alpha: float = 1.0) -> str:
    return " ".join(f"{v:.4f}" for v in (*rgb, alpha))


def camera_axes(scene: Scene) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """(position, right, up, forward) of the camera in the world, the last three of length 1."""
    az, el = np.radians(scene.azimuth_deg), np.radians(scene.elevation_deg)
    away = np.array([np.sin(az) * np.cos(el), -np.cos(az) * np.cos(el), np.sin(el)])
    right = np.array([np.cos(az), np.sin(az), 0.0])
    return np.array(scene.look_at) + scene.distance * away, right, np.cross(away, right), -away


def _camera(scene: Scene) -> str:
    pos, right, up, _ = camera_axes(scene)
    axes = " ".join(f"{v:.6f}" for v in (*right, *up))
    return f'<camera name="camera" pos="{pos[0]:.5f} {pos[1]:.5f} {pos[2]:.5f}" xyaxes="{axes}" fovy="{scene.fovy_deg:.3f}"/>'


def _geom(spec: ObjectSpec, i: int) -> str:
    half, rgba = spec.height / 2, _rgba(COLOURS[spec.colour])
    shape = {
        "cube": f'type="box" size="{spec.radius:.4f} {spec.radius:.4f} {half:.4f}"',
        "ball": f'type="sphere" size="{spec.radius:.4f}"',
        "cylinder": f'type="cylinder" size="{spec.radius:.4f} {half:.4f}"',
        "cone": f'type="mesh" mesh="cone{i}"',
    }[spec.shape]
    return f'<body name="object{i}" mocap="true"><geom name="object{i}" {shape} rgba="{rgba}"/></body>'


def _cone_mesh(spec: ObjectSpec, i: int) -> str:
    # Centred at half height, unlike a mesh's centre of mass: `inertia="shell"` would move it again, so the origin is set by
    # refpos.
    angles = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    ring = [(spec.radius * np.cos(a), spec.radius * np.sin(a), -spec.height / 2) for a in angles]
    points = " ".join(f"{x:.5f} {y:.5f} {z:.5f}" for x, y, z in (*ring, (0.0, 0.0, spec.height / 2)))
    return f'<mesh name="cone{i}" vertex="{points}"/>'


def build_mjcf(scene: Scene, width: int, height: int) -> str:
    """The scene as MJCF, with an offscreen buffer of the given size. Every moving body is a mocap body: nothing is simulated."""
    tex = scene.table_texture
    meshes = "".join(_cone_mesh(o, i) for i, o in enumerate(scene.objects) if o.shape == "cone")
    bodies = "".join(_geom(o, i) for i, o in enumerate(scene.objects))
    props = "".join(prop.mjcf(f"prop_{i}") for i, prop in enumerate(scene.props))
    cx, cy = CABINET_POS
    hx, hy, hz = CABINET_HALF
    tx, ty, tz = TRAY_HALF
    lx, ly = LAMP_POS
    bx, by, bz = BUTTON_POS
    wood, dark = _rgba(scene.wood_rgb), _rgba(tuple(np.array(scene.wood_rgb) * 0.35))
    front = _rgba(tuple(np.clip(np.array(scene.wood_rgb) * 1.25, 0, 1)))
    metal = _rgba(scene.metal_rgb)
    direction = " ".join(f"{v:.4f}" for v in scene.light_dir)
    return f"""
<mujoco>
  <visual>
    <global offwidth="{width}" offheight="{height}"/><quality offsamples="0" shadowsize="0"/>
    <headlight ambient="{scene.ambient} {scene.ambient} {scene.ambient}" diffuse="0.15 0.15 0.15" specular="0 0 0"/>
  </visual>
  <asset>
    <texture name="table" type="2d" builtin="{tex}" width="128" height="128" rgb1="{_rgba(scene.table_rgb[0])[:-7]}"
      rgb2="{_rgba(scene.table_rgb[1])[:-7]}"/>
    <material name="table" texture="table" texrepeat="5 5" specular="0" shininess="0"/>
    <material name="bulb" rgba="0.25 0.25 0.27 1" emission="0" specular="0"/>
    <material name="halo" rgba="1 0.9 0.5 0" emission="1" specular="0"/>
    {meshes}
  </asset>
  <worldbody>
    {_camera(scene)}
    <light name="room" directional="true" dir="{direction}" castshadow="false"
      diffuse="{scene.light_level} {scene.light_level} {scene.light_level}" specular="0.1 0.1 0.1"/>
    <light name="lamp" pos="{lx} {ly - 0.02} 0.26" dir="0.25 -0.45 -1" castshadow="false" cutoff="75" exponent="2"
      diffuse="0.8 0.7 0.35" specular="0 0 0" active="false"/>
    <geom name="table" type="box" pos="0 0.05 -0.02" size="0.6 0.48 0.02" material="table"/>
    <geom name="wall" type="box" pos="0 0.75 0.2" size="2 0.02 1.5" rgba="{_rgba(scene.wall_rgb)}"/>
    <geom name="floor" type="box" pos="0 0 -0.6" size="2 2 0.02" rgba="{_rgba(tuple(np.array(scene.wall_rgb) * 0.6))}"/>
    <geom name="cabinet_top" type="box" pos="{cx} {cy} {2 * hz - 0.006}" size="{hx} {hy} 0.008" rgba="{wood}"/>
    <geom name="cabinet_left" type="box" pos="{cx - hx} {cy} {hz}" size="0.008 {hy} {hz}" rgba="{wood}"/>
    <geom name="cabinet_right" type="box" pos="{cx + hx} {cy} {hz}" size="0.008 {hy} {hz}" rgba="{wood}"/>
    <geom name="cabinet_inside" type="box" pos="{cx} {cy + hy} {hz}" size="{hx} 0.008 {hz}" rgba="{dark}"/>
    <body name="tray" mocap="true">
      <geom name="tray_floor" type="box" pos="0 0 0.006" size="{tx} {ty} 0.006" rgba="{dark}"/>
      <geom name="tray_left" type="box" pos="{-tx} 0 {tz}" size="0.006 {ty} {tz}" rgba="{wood}"/>
      <geom name="tray_right" type="box" pos="{tx} 0 {tz}" size="0.006 {ty} {tz}" rgba="{wood}"/>
      <geom name="tray_front" type="box" pos="0 {-ty} {hz - 0.01}" size="{hx - 0.006} 0.008 {hz - 0.012}" rgba="{front}"/>
      <geom name="tray_handle" type="capsule" fromto="-0.04 {-ty - 0.022} {hz} 0.04 {-ty - 0.022} {hz}" size="0.011"
        rgba="{metal}"/>
    </body>
    <geom name="lamp_base" type="cylinder" pos="{lx} {ly} 0.015" size="0.07 0.015" rgba="0.2 0.2 0.22 1"/>
    <geom name="lamp_arm" type="box" pos="{(lx + bx) / 2} {(ly + by) / 2} 0.02" size="0.06 0.02 0.01" rgba="0.2 0.2 0.22 1"/>
    <geom name="lamp_button" type="cylinder" pos="{bx} {by} {bz / 2}" size="0.03 {bz / 2}" rgba="0.75 0.3 0.1 1"/>
    <geom name="lamp_pole" type="cylinder" pos="{lx} {ly + 0.02} 0.11" size="0.012 0.11" rgba="0.2 0.2 0.22 1"/>
    <geom name="lamp_bulb" type="sphere" pos="{lx} {ly} 0.25" size="0.052" material="bulb"/>
    <geom name="lamp_halo" type="sphere" pos="{lx} {ly} 0.25" size="0.085" material="halo"/>
    {bodies}
    {props}
    <body name="palm" mocap="true">
      <geom name="palm" type="box" pos="0 0 0.115" size="0.07 0.03 0.02" rgba="{metal}"/>
      <geom name="wrist" type="cylinder" fromto="0 0 0.13 0 0 0.75" size="0.028" rgba="{metal}"/>
    </body>
    <body name="finger_left" mocap="true"><geom name="finger_left" type="box" pos="0 0 0.05" size="0.009 0.02 0.055"
      rgba="{metal}"/></body>
    <body name="finger_right" mocap="true"><geom name="finger_right" type="box" pos="0 0 0.05" size="0.009 0.02 0.055"
      rgba="{metal}"/></body>
  </worldbody>
</mujoco>"""
