# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Two ranks against one process with the same global batch: the same gradients, and a rank that is killed changes nothing.

Gradients are held against each other parameter by parameter; one whose true gradient is zero (the key's bias in an attention) is
measured against the size of the whole gradient.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

SCRIPT = Path(__file__).with_name("two_ranks.py")
CLOSE = 1e-5  # relative


def load_script():
    spec = importlib.util.spec_from_file_location("two_ranks", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


two_ranks = load_script()


def torchrun(*arguments: object, restarts: int = 0, ranks: int = 2, seconds: float = 280) -> subprocess.CompletedProcess:
    """Start the script on two ranks; its output in the error where it fails."""
    start = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={ranks}"]
    done = subprocess.run(
        [*start, f"--max-restarts={restarts}", str(SCRIPT), *map(str, arguments)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=seconds,
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
    return done


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """What two ranks have computed, all of it in one start: gradients, and a training with each engine."""
    folder = tmp_path_factory.mktemp("ranks")
    two_ranks.make_tokenizer(folder)
    torchrun("compute", folder)
    return folder


def one_process(folder: Path, loss: str = "infonce", micro: int = 0, batch: int = 12, **options) -> dict[str, torch.Tensor]:
    tokenizer = two_ranks.Tokenizer(folder / "tokenizer")
    return two_ranks.gradients(two_ranks.task(tokenizer, batch, loss, **options), "none", micro)


def difference(found: dict[str, torch.Tensor], true: dict[str, torch.Tensor]) -> float:
    """The largest relative one of any parameter."""
    assert found.keys() == true.keys()
    whole = torch.stack([g.norm() for g in true.values()]).norm()
    return max(((found[k] - true[k]).norm() / true[k].norm().clamp(min=1e-6 * whole)).item() for k in true)


@pytest.mark.parametrize("kind, micro, loss", two_ranks.COMPUTED)
def test_two_ranks_have_the_gradients_of_one_process(folder, kind, micro, loss):
    found = torch.load(folder / f"{kind}-{micro}-{loss}.pt", weights_only=True)
    true = one_process(folder, loss)
    parts = {name.partition(".")[0] for name, g in true.items() if g.norm() > 0}
    assert parts == {"predictor", "text_encoder", "vision", "loss"} | ({"criterion"} if loss == "infonce" else set())
    assert difference(found, true) < CLOSE


def test_a_gather_whose_backward_keeps_the_local_slice_is_noticed(folder):
    """The loss is right and the gradient is not: what such a training would look like from outside."""
    cut, true = torch.load(folder / "cut.pt", weights_only=True), one_process(folder)
    assert cut["loss"].item() == pytest.approx(true["loss"].item(), rel=1e-6)
    assert difference(cut, true) > 0.05


def test_both_engines_train_alike(folder):
    ddp, fsdp2 = (torch.load(folder / f"whole-{k}" / "last.pt", weights_only=True)["module"] for k in ("ddp", "fsdp2"))
    start = two_ranks.task(two_ranks.Tokenizer(folder / "tokenizer")).module.state_dict()
    assert ddp.keys() == fsdp2.keys() == start.keys()
    moved = max((ddp[k] - start[k]).abs().max().item() for k in ddp)
    assert max((ddp[k] - fsdp2[k]).abs().max().item() for k in ddp) < 0.02 * moved


def test_a_killed_rank_ends_with_the_weights_of_an_undisturbed_run(folder):
    """In each of two runs rank 1 kills itself; torchrun starts both ranks again, and they go on from the last checkpoint."""
    torchrun("killed", folder, restarts=2)
    assert torch.load(folder / "attempts.pt", weights_only=True) == 2  # both kills took place
    for kind in ("ddp", "fsdp2"):
        whole, killed = (torch.load(folder / f"{name}-{kind}" / "last.pt", weights_only=True) for name in ("whole", "killed"))
        assert killed["step"] == whole["step"] == two_ranks.STEPS
        for name, weights in whole["module"].items():
            assert torch.equal(weights, killed["module"][name]), (kind, name)


def test_a_run_goes_on_on_one_rank(folder, tmp_path):
    """What two ranks left, sharded, is whole on disk: one process takes it over and sees the same batches."""
    tokenizer = two_ranks.Tokenizer(folder / "tokenizer")
    left = folder / "whole-fsdp2" / "last.pt"
    saved = torch.load(left, weights_only=True)
    (tmp_path / "last.pt").write_bytes(left.read_bytes())
    task = two_ranks.task(tokenizer, dropout=0.1)
    schedule = two_ranks.Schedule(
        steps=two_ranks.STEPS + 2, batch=12, lr=3e-3, warmup=2, bf16=False, eval_every=99, save_every=99, parallel="none"
    )
    seen = []
    task.batch, whole = lambda step: (seen.append(step), whole(step))[1], task.batch
    two_ranks.train(task, schedule, tmp_path)
    assert seen == [two_ranks.STEPS, two_ranks.STEPS + 1]
    after = torch.load(tmp_path / "last.pt", weights_only=True)
    assert after["step"] == two_ranks.STEPS + 2 and len(after["optimizer"][0]["state"]) == len(saved["optimizer"][0]["state"])
    assert any(not torch.equal(after["module"][k], saved["module"][k]) for k in saved["module"])


@pytest.mark.parametrize(
    "kind, optimizer, said", [("zero", "adamw", "none, ddp, fsdp2"), ("ddp", "adamw", "torchrun"), ("fsdp2", "adamw", "torchrun")]
)
def test_engines_that_cannot_be_are_refused(kind, optimizer, said):
    with pytest.raises(ValueError, match=said):
        two_ranks.parallel.make(kind, torch.nn.Linear(2, 2), optimizer)
