# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The SLURM example, with stand-ins for SLURM's own commands and for torchrun: what would be started on every node."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "training" / "train.sbatch"
STAND_INS = {
    "scontrol": 'printf "node7\\nnode8\\n"',
    "srun": 'exec "$@"',
    "torchrun": 'printf "%s\\n" "$@"; echo "threads $OMP_NUM_THREADS, cores $SRUN_CPUS_PER_TASK"',
}
SLURM = {
    "SLURM_JOB_NODELIST": "node[7-8]",
    "SLURM_JOB_NUM_NODES": "2",
    "SLURM_JOB_ID": "42",
    "SLURM_GPUS_ON_NODE": "4",
    "SLURM_CPUS_PER_TASK": "32",
}


def run(tmp_path: Path, *arguments: str, **more: str) -> subprocess.CompletedProcess:
    for name, text in STAND_INS.items():
        file = tmp_path / name
        file.write_text(f"#!/bin/bash\n{text}\n")
        file.chmod(0o755)
    env = os.environ | SLURM | more | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    return subprocess.run(["bash", str(SCRIPT), *arguments], env=env, capture_output=True, text=True, timeout=60)


def test_every_node_starts_torchrun_with_what_was_given(tmp_path):
    done = run(tmp_path, "paper_v2_pretrain", "--begin", "my parts", "--sources", "s.yaml")
    assert done.returncode == 0, done.stderr
    said = done.stdout.splitlines()
    assert said == [
        *("--nnodes=2", "--nproc-per-node=4", "--max-restarts=3", "--rdzv-id=42", "--rdzv-backend=c10d"),
        *("--rdzv-endpoint=node7:29500", "-m", "vljepa_training.train", "paper_v2_pretrain", "--workers", "4"),
        *("--begin", "my parts", "--sources", "s.yaml", "threads 1, cores 32"),
    ]


def test_what_a_site_may_set(tmp_path):
    said = run(tmp_path, "tiny_joint", MAX_RESTARTS="9", PORT="1234", GPUS="32").stdout.splitlines()
    assert {"--max-restarts=9", "--rdzv-endpoint=node7:1234", "--nproc-per-node=32"} <= set(said)
    assert said[said.index("--workers") + 1] == "1", "at least one, of however few cores"


def test_workers_that_somebody_asks_for_stay(tmp_path):
    said = run(tmp_path, "tiny_joint", "--workers", "3").stdout.splitlines()
    assert said[max(k for k, word in enumerate(said) if word == "--workers") + 1] == "3", "the last one counts"


def test_nothing_given_is_refused(tmp_path):
    done = run(tmp_path)
    assert done.returncode == 2 and "usage: sbatch training/train.sbatch RECIPE" in done.stderr and not done.stdout
