# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Between tracker and file: pictures, words, a disk that is full for a while, an index in step."""
from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from vljepa_ros.memory import Entry, Mode, Question, Recorder, SegmentReader, SegmentStore, StoreError, Stray, VectorIndex, recall
from vljepa_ros.memory import recorder as recorder_module
from vljepa_ros.memory.recorder import thumbnail
from vljepa_ros.streaming import DecodedText, DecodeRequest, Trigger

SPACE, DIM = "5bace00000000001", 32


@pytest.fixture
def parts(tmp_path):
    store, index = SegmentStore(tmp_path / "m.sqlite"), VectorIndex(SPACE, DIM)
    reader = SegmentReader(store.path)
    yield store, index, reader, Recorder(store, index, thumbnail_width=32)
    reader.close()
    store.close()


def test_versions_of_a_segment_are_one_row_and_the_index_has_the_newest(parts, segments, vectors):
    _, index, reader, recorder = parts
    (one,), early = segments(vectors(1)), vectors(1, seed=1)[0]
    recorder.take(Entry(0, replace(one, vector_D=early, text=""), ended=False))
    question = Question(one.vector_D, SPACE)
    first = recall(index, reader, question).recalled
    recorder.take(Entry(0, replace(one, text=""), ended=True))
    recorder.take(Entry(0, one, ended=True))
    (found,) = recall(index, reader, question).recalled
    assert [hit.score for hit in first] == pytest.approx([float(early @ one.vector_D)], abs=1e-3)
    assert found.score == pytest.approx(1.0, abs=1e-3) and found.segment.text == one.text and len(index) == 1


def test_running_and_ended_segments_are_found_in_both_modes(parts, segments, vectors):
    _, index, reader, recorder = parts
    made = segments(vectors(30))
    for serial, one in enumerate(made):
        recorder.take(Entry(serial, one, ended=False))
        question = Question(one.vector_D, SPACE, Mode.CHANGE if serial else Mode.STATE, 1)
        assert recall(index, reader, question).recalled[0].segment.segment == serial, "while it goes on"
        recorder.take(Entry(serial, one, ended=True))
        assert recall(index, reader, question).recalled[0].segment.segment == serial
    assert len(index) == 30


def test_a_picture_is_small_and_goes_with_its_segment(parts, segments, vectors):
    _, _, reader, recorder = parts
    image_HWC = np.zeros((240, 320, 3), np.uint8)
    image_HWC[..., 0] = 200  # red
    (one,) = segments(vectors(1))
    recorder.take(Entry(0, one, ended=False))
    assert reader.segments([1], thumbnails=True)[1].thumbnail == b""
    recorder.take(Entry(0, one, ended=False), image_HWC)
    recorder.take(Entry(0, one, ended=True))
    picture_BGR = cv2.imdecode(np.frombuffer(reader.segments([1], thumbnails=True)[1].thumbnail, np.uint8), cv2.IMREAD_COLOR)
    assert picture_BGR.shape == (24, 32, 3)
    assert np.abs(picture_BGR.astype(int) - [0, 0, 200]).max() < 10


@pytest.mark.parametrize("shape", [(1, 5000, 3), (5000, 1, 3), (7, 9, 3)])
def test_pictures_of_odd_shapes(shape):
    picture = cv2.imdecode(np.frombuffer(thumbnail(np.zeros(shape, np.uint8), 160), np.uint8), cv2.IMREAD_COLOR)
    assert picture.shape[1] == min(160, shape[1])


def test_what_a_full_disk_refuses_is_written_once_there_is_room(parts, segments, vectors):
    store, index, reader, recorder = parts
    store._db.execute("PRAGMA max_page_count = 20")
    made, image_HWC = segments(vectors(200)), np.random.default_rng(0).integers(0, 256, (24, 32, 3), dtype=np.uint8)
    refused = 0
    for serial, one in enumerate(made):
        for ended in (False, True):
            try:
                recorder.take(Entry(serial, replace(one, text=f"{ended}"), ended), None if ended else image_HWC)
            except StoreError as error:
                assert "free space" in str(error)
                refused += 1
    assert refused > 100 and recorder.waiting > 50 and len(index) == store.segments < 150
    store._db.execute("PRAGMA max_page_count = 100000")
    recorder.flush()
    assert recorder.waiting == 0 and store.segments == len(index) == 200 and recorder.drops["write_error"] == 0
    found = reader.segments(range(1, 201), thumbnails=True)
    assert [found[k].segment for k in range(1, 201)] == list(range(200)), "in their order"
    assert all(one.text == "True" and one.thumbnail for one in found.values()), "each in its newest version, with its picture"


def test_what_waits_is_bounded_and_what_is_given_up_is_counted(parts, segments, vectors, monkeypatch):
    store, _, reader, recorder = parts
    monkeypatch.setattr(recorder_module, "BACKLOG", 10)
    store._db.execute("PRAGMA max_page_count = 9")
    for serial, one in enumerate(segments(vectors(100))):
        try:
            recorder.take(Entry(serial, one, ended=True))
        except StoreError:
            assert recorder.waiting <= 10
    kept = store.segments
    store._db.execute("PRAGMA max_page_count = 100000")
    recorder.flush()
    assert recorder.drops["write_error"] == 100 - kept - 10 > 0
    assert sorted(one.segment for one in reader.segments(range(1, 200)).values())[-10:] == list(range(90, 100))


def test_the_index_forgets_what_the_file_drops(parts, segments, vectors):
    store, index, _, recorder = parts
    store.max_bytes = 300_000
    for serial, one in enumerate(segments(vectors(400), thumbnail=b"")):
        recorder.take(Entry(serial, one, ended=True), np.zeros((24, 32, 3), np.uint8))
    assert 0 < store.dropped["size"] and len(index) == store.segments == 400 - store.dropped["size"]
    assert store.path.stat().st_size <= 300_000


def test_words_for_an_earlier_run_and_for_nobody(parts, segments, vectors):
    store, _, reader, recorder = parts
    (one,) = segments(vectors(1))
    store.write([(None, one)])

    def stray(start_ns: int) -> Stray:
        request = DecodeRequest(np.empty(0, np.float32), start_ns + 1, start_ns, 0, 0, Trigger.START, "")
        return Stray(DecodedText(request, "late words", 0.5, True, 0.0))

    recorder.take(stray(one.start_ns))
    assert reader.segments([1])[1].text == "late words" and recorder.drops["no_segment"] == 0
    recorder.take(stray(one.start_ns + 7))
    assert recorder.drops["no_segment"] == 1
