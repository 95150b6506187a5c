# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Faults of a device, on command, in a model that otherwise computes as ever: latency, out-of-memory, sticky errors.

In process: `faults = Faults(node._model)`, then `faults.latency_s = 0.5`, `faults.memory_clips = 2`, `faults.lost = True`.

In a process of its own: `python test/faults/injection.py predictor_node FILE --ros-args ...` runs the node with faults read from
FILE, JSON such as `{"latency_s": 0.5, "memory_clips": 1, "lost": false}`, whenever it changes; without FILE nothing is injected.
"""
from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import torch

NAMES = ("latency_s", "clip_s", "memory_clips", "no_room", "lost", "failures")


class Faults:
    """Stands where a model's engine was, so that whatever the model computes meets the faults."""

    def __init__(self, model: Any, file: Path | None = None) -> None:
        """`file`: where commands come from; without, from whoever sets the attributes."""
        self.latency_s = 0.0  # seconds more, for every pass through a part of the model
        self.clip_s = 0.0  # seconds more, for every clip of a pass through the X-Encoder
        self.memory_clips: int | None = None  # clips that fit into the device at once; 0: none; None: any number
        self.no_room = 0  # so many passes more find no memory, and then none
        self.lost = False  # every pass fails as after an illegal memory access
        self.failures = 0  # so many passes more fail in a way of their own, and then none
        self.passes = 0
        self.batches: list[int] = []  # clips in each pass through the X-Encoder that was begun
        self._engine = model.engine
        self._file, self._changed = file, -1
        model.engine = self
        if "vision" in model.modules:
            model.modules["vision"].register_forward_pre_hook(self._on_vision)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    @contextmanager
    def run(self) -> Iterator[None]:
        """The engine's own, after the faults."""
        self._obey()
        self.passes += 1
        if self.latency_s:
            time.sleep(self.latency_s)
        if self.lost:
            raise device_error("CUDA error: an illegal memory access was encountered (injected)")
        if self.no_room:
            self.no_room -= 1
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB (injected)")
        if self.failures:
            self.failures -= 1
            raise RuntimeError("a failure of another kind (injected)")
        with self._engine.run():
            yield

    def _on_vision(self, module: Any, arguments: tuple[torch.Tensor, ...]) -> None:
        clips = len(arguments[0])
        self.batches.append(clips)
        time.sleep(clips * self.clip_s)
        if self.memory_clips is not None and clips > self.memory_clips:
            raise torch.OutOfMemoryError(f"CUDA out of memory. Tried to allocate {clips} clips (injected)")

    def _obey(self) -> None:
        if self._file is None or not self._file.exists():
            return
        changed = self._file.stat().st_mtime_ns
        if changed != self._changed:
            try:
                commands = json.loads(self._file.read_text())
            except ValueError:  # half written; it is read again with the next pass
                return
            if strange := set(commands) - set(NAMES):
                raise ValueError(f"{self._file} names {sorted(strange)[0]!r}; faults are {', '.join(NAMES)}")
            self._changed = changed
            for name, value in commands.items():
                setattr(self, name, value)


def device_error(text: str) -> Exception:
    """As this torch raises it: AcceleratorError since 2.8, which older ones do not have."""
    return getattr(torch, "AcceleratorError", RuntimeError)(text)


def main(name: str, file: Path, args: list[str]) -> None:
    """Run the node `name` with faults from `file`."""
    from vljepa_ros.model import VLJEPA

    loads = VLJEPA.from_pretrained

    def load(*arguments: Any, **named: Any) -> VLJEPA:
        model = loads(*arguments, **named)
        Faults(model, file)
        return model

    VLJEPA.from_pretrained = load
    import_module(f"vljepa_ros.nodes.{name}").main([name, *args])


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3:])
