# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Checkpoints that are not what they should be: refused in one line that names the file, and the process lives.

Altered, truncated and missing files and a foreign config are in test/nodes/test_lifecycle.py, for every node.
"""
from __future__ import annotations

import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rclpy.lifecycle import TransitionCallbackReturn
from safetensors.torch import load_file, save_file


class Bomb:
    """What a pickle may do when it is read."""

    def __init__(self, witness: Path) -> None:
        self.witness = witness

    def __reduce__(self) -> tuple:
        return Path.touch, (self.witness,)



def one_part_less(folder: Path, witness: Path) -> None:
    (folder / "predictor.safetensors").unlink()


def a_pickle(folder: Path, witness: Path) -> None:
    (folder / "predictor.safetensors").write_bytes(pickle.dumps(Bomb(witness)))


def a_pickle_instead_of_all(folder: Path, witness: Path) -> None:
    for file in folder.iterdir():
        if file.is_file():
            file.unlink()
    (folder / "best.pt").write_bytes(pickle.dumps(Bomb(witness)))


def another_dimension(folder: Path, witness: Path) -> None:
    file = folder / "predictor.safetensors"
    tensors = load_file(file)
    name = next(name for name, tensor in tensors.items() if tensor.ndim == 2)
    tensors[name] = tensors[name][:, :-1].contiguous()
    save_file(tensors, file)


def empty(folder: Path, witness: Path) -> None:
    (folder / "predictor.safetensors").write_bytes(b"")


DAMAGE = {one.__name__: one for one in (one_part_less, a_pickle, a_pickle_instead_of_all, another_dimension, empty)}


@pytest.mark.parametrize("damage", DAMAGE)
def test_it_is_refused(bench: Any, tmp_path: Path, damage: str, capfd: pytest.CaptureFixture) -> None:
    folder, witness = tmp_path / "copy", tmp_path / "the pickle was run"
    shutil.copytree(bench.checkpoint, folder)
    DAMAGE[damage](folder, witness)
    node = bench.predictor(active=False, checkpoint=str(folder))
    assert node.trigger_configure() == TransitionCallbackReturn.FAILURE
    named = "config.json" if damage == "a_pickle_instead_of_all" else "predictor.safetensors"
    assert named in node.fault and "\n" not in node.fault, node.fault
    assert len([line for line in capfd.readouterr().err.splitlines() if "[ERROR]" in line]) == 1
    assert not witness.exists(), "weights were run as a program"
    shutil.rmtree(folder)
    shutil.copytree(bench.checkpoint, folder)
    assert node.trigger_configure() == TransitionCallbackReturn.SUCCESS, "the node lives"


def test_embeddings_of_another_space_are_refused_not_decoded(
    bench: Any, tmp_path: Path, noise: Callable, stamps: Callable
) -> None:
    from vljepa_ros.model.random_checkpoint import make_tiny

    make_tiny(tmp_path / "other", seed=7)
    predictor, decoder = bench.predictor(checkpoint=str(tmp_path / "other")), bench.decoder()
    assert predictor._model.space_id != decoder._model.space_id
    bench.stream(predictor, noise(12), stamps(12))
    bench.until(lambda: bench.values("decoder_node: input").get("drops.wrong_space", "0") != "0", "the refusal")
    bench.until_said("decoder_node: input", predictor._model.space_id, "the same checkpoint", level=b"\x02")
    assert not bench.texts and decoder.state == "active"
