# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Pictures of the world, and the whole chain of a training on them."""

from __future__ import annotations

import json
from collections.abc import Iterator

import numpy as np
import pytest

pytest.importorskip("mujoco")
from vljepa_training.stages.features import choose_clips, ordinary, pictures  # noqa: E402
from vljepa_training.tabletop import language  # noqa: E402
from vljepa_training.tabletop.dataset import FPS, STILLS, render, training_stream  # noqa: E402
from vljepa_training.tabletop.render import OBJECT, Renderer  # noqa: E402
from vljepa_training.tabletop.samples import COVER_CHANNELS, TOKEN_CHANNELS, StillStore, TabletopStore, augment  # noqa: E402
from vljepa_training.tabletop.scene import COLOURS  # noqa: E402
from vljepa_training.tabletop.stream import Sensor, Stream  # noqa: E402

pytestmark = pytest.mark.render


def test_frames_are_repeatable_and_the_lamp_lights_the_table():
    s = next(
        s for s in (Stream(i, 20.0, sensor=Sensor(noise=1.0)) for i in range(50)) if any(e.kind == "switch_on" for e in s.events)
    )
    one, two = ([f.copy() for _, f in s.frames_at([0.0, 1.0], 160, 120)] for _ in range(2))
    assert one[0].shape == (120, 160, 3) and one[0].dtype == np.uint8
    np.testing.assert_array_equal(one, two)
    on = next(e for e in s.events if e.kind == "switch_on")
    dark, lit = (f.astype(int) for _, f in s.frames_at([on.end - 0.02, on.end + 0.02], 160, 120))
    assert (lit - dark).max() > 100


def test_segments_find_every_object_and_the_objects_have_their_colours():
    s = Stream(2, 10.0, events=False)
    with Renderer(s.scene, 320, 240) as renderer:
        image, classes = renderer.image(s.script, 0.0), renderer.segments()
    for i, spec in enumerate(s.scene.objects):
        pixels = image[classes == OBJECT + i]
        assert len(pixels) > 100
        mean = pixels.mean(0)
        if spec.colour in ("red", "green", "blue"):
            assert mean.argmax() == ("red", "green", "blue").index(spec.colour)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    render(folder, range(10), workers=2)
    return folder


def test_store_targets_agree_with_the_stream(data):
    store = TabletopStore(data, {"train": range(10)})
    assert store.clip(0, 20).shape == (8, 128, 128, 3)
    targets = store.token_targets(0, 20)
    assert targets.shape == (4, 8, 8, TOKEN_CHANNELS)
    assert 0 <= targets[..., :13].min() and targets[..., :13].max() <= 1
    colours = list(COLOURS)
    seen = {colours[c] for c in range(len(colours)) if targets[..., c].sum() > 0}
    stream = training_stream(0)
    assert seen == {o.colour for o in stream.scene.objects}
    assert store.facts(0, 20)[1] == stream.state_at(4.0).lamp_on
    assert augment(store.clip(0, 20), np.random.default_rng(0)).shape == (8, 128, 128, 3)


def test_single_pictures_are_clips_that_stand_still_and_show_no_event(data):
    store = TabletopStore(data, {"train": range(10)})
    clips, single = choose_clips(store, 32, seed=0), pictures(32)
    assert single == 4 and ((clips >= 2 * store.length) == (np.arange(32) >= 32 - single)).all()
    assert (clips[:, : ordinary(32)] < store.length).all()
    for s, k in enumerate(clips[:, -1]):
        moment = int(k) - 2 * store.length
        frames = store.clip(s, int(k))
        assert frames.shape == (8, 128, 128, 3) and (frames == store.clip(s, moment)[-1]).all()
        assert store.moment(s, int(k)) == (moment / FPS, None) and store.kind(s, int(k)) == -1
        asked = store.questions(s, int(k))
        assert asked and [q.answer for q in asked] == [q.answer for q in store.questions(s, moment)][: len(asked)]


def test_stills_are_moments_of_the_stream_that_bears_their_seed(data, tmp_path):
    render(tmp_path, range(2), workers=1, stills=True)
    stills, whole = StillStore(tmp_path, range(2)), TabletopStore(data, {"train": range(2)})
    assert stills.images.shape == (2 * STILLS, 128, 128, 3) and stills.targets.shape == (2 * STILLS, 8, 8, COVER_CHANNELS)
    for n, k in enumerate(np.load(tmp_path / "stills_train_000001" / "index.npy")):
        np.testing.assert_array_equal(stills.images[STILLS + n], whole.clip(1, int(k))[-1])
        np.testing.assert_array_equal(stills.facts[STILLS + n], whole.facts(1, int(k))[1:])


def test_rendering_again_keeps_what_is_there(data):
    before = {p: p.stat().st_mtime_ns for p in data.glob("*/*.npy")}
    render(data, range(10), workers=1)
    assert before == {p: p.stat().st_mtime_ns for p in data.glob("*/*.npy")}


def lamp_questions(first: int, each: int) -> Iterator[tuple[np.ndarray, language.Question]]:
    """One clip of each of `2 * each` streams, as a camera takes it, and whether the lamp is on there: in half of them it is."""
    wanted, seed = {"on": each, "off": each}, first
    while any(wanted.values()):
        stream, k = training_stream(seed), int(np.random.default_rng(seed).integers(7, 120))
        question = next(q for q in language.questions(stream.state_at(k / FPS), stream.scene) if q.kind == "lamp")
        if wanted[question.answer_class]:
            wanted[question.answer_class] -= 1
            yield np.stack([frame for _, frame in stream.frames_at([i / FPS for i in range(k - 7, k + 1)])]), question
        seed += 1


@pytest.mark.timeout(900)  # a minute and a half where nothing else runs
def test_the_whole_chain_gives_a_checkpoint_that_embeds_and_speaks(data, tmp_path):
    from vljepa_ros.model import VLJEPA
    from vljepa_training.train import main

    main(["tabletop_ci", "--runs", str(tmp_path), "--data", str(data), "--workers", "2"])
    model = VLJEPA.from_pretrained(tmp_path / "tabletop_ci" / "checkpoint")
    vector = model.embed(TabletopStore(data, {"train": range(1)}).clip(0, 20), model.config.prompts["state"])
    assert vector.shape == (256,) and np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)
    assert isinstance(model.decode(vector)[0], str) and "familiar_logprob" in model.config.calibration
    clip = TabletopStore(data, {"train": range(1)}).clip(0, 20)
    known, foreign = (model.watch(frames, [""])[1] for frames in (clip, np.full_like(clip, 255)))
    assert 0 < known < foreign and foreign > 1
    losses = [
        json.loads(line)["loss"]
        for line in (tmp_path / "tabletop_ci" / "align" / "log.jsonl").read_text().splitlines()
        if '"loss"' in line
    ]
    assert np.isfinite(losses).all()
    # On worlds never trained on, far more often right than by chance: through every part, from pixels to the nearer text. The
    # streams know nothing of each other and both answers are equally frequent, so that what does not look is right in half.
    right = []
    for frames, question in lamp_questions(first=500_000, each=32):
        texts = model.encode_text(question.candidates)
        right.append(question.candidates[int((texts @ model.embed(frames, question.ask())).argmax())] == question.answer)
    sigma = 0.5 / len(right) ** 0.5
    print(f"lamp: {np.mean(right):.3f} of {len(right)} are right, {(np.mean(right) - 0.5) / sigma:.1f} sigma above chance")
    assert np.mean(right) > 0.5 + 3 * sigma


def test_missing_data_names_the_command(tmp_path):
    with pytest.raises(FileNotFoundError, match="no rendered train streams"):
        TabletopStore(tmp_path, {"train": range(3)})
