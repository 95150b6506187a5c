# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The summary's keys and what each of them counts."""
from __future__ import annotations

import json

import numpy as np
import pytest

from vljepa_ros.cli.recording import Recording
from vljepa_ros.cli.report import finish, pixel_differences
from vljepa_ros.cli.sources import open_source
from vljepa_ros.cli.summary import drops, summarise, write

KEYS = {
    *(
        "frames_in",
        "embeddings",
        "embedding_hz",
        "latency_ms_p50",
        "latency_ms_p99",
        "transitions",
        "texts",
        "true_segments",
        "drops",
    ),
    *("boundary_precision", "boundary_recall", "boundary_f1", "boundary_f1_uniform", "boundary_f1_pixels", "delay_s_median"),
    *("delay_s_p95", "decodes_per_s", "seconds", "transitions_per_minute", "familiar_share"),
}
OF_TRUTH = {key for key in KEYS if key.startswith(("boundary", "delay"))} | {"true_segments"}


def test_a_stream_that_was_understood(make_recording):
    summary = summarise(make_recording(true_s=[5.0, 9.0, 16.0], found_s=[5.2, 9.1, 12.5, 15.9]))
    assert set(summary) == KEYS
    assert (summary["frames_in"], summary["embeddings"], summary["transitions"], summary["texts"]) == (300, 186, 4, 5)
    assert summary["true_segments"] == 4
    assert summary["embedding_hz"] == pytest.approx(10.0)
    assert summary["latency_ms_p50"] == pytest.approx(50.0)
    assert summary["latency_ms_p99"] == pytest.approx(50.0)
    assert summary["boundary_precision"] == pytest.approx(3 / 4)
    assert summary["boundary_recall"] == pytest.approx(1.0)
    assert summary["boundary_f1"] == pytest.approx(6 / 7, abs=1e-3)
    assert 0 < summary["boundary_f1_uniform"] <= 1
    assert summary["boundary_f1_pixels"] is None
    assert summary["delay_s_median"] == pytest.approx(1.1)  # of 1.2, 1.1 and 0.9: boundary to the text's arrival
    assert summary["delay_s_p95"] == pytest.approx(1.19)
    assert summary["decodes_per_s"] == pytest.approx(5 / 20)
    assert summary["seconds"] == pytest.approx(20.0)
    assert summary["transitions_per_minute"] == pytest.approx(12.0)
    assert summary["familiar_share"] == 1.0
    assert summary["drops"] == {}


def test_without_truth_what_needs_it_is_null(make_recording):
    summary = summarise(make_recording(true_s=None, found_s=[5.0]))
    assert set(summary) == KEYS
    assert {key for key, value in summary.items() if value is None} == OF_TRUTH


def test_a_stream_of_which_nothing_was_heard():
    recording = Recording("a", truth_known=False, start_ns=0, end_ns=10**9, published=15)
    summary = summarise(recording)
    assert set(summary) == KEYS
    assert (summary["embeddings"], summary["embedding_hz"], summary["latency_ms_p99"], summary["familiar_share"]) == (
        0,
        None,
        None,
        None,
    )
    assert summary["seconds"] == 1.0


def test_a_true_boundary_after_the_end_is_not_missed(make_recording):
    assert summarise(make_recording(true_s=[5.0, 25.0], found_s=[5.0], seconds=20.0))["boundary_recall"] == 1.0


def test_a_detection_without_words_has_no_delay(make_recording):
    recording = make_recording(true_s=[5.0, 9.0], found_s=[5.0, 9.0])
    del recording.texts[-1]
    assert summarise(recording)["delay_s_p95"] == pytest.approx(1.0)
    del recording.texts[1:]
    assert summarise(recording)["delay_s_p95"] is None


def test_drops_are_the_nodes_own_and_what_no_node_knows_of(make_recording):
    recording = make_recording(found_s=[])
    del recording.beats[10:15]
    assert drops(recording) == {"unexplained": 5}
    recording.diagnostics = {
        "vljepa/predictor_node: camera": {"frames": "297", "drops.bad_image.short": "0", "drops.lost_in_transport": "2"},
        "vljepa/predictor_node: model": {"drops.newer_clip": "4", "drops.model_error": "0"},
    }
    assert drops(recording) == {"lost_in_transport": 2, "lost_before_the_node": 1, "newer_clip": 4, "unexplained": 1}


def test_pixels_compete_on_the_source_itself(make_bag, make_recording, tmp_path):
    source = open_source(str(make_bag(tmp_path / "bag", seconds=6.0)))
    stamps_s, differences = pixel_differences(source, seconds=5.0)
    assert stamps_s == pytest.approx(np.arange(51) / 10)
    assert set(np.flatnonzero(np.array(differences) > 3)) == {10, 20, 30, 40, 50}, "the scene changes its colour every second"
    summary = summarise(make_recording(true_s=[2.0, 4.0], found_s=[2.0], seconds=5.0), (stamps_s, differences))
    assert summary["boundary_f1_pixels"] == pytest.approx(1.0)


def test_written_whole_and_read_back(make_recording, tmp_path):
    summary = summarise(make_recording(true_s=[5.0], found_s=[5.0]))
    write(summary, tmp_path / "deep" / "summary.json")
    assert json.loads((tmp_path / "deep" / "summary.json").read_text()) == summary
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["summary.json"]


def test_finish_leaves_both_files_and_says_so(make_bag, make_recording, tmp_path, capsys):
    source = open_source(str(make_bag(tmp_path / "bag", seconds=2.0)))
    summary = finish(tmp_path / "out", source, make_recording(true_s=[5.0], found_s=[5.0]))
    assert json.loads((tmp_path / "out" / "summary.json").read_text()) == summary
    assert (tmp_path / "out" / "timeline.png").stat().st_size > 10_000
    said = capsys.readouterr().out
    assert "summary.json" in said
    assert "p99 50.0" in " ".join(said.split())
