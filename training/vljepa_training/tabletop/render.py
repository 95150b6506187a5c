# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Pictures of a script at a time, by MuJoCo's offscreen renderer. The only file here that needs a GL library."""

from __future__ import annotations

import os

import numpy as np

os.environ.setdefault("MUJOCO_GL", "egl")

import mujoco  # noqa: E402  (reads MUJOCO_GL when imported)

from .events import Script  # noqa: E402
from .scene import CABINET_POS, Scene, build_mjcf  # noqa: E402

# Segment classes of a pixel; object i is OBJECT + i
BACKGROUND, GRIPPER, TRAY, LAMP, OBJECT = 0, 1, 2, 3, 4


def can_render() -> str:
    """ "" where rendering works, else why not, in one line."""
    try:
        gl = mujoco.GLContext(16, 16)
        gl.make_current()
        gl.free()
    except Exception as error:  # the GL stacks raise whatever they like
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        return f"MuJoCo cannot render (MUJOCO_GL={os.environ['MUJOCO_GL']}): {reason}"
    return ""


class Renderer:
    """Renders one scene at one size. A context manager: the GL context is freed on exit."""

    def __init__(self, scene: Scene, width: int, height: int) -> None:
        self.scene = scene
        self._model = mujoco.MjModel.from_xml_string(build_mjcf(scene, width, height))
        self._data = mujoco.MjData(self._model)
        self._renderer = mujoco.Renderer(self._model, height, width)
        flags = self._renderer.scene.flags
        for flag in (mujoco.mjtRndFlag.mjRND_SHADOW, mujoco.mjtRndFlag.mjRND_REFLECTION, mujoco.mjtRndFlag.mjRND_SKYBOX):
            flags[flag] = 0
        self._camera_pos = self._model.cam_pos[0].copy()
        self._mocap = {
            self._model.body(b).name: self._model.body_mocapid[b]
            for b in range(self._model.nbody)
            if self._model.body_mocapid[b] >= 0
        }
        self._lamp = self._model.light("lamp").id
        self._bulb, self._halo = self._model.material("bulb").id, self._model.material("halo").id
        self._class_of_geom = np.array(
            [self._segment_class(self._model.geom(g).name) for g in range(self._model.ngeom)] + [BACKGROUND], np.uint8
        )
        # A mesh is re-centred on its centre of mass by the compiler: the cone's poses are given for half its height.
        self._offset = {i: self._model.geom(f"object{i}").pos.copy() for i in range(len(scene.objects))}

    def __enter__(self) -> Renderer:
        return self

    def __exit__(self, *_) -> None:
        self._renderer.close()

    @staticmethod
    def _segment_class(name: str) -> int:
        if name.startswith("object"):
            return OBJECT + int(name[len("object") :])
        prefix = name.split("_")[0]
        return {"palm": GRIPPER, "wrist": GRIPPER, "finger": GRIPPER, "tray": TRAY, "lamp": LAMP}.get(prefix, BACKGROUND)

    def pose(self, script: Script, t: float, shake: np.ndarray | None = None) -> None:
        """Put everything where it is at time t."""
        m, d = self._model, self._data
        tip, grip = script.tip.at(t), float(script.fingers.at(t)[0])
        self._place("palm", tip)
        self._place("finger_left", tip - [grip, 0, 0])
        self._place("finger_right", tip + [grip, 0, 0])
        self._place("tray", np.array([CABINET_POS[0], CABINET_POS[1] - float(script.tray.at(t)[0]), 0.0]))
        for i, channel in enumerate(script.objects):
            x, y, z, tilt = channel.at(t)
            turn, lean = script.yaw[i], tilt / 2
            yaw = np.array([np.cos(turn / 2), 0, 0, np.sin(turn / 2)])
            fall = np.array([np.cos(lean), 0, np.sin(lean), 0])
            quat = np.zeros(4)
            mujoco.mju_mulQuat(quat, fall, yaw)
            self._place(f"object{i}", np.array([x, y, z]), quat)
        lit = script.state_at(t).lamp_on
        m.light_active[self._lamp] = lit
        m.mat_rgba[self._bulb, :3] = (1.0, 0.93, 0.55) if lit else (0.25, 0.25, 0.27)
        m.mat_emission[self._bulb] = 1.0 if lit else 0.0
        m.mat_rgba[self._halo, 3] = 0.3 if lit else 0.0
        m.cam_pos[0] = self._camera_pos + (0 if shake is None else shake)
        mujoco.mj_kinematics(m, d)
        mujoco.mj_camlight(m, d)

    def _place(self, body: str, pos: np.ndarray, quat: np.ndarray | None = None) -> None:
        i = self._mocap[body]
        self._data.mocap_pos[i] = pos
        if quat is not None:
            self._data.mocap_quat[i] = quat

    def image(self, script: Script, t: float, shake: np.ndarray | None = None) -> np.ndarray:
        """RGB uint8 (height, width, 3)."""
        self.pose(script, t, shake)
        self._renderer.update_scene(self._data, camera=0)
        return self._renderer.render()

    def segments(self) -> np.ndarray:
        """Class of every pixel of the pose last rendered, uint8 (height, width)."""
        self._renderer.enable_segmentation_rendering()
        ids = self._renderer.render()[..., 0]
        self._renderer.disable_segmentation_rendering()
        return self._class_of_geom[ids]
