# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`vljepa recall`: a memory's file, asked by hand."""
from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime

import pytest

from vljepa_ros.cli.main import main
from vljepa_ros.memory import Segment, SegmentStore
from vljepa_ros.model import VLJEPA

NS = 10**9
START_NS = round(datetime(2026, 11, 25, 14, 0, 0).timestamp()) * NS
TEXTS = ("Push the red cube to the left.", "The drawer is open.", "The drawer is open.", "Is the lamp on?")


@pytest.fixture
def memory(tiny_checkpoint, tmp_path):
    """(path, model, what was written): four minutes of four states, one after the other, in a memory that is still open."""
    model = VLJEPA.from_pretrained(tiny_checkpoint, device="cpu", engine="torch", parts=("text_encoder",))
    made = [
        Segment(
            START_NS + 60 * NS * k, START_NS + 60 * NS * (k + 1), 0, k, model.space_id, vector_D, text=f"state {k}",
            confidence=0.5, familiar=k != 3, thumbnail=b"\xff\xd8" + bytes([k]),
        )
        for k, vector_D in enumerate(model.encode_text(TEXTS))
    ]  # fmt: skip
    store = SegmentStore(tmp_path / "memory.sqlite")
    store.write([(None, one) for one in made])
    yield store.path, model, made
    store.close()


def asked(capsys, *arguments):
    """(exit status, standard output, standard error)"""
    status = main(["recall", *map(str, arguments)])
    said = capsys.readouterr()
    return status, said.out, said.err


def test_when_it_was_so_and_when_it_became_so(memory, tiny_checkpoint, capsys):
    path, where = memory[0], ["--checkpoint", tiny_checkpoint]
    status, out, err = asked(capsys, path, TEXTS[1], *where, "-k", 2)
    lines = out.splitlines()
    assert status == 0 and err == "" and len(lines) == 3 and lines[2].startswith("(4 segments searched")
    assert "state 2" in lines[0] and "2026-11-25 14:02:00.0" in lines[0] and "for 60.0 s" in lines[0] and "+1.000" in lines[0]
    assert "state 1" in lines[1]
    out = asked(capsys, path, TEXTS[1], "--change", *where)[1]
    assert "state 1" in out.splitlines()[0] and "state 2" not in out, "it stayed so: no change"


def test_as_json(memory, tiny_checkpoint, capsys):
    path, model, made = memory
    _, out, _ = asked(capsys, path, TEXTS[1], "--change", "--json", "--checkpoint", tiny_checkpoint)
    facts = json.loads(out)
    assert (facts["text"], facts["against"], facts["mode"], facts["searched"], facts["skipped"]) == (TEXTS[1], "", "CHANGE", 4, 0)
    first = facts["segments"][0]
    before, after = (model.encode_text(TEXTS[k : k + 1])[0] for k in (0, 1))
    assert first["score"] == pytest.approx(1 - float(before @ after), abs=4e-3)
    assert (first["start_ns"], first["before_ns"], first["text"]) == (made[1].start_ns, made[0].end_ns, "state 1")
    _, out, _ = asked(capsys, path, TEXTS[1], "--against", TEXTS[0], "--json", "--checkpoint", tiny_checkpoint)
    against = json.loads(out)["segments"]
    assert [one["text"] for one in against][:2] == ["state 2", "state 1"] and against[-1]["score"] < 0


@pytest.mark.parametrize(
    "since, until, texts",
    [
        ("2026-11-25T14:01:30", None, {"state 1", "state 2", "state 3"}), (None, "2026-11-25 14:00:30", {"state 0"}),
        (START_NS / NS + 70, START_NS / NS + 100, {"state 1"}), ("2027-01-01", None, set()),
    ],
)
def test_a_time_range(memory, tiny_checkpoint, capsys, since, until, texts):
    options = [part for name, value in (("--since", since), ("--until", until)) if value for part in (name, value)]
    status, out, _ = asked(capsys, memory[0], TEXTS[1], *options, "--json", "--checkpoint", tiny_checkpoint)
    assert status == 0 and {one["text"] for one in json.loads(out)["segments"]} == texts
    _, out, _ = asked(capsys, memory[0], TEXTS[1], *options, "--checkpoint", tiny_checkpoint)
    assert texts or out.startswith("no segments in that time")


def test_what_is_not_to_be_trusted_and_what_nobody_saw_is_said(memory, tiny_checkpoint, capsys, tmp_path):
    made, store = memory[2], SegmentStore(tmp_path / "gap.sqlite")
    late = replace(made[3], start_ns=made[3].start_ns + 3600 * NS, end_ns=made[3].end_ns + 3600 * NS, text="")
    store.write([(None, one) for one in (made[0], late)])
    store.close()
    _, out, _ = asked(capsys, store.path, TEXTS[3], "--change", "--checkpoint", tiny_checkpoint)
    assert "(no words)" in out and "[unfamiliar" in out and f"[not seen for {3600 + 120} s before]" in out


def test_stamps_of_a_simulator_are_seconds(memory, tiny_checkpoint, capsys, tmp_path):
    store = SegmentStore(tmp_path / "sim.sqlite")
    store.write([(None, replace(memory[2][1], start_ns=90 * NS, end_ns=92 * NS))])
    store.close()
    _, out, _ = asked(capsys, store.path, TEXTS[1], "--until", "95.5", "--checkpoint", tiny_checkpoint)
    assert "  90.0 s  for 2.0 s  " in out


def test_pictures(memory, tiny_checkpoint, capsys, tmp_path):
    asked(capsys, memory[0], TEXTS[3], "-k", 1, "--pictures", tmp_path / "pictures", "--checkpoint", tiny_checkpoint)
    assert {one.name: one.read_bytes() for one in (tmp_path / "pictures").iterdir()} == {"4.jpg": b"\xff\xd8\x03"}


def test_a_memory_of_another_checkpoint_is_told(memory, capsys):
    status, out, err = asked(capsys, memory[0], "the drawer is open")
    assert status == 2 and out == "" and "all 4 segments are of other checkpoints than tabletop" in err
    assert memory[1].space_id in err and "give --checkpoint" in err


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["GONE", "text"], "gone.sqlite: no such file"), (["DB", " "], "TEXT must say something"),
        (["DB", "text", "--since", "yesterday"], "--since: 'yesterday' is neither"),
        (["DB", "text", "--until", "inf"], "--until: inf is no time"),
        (["DB", "text", "--since", "nan"], "--since"), (["DB", "text", "-k", "0"], "count must be from 1"),
        (["DB", "text", "--since", "9", "--until", "8"], "nothing lies between"),
        (["DB", "text", "--checkpoint", "nowhere"], "nowhere: no such checkpoint"),
    ],
)
def test_what_cannot_be_answered_ends_in_one_line(memory, tiny_checkpoint, capsys, tmp_path, arguments, words):
    places = {"DB": str(memory[0]), "GONE": str(tmp_path / "gone.sqlite")}
    options = [] if "--checkpoint" in arguments else ["--checkpoint", tiny_checkpoint]
    status, out, err = asked(capsys, *(places.get(one, one) for one in arguments), *options)
    assert status == 2 and out == "" and err.startswith("vljepa recall: ") and words in err and err.count("\n") == 1
