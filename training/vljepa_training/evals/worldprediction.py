# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""WorldPrediction-WM in miniature: two pictures, before and after; which of four clips shows the action between them?

As the paper has it (section 4.3): initial and final picture, each repeated over half of the clip, are one pseudo-video; its
predicted embedding is held against those of the candidate clips, nearest wins. Unlike there, pairs of pictures are known from
training, with questions and captions, never beside clips. Split point and prompt are not stated in the paper: half and half, and
the action prompt. As in the benchmark, the true clip is the same action in other surroundings (camera, table, light), so that no
pixel gives it away, and the wrong ones come from the same context: the same things on the same table, among them the opposite
action where there is one. All four share the surroundings. Chance is 0.25.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, replace

import numpy as np
from tqdm import tqdm

from vljepa_ros.model.preprocess import resize_frame

from ..tabletop import language
from ..tabletop.events import Script
from ..tabletop.samples import WINDOW_S
from ..tabletop.scene import Scene, sample_scene
from ..tabletop.state import CHANGING, Event
from ..tabletop.stream import CameraNoise, Sensor
from .bench import Bench
from .clips import FRAMES
from .intervals import share

OPTIONS = 4
# What undoes an action, or is mistaken for it: the first distractor where it is possible. From the state after the true action
# (the drawer must be open to be closed), unless it is possible before it.
OPPOSITES = {
    "push_left": "push_right",
    "push_right": "push_left",
    "pick": "place",
    "place": "pick",
    "put_in_drawer": "place",
    "open_drawer": "close_drawer",
    "close_drawer": "open_drawer",
    "switch_on": "switch_off",
    "switch_off": "switch_on",
    "stack": "place",
    "knock_over": "push_left",
    "drop": "pick",
}
SAME_PICTURES = {"place": "drop", "drop": "place"}  # what was set down and what was dropped stand alike


@dataclass
class Plan:
    """One riddle before it is rendered. `options`: scripts with the event that counts in each; the first is the true one."""

    scene: Scene
    elsewhere: Scene  # of all four clips
    options: list[tuple[Script, Event]]


@dataclass
class Riddle:
    """`states`: uint8 (2, S, S, 3), before and after. `options`: uint8 (4, 8, S, S, 3), of which the first is true."""

    states: np.ndarray
    options: np.ndarray
    kinds: list[str]


def draw_riddles(seed: int, per_class: int, image_size: int = 128) -> list[Riddle]:
    """`per_class` of each action that changes the world. Seeded."""
    out = []
    with tqdm(total=per_class * len(CHANGING), desc="worlds of two pictures", unit="riddle", mininterval=2.0) as bar:
        for number, kind in enumerate(CHANGING):
            made = attempt = 0
            while made < per_class:
                rng = np.random.default_rng([seed, 41, number, attempt])
                attempt += 1
                if (planned := plan(kind, rng)) is not None:
                    out.append(_draw(planned, rng, image_size))
                    made += 1
                    bar.update()
    return out


def plan(kind: str, rng: np.random.Generator) -> Plan | None:
    """None where the world does not come to a state in which `kind`, its opposite and two others are possible."""
    scene = sample_scene(rng, "eval")
    before = Script(scene, rng)
    for _ in range(int(rng.integers(0, 7))):
        possible = [k for k in CHANGING if before.options(k)]
        _do(before, possible[int(rng.integers(len(possible)))], rng)
    if not before.options(kind):
        return None
    after = deepcopy(before)
    options = [(after, _do(after, kind, rng))]
    opposite = OPPOSITES[kind]
    others = [k for k in CHANGING if k not in (kind, opposite, SAME_PICTURES.get(kind))]
    for wrong in [opposite, *(str(k) for k in rng.permutation(others))]:
        start = next((s for s in (before, after) if s.options(wrong)), None)
        if start is not None and len(options) < OPTIONS:
            script = deepcopy(start)
            options.append((script, _do(script, wrong, rng)))
    if len(options) < OPTIONS or options[1][1].kind != opposite:
        return None
    return Plan(scene, replace(sample_scene(rng, "eval"), objects=scene.objects), options)


def _draw(planned: Plan, rng: np.random.Generator, size: int) -> Riddle:
    script, true = planned.options[0]
    return Riddle(
        _render(planned.scene, [(script, [true.start, true.rest])], rng, size)[0],
        np.stack(_render(planned.elsewhere, [(s, _moments(e, rng)) for s, e in planned.options], rng, size)),
        [e.kind for _, e in planned.options],
    )


def _do(script: Script, kind: str, rng: np.random.Generator) -> Event:
    """Let it happen at its own speed, after a pause, one of the ways in which it can."""
    ways = script.options(kind)
    way = ways[int(rng.integers(len(ways)))]
    return script.do(kind, script.free_from + rng.uniform(2.0, 3.5), **way)


def _moments(event: Event, rng: np.random.Generator) -> list[float]:
    end = event.end + rng.uniform(0.0, 0.6)
    return list(np.linspace(end - WINDOW_S, end, FRAMES))


def _render(scene: Scene, shots: list[tuple[Script, list[float]]], rng: np.random.Generator, size: int) -> list[np.ndarray]:
    """uint8 (len(times), S, S, 3) for each (script, times), by one camera."""
    from ..tabletop.render import Renderer

    sensor = Sensor(noise=float(rng.uniform(0.5, 4.0)), gain=float(rng.uniform(0.88, 1.12)))
    noise = CameraNoise(sensor, int(rng.integers(1 << 31)))
    with Renderer(scene, 640, 480) as renderer:
        return [
            np.stack([resize_frame(noise.expose(renderer.image(script, t), t), size) for t in times]) for script, times in shots
        ]


def evaluate_worldprediction(bench: Bench, per_class: int = 20) -> dict:
    """`worldprediction_acc`, with what it is made of: other prompts, action labels instead of clips, and the final picture
    alone."""
    riddles = draw_riddles(bench.seed, per_class, bench.image_size)
    prompts = [language.ACTION_PROMPT, language.CAPTION_PROMPT]
    right: dict[str, list[bool]] = {"action_prompt": [], "caption_prompt": [], "labels": [], "final_picture_alone": []}
    chosen: dict[str, int] = {}
    per_class_right: dict[str, list[bool]] = {k: [] for k in CHANGING}
    half = FRAMES // 2
    for riddle in tqdm(riddles, desc="worldprediction", unit="riddle", mininterval=2.0):
        pseudo = np.concatenate([np.repeat(riddle.states[i : i + 1], half, 0) for i in range(2)])
        state = bench.model.embed_queries(pseudo, prompts)
        final = bench.model.embed_queries(riddle.states[1:], prompts)
        actions = np.stack([bench.model.embed_queries(clip, prompts) for clip in riddle.options])  # (4, prompts, D)
        labels = bench.encode([language.action_label(k) for k in riddle.kinds])
        best = int((actions[:, 0] @ state[0]).argmax())
        right["action_prompt"].append(best == 0)
        right["caption_prompt"].append(int((actions[:, 1] @ state[1]).argmax()) == 0)
        right["labels"].append(int((labels @ state[0]).argmax()) == 0)
        right["final_picture_alone"].append(int((actions[:, 0] @ final[0]).argmax()) == 0)
        per_class_right[riddle.kinds[0]].append(best == 0)
        if best:
            wrong = "opposite" if best == 1 else "other"
            chosen[wrong] = chosen.get(wrong, 0) + 1
    return {
        "worldprediction_acc": share(right["action_prompt"]),
        "worldprediction": {
            "options": OPTIONS,
            **{k: share(v) for k, v in right.items()},
            "per_class": {k: float(np.mean(v)) for k, v in per_class_right.items() if v},
            "wrongly_chosen": chosen,
        },
    }
