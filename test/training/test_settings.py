# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`--set PHASE.FIELD=VALUE`: what is changed, and every way to get it wrong."""

from __future__ import annotations

import pytest

from vljepa_training.joint_recipes import tiny_joint
from vljepa_training.settings import changed


def test_fields_of_a_phase_and_of_its_schedule():
    before = tiny_joint()
    after = changed(before, ["video.steps=12", "video.y_multiplier=0.1", "*.parallel=fsdp2", "sft.lr=1e-4", "image.bf16=no"])
    after = changed(after, ["decode.batch=4"])
    phases = {phase.name: phase for phase in after.phases}
    assert (phases["video"].schedule.steps, phases["video"].y_multiplier) == (12, 0.1)
    assert {phase.schedule.parallel for phase in after.phases} == {"fsdp2"}
    assert phases["sft"].schedule.lr == 1e-4 and phases["image"].schedule.bf16 is False
    assert (after.decode.batch, after.decode.steps) == (4, before.decode.steps)
    assert before == tiny_joint() and phases["sft"].schedule.steps == before.phases[-1].schedule.steps


def test_nothing_asked_is_nothing_changed():
    assert changed(tiny_joint(), []) == tiny_joint()


@pytest.mark.parametrize(
    "setting, said",
    [
        ("video.steps", "PHASE.FIELD=VALUE, got 'video.steps'"),
        ("steps=3", "PHASE.FIELD=VALUE"),
        ("videos.steps=3", "no phase 'videos'; it has image, video, long_video, sft, * for all of them, and decode"),
        ("video.name=x", "there is no 'name'"),
        ("video.speed=3", "there is no 'speed'; there are frames"),
        ("video.steps=many", "like 6, of type int"),
        ("video.steps=1.5", "like 6, of type int"),
        ("video.steps=true", "like 6, of type int"),
        ("video.lr=fast", "of type float"),
        ("decode.frames=3", "there is no 'frames'; there are steps"),
        ("video.steps=0", "must be >= 1"),
        ("video.decay=linear", "decay must be cosine or constant"),
        ("long_video.cached=9", "cannot be cached"),
    ],
)
def test_mistakes_are_named(setting, said):
    with pytest.raises(ValueError, match=said.replace("*", r"\*").replace("(", r"\(")):
        changed(tiny_joint(), [setting])
