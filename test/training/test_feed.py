# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A training that worker processes feed: killed and resumed it ends as one that never was, on one rank and on two."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

sys.path.append(str(Path(__file__).parent))
import fed
from source_files import make_many, write_listing

SCRIPT = Path(fed.__file__)
ALONE = ("-c", "import fed; fed.main()")  # workers would import a script once more


@pytest.fixture
def folder(tmp_path) -> Path:
    write_listing(tmp_path, make_many(tmp_path))
    return tmp_path


def start(*command: object) -> subprocess.CompletedProcess:
    path = os.pathsep.join(filter(None, [str(SCRIPT.parent), *sys.path]))
    return subprocess.run(
        [sys.executable, *map(str, command)],
        env=os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=140,
    )


def assert_same_end(folder: Path) -> dict:
    whole, killed = (torch.load(folder / name / "last.pt", weights_only=True) for name in ("whole", "killed"))
    assert whole["step"] == killed["step"] == fed.STEPS and whole["data"] == killed["data"]
    assert all(torch.equal(one, killed["module"][name]) for name, one in whole["module"].items())
    assert (folder / "whole" / "data.txt").read_text() == (folder / "killed" / "data.txt").read_text()
    return killed


def test_killed_equals_never_killed(folder):
    """The kill comes two steps after a checkpoint, with batches made ahead of both."""
    whole = fed.run(folder, "whole")
    done = start(*ALONE, folder, 6)
    # Its output ends only once its workers have ended too: none is left behind.
    assert done.returncode == -signal.SIGKILL, done.stderr[-3000:]
    saved = torch.load(folder / "killed" / "last.pt", weights_only=True)
    assert saved["step"] == saved["data"][0]["step"] == fed.SAVE_EVERY, "the state is that of the step saved"
    assert fed.run(folder, "killed") == whole[fed.SAVE_EVERY :]
    assert_same_end(folder)
    assert "skipped (" in (folder / "killed" / "data.txt").read_text()


def test_a_killed_rank_ends_as_an_undisturbed_run(folder):
    done = start("-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "--max-restarts=1", SCRIPT, folder, 6)
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    assert len(list(folder.glob("second-*"))) == 2, "nobody was killed"
    saved = assert_same_end(folder)
    assert [state["rank"] for state in saved["data"]] == [0, 1]
    assert (folder / "killed" / "data.txt").read_text().count("rank ") == 2
    # One process goes on from what two ranks left: with an epoch of its own, for there is no state of one.
    states = []
    task = fed.Task(folder / "sources.yaml", workers=0)
    task.resume_data, resume = lambda step, state: (states.append((step, state)), resume(step, state)), task.resume_data
    schedule = fed.Schedule(steps=fed.STEPS + 2, batch=4, lr=1e-2, bf16=False, eval_every=99, save_every=99)
    fed.train(task, schedule, folder / "killed")
    assert states == [(fed.STEPS, None)] and len(task.seen) == 2


def test_steps_are_asked_for_in_order(folder):
    feed = fed.Task(folder / "sources.yaml", workers=0).feed
    feed.batch(0)
    with pytest.raises(ValueError, match="next batch is that of step 1, asked was 3"):
        feed.batch(3)
    assert feed.data_state(1)["step"] == 1
