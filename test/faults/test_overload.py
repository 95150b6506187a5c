# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A camera of 120 full-HD frames per second before a model that takes eight clips: nothing piles up.

Ten minutes of it in `make faults`, where the latency is judged too: on a machine with other work to do it says nothing.
"""
from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

FRAME_S = 1 / 120
PASS_S = 0.125 / 3  # of latency for X-Encoder, Predictor and novelty each: eight clips per second


def resident_mib() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 2**20


@pytest.mark.timeout(1200)
def test_120_full_hd_frames_per_second_into_a_model_of_8(
    bench: Any, noise: Any, to_image: Any, faults: Any, size: Callable[[int, int], int], figures: dict
) -> None:
    frames, judged = size(360, 72_000), size(0, 1)
    predictor = bench.predictor(clip__stride_s=0.01, clip__max_gap_s=3600.0)
    injected = faults(predictor)
    message = to_image(noise(1, height=1080, width=1920)[0], 1)
    injected.latency_s = PASS_S
    stream, most, sizes, resize_s, failed = predictor._of(""), 0, [], [], []

    def camera() -> None:
        nonlocal most
        stamp_ns, due = 1_700_000_000 * 10**9, time.monotonic()
        try:
            for frame in range(frames):
                stamp_ns += round(FRAME_S * 1e9)
                message.header.stamp.sec, message.header.stamp.nanosec = stamp_ns // 10**9, stamp_ns % 10**9
                started = time.monotonic()
                stream.camera._on_message(message)
                resize_s.append(time.monotonic() - started)
                most = max(most, len(predictor._inbox.stream.waiting))
                if frame in (frames // 3, frames - 1):
                    sizes.append(resident_mib())
                due = max(due + FRAME_S, time.monotonic() - FRAME_S)
                time.sleep(max(0.0, due - time.monotonic()))
        except Exception as error:  # of a thread nobody would see it
            failed.append(error)

    thread = threading.Thread(target=camera)
    thread.start()
    bench.until(lambda: not thread.is_alive(), "the camera's end", 1000.0)
    assert not failed and stream.camera.frames == frames and not stream.camera._bad
    assert most == 1, "the mailbox holds one clip"
    model_ms, latency_ms = dict(stream.figures.model_time.values("m")), dict(stream.figures.latency.values("l"))
    figures |= {"frames": frames, "waiting": most, "latency_ms": latency_ms, "model_ms": model_ms, "resident_mib": sizes,
                "preprocessing_ms": max(resize_s) * 1e3}  # fmt: skip
    assert stream.figures.embeddings.total > 5 and stream.figures.drops["newer_clip"] > frames // 6
    assert not judged or latency_ms["l_p99"] <= 2 * model_ms["m_p99"] + max(resize_s) * 1e3 + 50
    assert sizes[1] - sizes[0] < 20, "memory is flat"
