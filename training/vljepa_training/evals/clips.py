"""Held-out tabletop clips: which action, which state, which words. Rendered at camera size and prepared as on the robot.

Every figure is a share with its 95 % Wilson interval. Knows nothing of streams.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import binomtest
from tqdm import tqdm

from vljepa_ros.model import VLJEPA
from vljepa_ros.model.preprocess import resize_frame

from ..calibrate import sentences_right
from ..tabletop import language
from ..tabletop.samples import WINDOW_S
from ..tabletop.state import EVENTS, Event
from ..tabletop.stream import Stream

FRAMES = 8


@dataclass
class EvalClip:
    frames: np.ndarray  # uint8 (8, S, S, 3)
    stream: Stream
    t: float
    event: Event


def share(right: list[bool]) -> dict[str, float]:
    """Mean and 95 % interval of a list of successes; None where there is nothing to count."""
    if not right:
        return {"value": None, "low": None, "high": None, "n": 0}
    low, high = binomtest(int(np.sum(right)), len(right)).proportion_ci(method="wilson")
    return {"value": float(np.mean(right)), "low": float(low), "high": float(high), "n": len(right)}


def draw_clips(seed: int, per_class: int, split: str = "eval", image_size: int = 128) -> list[EvalClip]:
    """`per_class` clips of every kind of event, no two of one event, from as many streams as it takes."""
    rng = np.random.default_rng([seed, 11])
    count = dict.fromkeys(EVENTS, 0)
    out: list[EvalClip] = []
    number = 0
    with tqdm(total=per_class * len(EVENTS), desc=f"clips ({split})", unit="clip", mininterval=2.0) as bar:
        while min(count.values()) < per_class:
            stream = Stream(seed * 100_003 + number, 40.0, gap_s=(2.0, 6.0), split=split)
            number += 1
            times: list[tuple[float, Event]] = []
            for event in stream.events:
                t = event.end + rng.uniform(0.0, 0.6) if event.kind != "wander" else event.end
                times.append((t, event))
            times += [
                (t, e) for t in rng.uniform(WINDOW_S, 40.0, 12) if (e := stream.event_at(t, WINDOW_S)) and e.kind == "nothing"
            ][:1]
            chosen = []
            for t, event in times:
                shown = stream.event_at(t, WINDOW_S)
                if t > WINDOW_S and shown is not None and shown.kind == event.kind and count[event.kind] < per_class:
                    count[event.kind] += 1
                    chosen.append((t, event))
            if not chosen:
                continue
            moments = [t - WINDOW_S + j * WINDOW_S / (FRAMES - 1) for t, _ in chosen for j in range(FRAMES)]
            frames = [resize_frame(image, image_size) for _, image in stream.frames_at(moments)]
            for j, (t, event) in enumerate(chosen):
                out.append(EvalClip(np.stack(frames[j * FRAMES : (j + 1) * FRAMES]), stream, t, event))
            bar.update(len(chosen))
    return out


def evaluate_clips(model: VLJEPA, clips: list[EvalClip], held_out_phrasing: bool = False) -> dict:
    """All clip figures of the tabletop evaluation. `held_out_phrasing` asks and labels in words that training never saw."""
    labels = model.encode_text([language.action_label(k, held_out=held_out_phrasing) for k in EVENTS])
    action: dict[str, list[bool]] = {k: [] for k in EVENTS}
    confused: dict[str, dict[str, int]] = {k: {} for k in EVENTS}
    vqa: dict[str, list[bool]] = {}
    static: dict[str, list[bool]] = {"lamp_static": [], "lamp_toggled": [], "drawer_static": [], "drawer_toggled": []}
    caption_action: dict[str, list[bool]] = {k: [] for k in EVENTS}
    caption_exact, sentences, examples = [], [], []
    for clip in tqdm(clips, desc="evaluate", unit="clip", mininterval=2.0):
        tokens = model.encode_frames(clip.frames)
        scene, state, kind = clip.stream.scene, clip.stream.state_at(clip.t), clip.event.kind
        asked = language.questions(state, scene)
        prompts = [language.phrase_question(q, {}, held_out=held_out_phrasing) for q in ("action", "caption", "state")]
        prompts += [q.ask(held_out=held_out_phrasing) for q in asked]
        vectors = model.predict(tokens, prompts)
        best = EVENTS[int((labels @ vectors[0]).argmax())]
        action[kind].append(best == kind)
        confused[kind][best] = confused[kind].get(best, 0) + 1
        for vector, q in zip(vectors[3:], asked):
            right = q.candidates[int((model.encode_text(list(q.candidates)) @ vector).argmax())] == q.answer
            vqa.setdefault(q.kind, []).append(right)
            if q.kind in ("lamp", "drawer"):
                changed = _flag(clip.stream.state_at(clip.t - WINDOW_S), q.kind) != _flag(state, q.kind)
                static[f"{q.kind}_{'toggled' if changed else 'static'}"].append(right)
        caption, said_state = (d.text for d in model.decode_full(vectors[1:3]))
        caption_action[kind].append(language.named_action(caption) == kind)
        true_caption, true_state = language.caption(clip.event, scene), language.state_text(state, scene)
        caption_exact.append(caption == true_caption)
        sentences += sentences_right(said_state, true_state)
        if len(examples) < 12:
            examples.append({"caption": caption, "true_caption": true_caption, "state": said_state, "true_state": true_state})
    per_class = {k: share(v) for k, v in action.items()}
    return {
        "action_top1": share([r for v in action.values() for r in v]),
        "action_per_class": per_class,
        "action_worst": min(p["value"] for p in per_class.values() if p["n"]),
        "action_confused": confused,
        "vqa": {k: share(v) for k, v in vqa.items()},
        "vqa_acc": float(np.mean([np.mean(v) for v in vqa.values()])),
        **{f"{k}_acc": share(v) for k, v in static.items()},
        "caption_action_acc": share([r for v in caption_action.values() for r in v]),
        "caption_action_per_class": {k: share(v) for k, v in caption_action.items()},
        "caption_exact": share(caption_exact),
        "state_sentences_right": share(sentences),
        "examples": examples,
    }


def _flag(state, question: str) -> bool:
    return state.lamp_on if question == "lamp" else state.drawer_open
