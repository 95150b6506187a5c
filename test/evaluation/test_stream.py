# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A recorded stream through clips, a model, transitions and texts; pixel differences."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pytest

from vljepa_ros.evaluation.pixels import PixelDifference
from vljepa_ros.evaluation.stream import rerun, run
from vljepa_ros.model import VLJEPA
from vljepa_ros.streaming import Frame, TransitionParams, Trigger

NS = 1_000_000_000
T0 = 1_700_000_000 * NS


@dataclass
class Mean:
    """A stand-in for the model: an embedding is the clip's mean colour, a text says which colour it is."""

    space_id: str = "colours"
    config = SimpleNamespace(
        vision=SimpleNamespace(frames=4),
        clip_period_s=0.2,
        preprocess=SimpleNamespace(image_size=16),
        prompts={"state": "which colour?"},
    )

    def watch(self, frames_THWC: np.ndarray, queries: list[str]) -> tuple[np.ndarray, float]:
        """Blue is foreign to it."""
        assert queries == ["which colour?"] and frames_THWC.shape == (4, 16, 16, 3)
        colour = frames_THWC.reshape(-1, 3).mean(0)
        return (colour[None] / np.linalg.norm(colour)).astype(np.float32), 2.0 * (colour.argmax() == 2)

    def decode_full(self, vectors: np.ndarray) -> list:
        return [SimpleNamespace(text=("red", "green", "blue")[int(v.argmax())], confidence=0.9, familiar=True) for v in vectors]


def frames(seconds: float, changes: tuple[float, ...] = (5.0, 9.0), rate_hz: float = 15.0):
    rng = np.random.default_rng(0)
    for i in range(round(seconds * rate_hz)):
        t = i / rate_hz
        image = np.full((48, 64, 3), 20, np.uint8)
        image[..., sum(t >= one for one in changes) % 3] = 200
        yield Frame(T0 + round(t * NS), np.clip(image + rng.normal(0, 3, image.shape), 0, 255).astype(np.uint8), "cam")


def test_a_stream_of_colours_is_told_as_it_changes():
    got = run(frames(14), Mean())
    assert [one.text for one in got.texts] == ["red", "green", "blue"]
    assert [one.request.trigger for one in got.texts] == [Trigger.START, Trigger.CHANGE, Trigger.CHANGE]
    assert [one.familiar for one in got.texts] == [True, True, False], "blue is foreign, though the decoder says its word"
    assert {one.novelty for one in got.embeddings} == {0.0, 2.0}
    assert len(got.boundaries_s) == 2 and np.abs(np.array(got.boundaries_s) - [5.0, 9.0]).max() < 1.0
    spoken = got.spoken_s()
    assert all(0 < said - true < 2.0 for said, true in zip(spoken, [5.0, 9.0]))
    assert got.frames == 210 and got.seconds == pytest.approx(209 / 15) and len(got.pixel_differences) == 210
    assert len(got.embeddings) == len(got.distances) == len(got.thresholds) == len(got.embed_s) > 120
    assert max(got.distances) > min(got.thresholds) and not got.counts


def test_the_same_frames_give_the_same_result():
    one, two = run(frames(12), Mean()), run(frames(12), Mean())
    assert [x.vector_D.tobytes() for x in one.embeddings] == [x.vector_D.tobytes() for x in two.embeddings]
    assert one.distances == two.distances and one.boundaries_s == two.boundaries_s
    assert [x.text for x in one.texts] == [x.text for x in two.texts]


def test_rerunning_embeddings_gives_what_the_run_gave_and_other_settings_something_else():
    full = run(frames(14), Mean(), words=False)
    assert full.texts == []
    again, requests = rerun(full.embeddings)
    assert [x.boundary_ns for x in again.transitions] == [x.boundary_ns for x in full.transitions]
    assert [one.trigger for one in requests] == [Trigger.START, Trigger.CHANGE, Trigger.CHANGE]
    assert again.distances == full.distances
    deaf, requests = rerun(full.embeddings, TransitionParams(threshold=50.0))
    assert deaf.transitions == [] and len(requests) == 1
    assert rerun([])[1] == []


def test_a_broken_clock_is_counted_and_speaks_start_again():
    once = list(frames(6, changes=()))
    got = run([*once, *once], Mean())
    assert got.counts == {"backward_jump": 1} and got.transitions == []
    assert [one.request.trigger for one in got.texts] == [Trigger.START] * 2


def test_a_segment_without_a_text_has_no_time_of_speaking():
    got = run(frames(14), Mean(), words=False)
    assert len(got.transitions) == 2 and np.isnan(got.spoken_s()).all()


def test_a_real_model_runs_and_later_frames_leave_earlier_embeddings_bit_equal(tiny_checkpoint):
    model = VLJEPA.from_pretrained(tiny_checkpoint)
    recorded = list(frames(4, changes=(2.0,)))
    plain = run(recorded, model)
    assert plain.embeddings and plain.texts, "it runs end to end"
    changed = recorded[:45] + [Frame(one.stamp_ns, 255 - one.image_HWC, one.frame_id) for one in recorded[45:]]
    other = run(changed, model)
    limit = recorded[45].stamp_ns
    before = [x.vector_D.tobytes() for x in plain.embeddings if x.stamp_ns < limit]
    after = [x.vector_D.tobytes() for x in plain.embeddings if x.stamp_ns >= limit]
    assert before == [x.vector_D.tobytes() for x in other.embeddings if x.stamp_ns < limit]
    assert before and after != [x.vector_D.tobytes() for x in other.embeddings if x.stamp_ns >= limit]


def test_pixel_difference_is_in_grey_levels_and_zero_at_first_and_in_stillness():
    pixels = PixelDifference()
    dark, light = np.full((480, 640, 3), 50, np.uint8), np.full((480, 640, 3), 90, np.uint8)
    assert [pixels.update(one) for one in (dark, dark, light, light, dark)] == [0, 0, 40, 0, 40]


def test_pixel_difference_averages_noise_out_but_not_motion():
    rng = np.random.default_rng(0)
    noisy = [np.clip(100 + rng.normal(0, 8, (480, 640, 3)), 0, 255).astype(np.uint8) for _ in range(2)]
    moved = noisy[1].copy()
    moved[100:300, 100:300] = 250
    quiet, loud = PixelDifference(), PixelDifference()
    quiet.update(noisy[0]), loud.update(noisy[0])
    assert quiet.update(noisy[1]) < 1.5 < 10 < loud.update(moved)


def test_pixel_difference_survives_a_change_of_size():
    pixels = PixelDifference()
    pixels.update(np.full((480, 640, 3), 50, np.uint8))
    assert pixels.update(np.full((240, 320, 3), 50, np.uint8)) == 0
