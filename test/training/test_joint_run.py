# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The command of the paper's size, whole, with a model 16 wide: on files of several formats, on one process and on two ranks."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

import cv2
import numpy as np
import psutil
import pytest
import torch
import yaml

from vljepa_ros.model import VLJEPA, VisionEncoder
from vljepa_ros.model.random_checkpoint import make_tiny
from vljepa_training.ranks import joined
from vljepa_training.train import main

COLOURS = {"red": (220, 30, 30), "green": (30, 200, 40), "blue": (30, 40, 210), "white": (240, 240, 240)}
PHASES = ("image", "video", "long_video", "sft")


def picture(colour: str, rng: np.random.Generator) -> np.ndarray:
    return np.clip(np.array(COLOURS[colour]) + rng.normal(0, 12, (40, 48, 3)), 0, 255).astype(np.uint8)


def make_sources(root: Path) -> Path:
    """Pictures of four colours in class folders; questions about them; one file that is no picture."""
    rng = np.random.default_rng(0)
    for split, count in (("train", 12), ("held", 4)):
        for colour in COLOURS:
            folder = root / split / colour
            folder.mkdir(parents=True)
            for k in range(count):
                cv2.imwrite(str(folder / f"{k}.png"), picture(colour, rng)[..., ::-1])
    (root / "train" / "red" / "broken.jpg").write_bytes(b"no picture")
    (root / "images").mkdir()
    asked = {}
    for k in range(16):
        colour = list(COLOURS)[k % 4]
        cv2.imwrite(str(root / "images" / f"{k}.jpg"), picture(colour, rng)[..., ::-1])
        asked[str(k)] = {"imageId": str(k), "question": "Which colour is it?", "answer": colour}
    (root / "questions.json").write_text(json.dumps(asked))
    shown = {"kind": "folders", "path": "train", "query": "", "weight": 1}
    groups = {name: [shown] for name in ("image", "video", "caption", "classification")}
    groups["vqa"] = [{"kind": "gqa", "path": "questions.json", "images": "images"}]
    groups["held"] = [{"kind": "folders", "path": "held", "query": ""}]
    file = root / "sources.yaml"
    file.write_text(yaml.safe_dump(groups))
    return file


@pytest.fixture(scope="module")
def given(tmp_path_factory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("joint")
    make_tiny(root / "parts", seed=3)
    (root / "texts.txt").write_text("\n".join(f"The {colour} cup number {k}." for colour in COLOURS for k in range(40)))
    return {"begin": root / "parts", "sources": make_sources(root), "texts": root / "texts.txt"}


def arguments(given: dict[str, Path], runs: Path, *more: str) -> list[str]:
    said = [word for name, path in given.items() for word in (f"--{name}", str(path))]
    return ["tiny_joint", *said, "--runs", str(runs), "--workers", "0", "--held", "16", *more]


def test_every_phase_runs_and_what_comes_of_it_is_a_checkpoint(given, tmp_path, caplog, monkeypatch):
    autocast, forward = [], VisionEncoder.forward
    monkeypatch.setattr(
        VisionEncoder, "forward", lambda *given: autocast.append(torch.is_autocast_enabled("cpu")) or forward(*given)
    )
    begin = VLJEPA.from_pretrained(given["begin"], device="cpu", engine="torch")
    caplog.set_level("INFO")
    main(arguments(given, tmp_path, "--set", "image.steps=60", "--set", "image.eval_every=60"))
    folder = tmp_path / "tiny_joint"
    model = VLJEPA.from_pretrained(folder / "checkpoint", device="cpu", engine="torch")
    for part in ("vision", "predictor", "text_encoder", "text_decoder"):
        before, after = begin.modules[part].state_dict(), model.modules[part].state_dict()
        assert any(not torch.equal(before[k], after[k]) for k in before), f"{part} is as it was"
    assert model.space_id != begin.space_id and model.config.calibration["familiar_distance"] > 0
    figures = {name: json.loads((folder / name / "best.json").read_text()) for name in (*PHASES, "decode")}
    assert figures["image"]["top1"] > 0.6 and figures["image"]["chance"] == 0.25, "16 held-out pictures of four colours"
    assert "bad picture" in (folder / "image" / "data.txt").read_text()
    assert json.loads((folder / "video" / "features" / "made_of.json").read_text())["bf16"] is False, "as the recipe says"
    assert set(autocast) == {False}, "and a measure of what is familiar in full, as a robot computes"
    # started again, nothing is trained again
    shutil.rmtree(folder / "checkpoint")
    stamps = {name: (folder / name / "last.pt").stat().st_mtime_ns for name in PHASES}
    caplog.clear()
    main(arguments(given, tmp_path))
    assert "image is done, but it began with steps 60, now 6; eval_every 60, now 3" in caplog.text
    assert stamps == {name: (folder / name / "last.pt").stat().st_mtime_ns for name in PHASES}
    assert VLJEPA.from_pretrained(folder / "checkpoint", device="cpu", engine="torch").sha256 == model.sha256


def test_another_beginning_is_refused(given, tmp_path):
    (tmp_path / "tiny_joint").mkdir()
    (tmp_path / "tiny_joint" / "begin.json").write_text(json.dumps({"checkpoint": "0" * 64}))
    with pytest.raises(ValueError, match="began with other checkpoint .*another folder for --runs"):
        main(arguments(given, tmp_path))


def test_a_mistake_is_one_line(given, tmp_path):
    """As a person sees it: no traceback."""
    command = [sys.executable, "-m", "vljepa_training.train", *arguments(given | {"begin": tmp_path / "nowhere"}, tmp_path)]
    env = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=240)
    assert done.returncode == 1 and done.stderr.startswith("train: ") and "nowhere" in done.stderr
    assert done.stderr.count("\n") == 1


def test_nothing_held_out_is_refused(given, tmp_path):
    known = yaml.safe_load(given["sources"].read_text())
    del known["held"]
    file = given["sources"].with_name("without.yaml")
    file.write_text(yaml.safe_dump(known))
    with pytest.raises(ValueError, match="has no group 'held'"):
        main(arguments(given | {"sources": file}, tmp_path))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda groups: groups.pop("vqa"), "has no group vqa"),
        (lambda groups: groups.update(vqa=[groups["vqa"][0] | {"path": "empty.json"}]), "vqa: entry 1 .gqa.: .*0 records"),
        (lambda groups: groups.update(held=[{"kind": "folders", "path": "one", "query": ""}]), "held has fewer than 2 rows"),
    ],
)
def test_data_that_a_later_phase_lacks_is_said_before_anything_is_trained(given, tmp_path, change, said):
    root = given["sources"].parent
    (root / "empty.json").write_text("{}")
    (root / "one" / "red").mkdir(parents=True, exist_ok=True)
    shutil.copy(root / "held" / "red" / "0.png", root / "one" / "red")
    groups = yaml.safe_load(given["sources"].read_text())
    change(groups)
    file = root / "lacking.yaml"
    file.write_text(yaml.safe_dump(groups))
    with pytest.raises(ValueError, match=said):
        main(arguments(given | {"sources": file}, tmp_path))
    assert not (tmp_path / "tiny_joint").exists(), "a mended sources file is no other beginning"


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("sft.parallel=dpp", "parallel must be one of none, ddp, fsdp2, got 'dpp'"),
        ("sft.optimizer=adam", "optimizer must be adamw or muon, got 'adam'"),
        ("decode.micro=4", "decode cannot be computed in parts"),
    ],
)
def test_a_setting_that_a_later_phase_refuses_is_said_before_anything_is_trained(given, tmp_path, setting, said):
    with pytest.raises(ValueError, match=said):
        main(arguments(given, tmp_path, "--set", setting))
    assert not (tmp_path / "tiny_joint").exists()


# ranks

SETTINGS = ("*.parallel=ddp", "long_video.parallel=fsdp2", "*.steps=8", "*.save_every=2", "decode.parallel=ddp", "decode.steps=8")
EVERYWHERE = [word for setting in SETTINGS for word in ("--set", setting)]


def torchrun(given: dict[str, Path], runs: Path, restarts: int = 0) -> subprocess.Popen:
    start = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", f"--max-restarts={restarts}"]
    return subprocess.Popen(
        [*start, "-m", "vljepa_training.train", *arguments(given, runs, *EVERYWHERE)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "OMP_NUM_THREADS": "1"},
        stdout=(runs / "out.log").open("w"),
        stderr=subprocess.STDOUT,
    )


def ended(process: subprocess.Popen, runs: Path, seconds: float = 280) -> None:
    code = process.wait(seconds)
    assert code == 0, (runs / "out.log").read_text()[-4000:]


def kill_a_rank(process: subprocess.Popen, when: Path, seconds: float = 200) -> None:
    """SIGKILL to one of the ranks as soon as `when` is there."""
    deadline = time.monotonic() + seconds
    while not when.exists():
        assert time.monotonic() < deadline and process.poll() is None, "the run ended before it could be killed"
        time.sleep(0.01)
    ranks = [one for one in psutil.Process(process.pid).children() if "vljepa_training.train" in one.cmdline()]
    os.kill(ranks[-1].pid, signal.SIGKILL)


def test_two_ranks_one_of_them_killed_end_with_the_weights_of_an_undisturbed_run(given, tmp_path):
    quiet, killed = tmp_path / "quiet", tmp_path / "killed"
    quiet.mkdir(), killed.mkdir()
    ended(torchrun(given, quiet), quiet)
    process = torchrun(given, killed, restarts=2)
    kill_a_rank(process, killed / "tiny_joint" / "video" / "last.pt")
    ended(process, killed)
    assert (killed / "out.log").read_text().count("altogether") == 2, "what it costs is said at every start"
    for name in (*PHASES, "decode"):
        true, found = (torch.load(one / "tiny_joint" / name / "last.pt", weights_only=True) for one in (quiet, killed))
        assert true["step"] == found["step"] == 8
        for key, weights in true["module"].items():
            assert torch.equal(weights, found["module"][key]), (name, key)


def test_a_rank_that_fails_ends_the_run_with_its_own_words(given, tmp_path):
    images = given["sources"].parent / "images"
    images.rename(images.with_name("elsewhere"))
    try:
        process = torchrun(given, tmp_path)
        assert process.wait(100) != 0
    finally:
        images.with_name("elsewhere").rename(images)
    assert "vqa: entry 1 (gqa): images: no such folder" in (tmp_path / "out.log").read_text()


def test_ranks_wait_for_the_one_that_writes(monkeypatch):
    """NCCL's ten minutes are fewer than a checkpoint of the paper's size and 2,000 clips take rank 0."""
    given = {}
    monkeypatch.setenv("WORLD_SIZE", "1")
    monkeypatch.setattr("torch.distributed.rendezvous", lambda url: iter([(None, 0, 1)]))
    monkeypatch.setattr("torch.distributed.init_process_group", lambda backend, **more: given.update(more))
    for name in ("barrier", "destroy_process_group"):
        monkeypatch.setattr(f"torch.distributed.{name}", lambda: None)
    with joined():
        assert given["timeout"] >= timedelta(hours=2)


def test_what_cannot_be_shared_is_said_before_anything_is_trained(given, tmp_path, monkeypatch):
    for module in ("joint_run", "joint_data"):
        monkeypatch.setattr(f"vljepa_training.{module}.world", lambda: 3)
    with pytest.raises(ValueError, match="image is for one process, and there are 3 ranks: --set image.parallel=ddp"):
        main(arguments(given, tmp_path))
    with pytest.raises(ValueError, match="image's batch of 8 cannot be shared by 3 ranks: --set image.batch=N"):
        main(arguments(given, tmp_path, "--set", "*.parallel=ddp", "--set", "decode.parallel=ddp"))
    assert not (tmp_path / "tiny_joint").exists()
