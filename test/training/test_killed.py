# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A training that is killed again and again ends as one that never was: the same losses, weights and checkpoint, bit for bit.

The whole chain runs through the entry point with a model of 16 and noise for pictures: what is learnt does not matter here. Its
Y-Encoder has dropout, so that torch's randomness counts too.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

STEPS, EVAL_EVERY, SAVE_EVERY = 21, 8, 5  # of every stage
STAGES = ("images", "vision", "clutter", "text", "decode", "pictures", "align", "finetune", "anchor", "settle")
STILLS, STREAMS, BUSY, HELD, UNSEEN = 4, 5, 3, 2, 2
# For every line that it reads, a training in a process of its own that tells of its steps. Forked, because importing torch takes
# longer than such a training.
DRIVER = f"""
import os, sys
from dataclasses import fields, replace

import torch._dynamo, transformers.models.bert.modeling_bert  # imported where they are needed, by every process again

from vljepa_ros.model.presets import tiny
from vljepa_training import recipes, tabletop_run, train, trainer

told = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)  # what a training prints is for people

def tell(*words):
    print(*words, file=told, flush=True)

def small():
    '''The chain in seconds.'''
    r, m = recipes.tabletop_ci(), tiny()
    model = replace(
        m,
        preprocess=r.model.preprocess,
        vision=replace(r.model.vision, hidden_size=16, layers=1, heads=1),
        predictor=replace(m.predictor, merge_time=4, visual_grid=8),
        text_encoder=replace(m.text_encoder, hub={{**m.text_encoder.hub, "hidden_dropout_prob": 0.1}}),
        prompts=r.model.prompts,
    )
    every = dict(steps={STEPS}, batch=4, eval_every={EVAL_EVERY}, save_every={SAVE_EVERY})
    schedules = {{f.name: getattr(r, f.name) for f in fields(r)}}
    schedules = {{n: replace(s, **every) for n, s in schedules.items() if isinstance(s, trainer.Schedule)}}
    sizes = dict(stills={STILLS}, streams={STREAMS}, busy={BUSY}, held={HELD}, unseen={UNSEEN}, clips_per_stream=10)
    return replace(r, name="small", model=model, vocab_size=300, **sizes, **schedules)

class Telling:
    '''A task that tells of every step.'''

    def __init__(self, task, name):
        self.task, self.name, self.module, self.groups = task, name, task.module, task.groups

    def batch(self, step):
        return step, self.task.batch(step)

    def loss(self, batch):
        self.step = batch[0]
        loss, metrics = self.task.loss(batch[1])
        tell("step", self.name, self.step, loss.item().hex())
        return loss, metrics

    def evaluate(self):
        figures = self.task.evaluate()
        tell("evaluated", self.name, self.step, figures["score"].hex())
        return figures

tabletop_run.train = lambda task, schedule, folder: trainer.train(Telling(task, folder.name), schedule, folder)
recipes.RECIPES["small"] = small
for line in sys.stdin:
    child = os.fork()
    if not child:
        train.main(["small", *line.split()])
        os._exit(0)
    tell("started", child)
    tell("ended", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


class Driver:
    """One that starts trainings. Forks share `hash_seed`, which processes that are started afresh do not: give each its own."""

    def __init__(self, folder: Path, data: Path, hash_seed: int) -> None:
        self._arguments = f"--runs {folder} --data {data}\n"
        self._errors = folder.with_suffix(".stderr").open("w+")
        self._process = subprocess.Popen(
            [sys.executable, "-c", DRIVER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            bufsize=1,
            start_new_session=True,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "PYTHONHASHSEED": str(hash_seed)},
        )

    def run(self, kill_at: tuple[str, str, int] | None = None) -> tuple[dict[tuple[str, str, int], str], int]:
        """Start a training and kill it once it tells of `kill_at`. Returns all that it told, by moment, and its exit status."""
        self._process.stdin.write(self._arguments)
        told, child = {}, 0
        for line in self._process.stdout:
            word, *rest = line.split()
            if word == "started":
                child = int(rest[0])
            elif word == "ended":
                return told, int(rest[0])
            else:
                moment = (word, rest[0], int(rest[1]))
                told[moment] = rest[2]
                if moment == kill_at:
                    os.kill(child, signal.SIGKILL)
        self._errors.seek(0)
        raise AssertionError(f"the driver ended:\n{self._errors.read()[-3000:]}")

    def close(self) -> None:
        self._process.stdin.close()
        with contextlib.suppress(ProcessLookupError):  # a training that a failing test has left behind goes too
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._process.stdout.close()
        self._errors.close()


def noise(folder: Path) -> None:
    """Files as `dataset.render` leaves them."""
    rng = np.random.default_rng(0)
    whole = [f"train_{s:06d}" for s in range(STREAMS + UNSEEN)] + [f"busy_{s:06d}" for s in range(BUSY + UNSEEN)]
    for name, n in [*((w, 120) for w in whole), *((f"stills_train_{100_000 + s:06d}", 12) for s in range(STILLS))]:
        (folder / name).mkdir(parents=True)
        np.save(folder / name / "frames.npy", rng.integers(256, size=(n, 128, 128, 3), dtype=np.uint8))
        np.save(folder / name / "cover.npy", rng.integers(256, size=(n, 8, 8, 8), dtype=np.uint8))
        np.save(folder / name / "index.npy", np.sort(rng.choice(120, n, replace=False)))


def moments(rng: random.Random) -> list[tuple[str, str, int]]:
    """Five, in the order of the chain: two random steps, one after which is saved, two evaluations after which is not.

    A training goes on while the signal is on its way, so that it ends somewhere behind: in a step, in the middle of a file.
    """
    saved = [step for step in range(STEPS - 1) if (step + 1) % SAVE_EVERY == 0]
    unsaved = [step for step in range(STEPS - 1) if (step + 1) % EVAL_EVERY == 0 and (step + 1) % SAVE_EVERY]
    kinds = [("step", set(range(STEPS - 1)) - set(saved), 2), ("step", saved, 1), ("evaluated", unsaved, 2)]
    chosen = [m for kind, steps, n in kinds for m in rng.sample([(kind, s, k) for s in STAGES for k in sorted(steps)], n)]
    return sorted(chosen, key=lambda m: (STAGES.index(m[1]), m[2], m[0] == "evaluated"))


def rows(file: Path) -> Iterator[dict]:
    for line in file.read_text().splitlines():
        row = json.loads(line)
        row.pop("seconds", None)
        yield row


def assert_equal(one, other, where: str) -> None:
    """Tensors bit for bit, whatever holds them."""
    if isinstance(one, torch.Tensor):
        assert one.dtype == other.dtype and torch.equal(one, other), where
    elif isinstance(one, dict):
        assert one.keys() == other.keys(), where
        for key in one.keys() - {"seconds"}:
            assert_equal(one[key], other[key], f"{where}, {key}")
    elif isinstance(one, list | tuple):
        assert len(one) == len(other), where
        for i, (a, b) in enumerate(zip(one, other)):
            assert_equal(a, b, f"{where}, {i}")
    else:
        assert one == other, where


@pytest.mark.timeout(900)  # half a minute where nothing else runs
def test_killed_five_times_equals_never_killed(tmp_path):
    noise(tmp_path / "data")
    kills = moments(random.Random(3))
    with contextlib.ExitStack() as stack:
        unbroken, killed = (Driver(tmp_path / name, tmp_path / "data", seed) for seed, name in enumerate(("whole", "killed")))
        stack.callback(unbroken.close)
        stack.callback(killed.close)
        true, status = unbroken.run()
        assert status == 0
        assert [m for m in true if m[0] == "step"] == [("step", stage, step) for stage in STAGES for step in range(STEPS)]
        seen = set()
        for moment in kills:
            told, status = killed.run(kill_at=moment)
            assert status == -signal.SIGKILL and moment in told
            assert {m: told[m] for m in told} == {m: true[m] for m in told}, f"killed at {moment}"
            seen |= told.keys()
        told, status = killed.run()
        assert status == 0 and told == {m: true[m] for m in told}
        assert seen | told.keys() == true.keys()
    whole, resumed = tmp_path / "whole" / "small", tmp_path / "killed" / "small"
    for stage in STAGES:
        # Rows of steps that were done again stand there again, and are the same.
        expected = list(rows(whole / stage / "log.jsonl"))
        assert ["loss" in row for row in expected] == [False, False, True, True, False]  # of steps 8, 16, 20, 21 and 21
        again = list(rows(resumed / stage / "log.jsonl"))
        assert all(row in expected for row in again) and all(row in again for row in expected)
        for name in ("last.pt", "best.pt"):
            one, other = (torch.load(folder / stage / name, weights_only=True) for folder in (whole, resumed))
            assert_equal(one, other, f"{stage}/{name}")
        assert (whole / stage / "best.json").read_text() == (resumed / stage / "best.json").read_text()
    for file in (p for p in (whole / "checkpoint").rglob("*") if p.is_file()):
        assert file.read_bytes() == (resumed / file.relative_to(whole)).read_bytes(), file.name
