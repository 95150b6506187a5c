# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The study of selective decoding: its arithmetic on decodes made up, what it keeps on disk, and the whole command."""

from __future__ import annotations

import json
from contextlib import contextmanager
from types import SimpleNamespace

import numpy as np
import pytest

from vljepa_ros.evaluation.selective import Decodes, RecordedEmbeddings
from vljepa_ros.model import VLJEPA
from vljepa_training import selective as command
from vljepa_training.evals import recordings
from vljepa_training.evals.recordings import Recordings, Said, Worlds
from vljepa_training.evals.selective import MEASURES, ONLINE, SHIPPED, Curves, Point, Reference, references, report, score
from vljepa_training.tabletop.stream import Stream

STREAMS, SEGMENTS, EACH_S = 6, 5, 6.0
COLOURS = ("red", "blue", "green", "white", "purple")
SHAPES = ("cube", "ball", "cone", "cylinder", "cup", "plate")


def text_of(stream: int, segment: int) -> str:
    return f"the {COLOURS[segment]} {SHAPES[stream]} is on the {('left', 'right')[segment % 2]} of the table"


TRUE = [
    Reference(s, k * EACH_S, (k + 1) * EACH_S, text_of(s, k)) for s in range(STREAMS) for k in range(SEGMENTS)
]  # five states of 6 s in each of six streams
SECONDS = [SEGMENTS * EACH_S] * STREAMS


def speaking(*times_s: float, wrong: bool = False) -> list[Decodes]:
    """On every stream at these times, the truth of the moment (`wrong`: of another stream). A vector is (stream, segment)."""
    segments = np.minimum(np.array(times_s) // EACH_S, SEGMENTS - 1)
    out = []
    for s in range(STREAMS):
        vectors = np.stack([np.full(len(segments), (s + wrong) % STREAMS), segments], axis=1)
        out.append(Decodes(np.array(times_s), vectors.astype(np.float32).reshape(-1, 2)))
    return out


def say(vectors_ND: np.ndarray) -> list[str]:
    return [text_of(int(s), int(k)) for s, k in vectors_ND]


def once_per_segment(after_s: float) -> tuple[float, ...]:
    return tuple(k * EACH_S + after_s for k in range(SEGMENTS))


def clock(stride_s: float) -> tuple[float, ...]:
    return tuple(np.arange(stride_s / 2, SECONDS[0], stride_s))


def judged(online: list[Point]) -> dict[str, list[Point]]:
    """A clock that knows everything, and an online way, scored."""
    ways = {"uniform": [Point(speaking(*clock(s)), {"interval_s": s}) for s in (0.5, 1.0, 7.5, 15.0)]}
    ways |= {"ward": [Point(speaking(*once_per_segment(3.0)), {"interval_s": 5.0})], ONLINE: online}
    score(ways, TRUE, say)
    return ways


def test_words_of_the_right_moment_score_ten_and_of_a_wrong_one_less():
    ways = judged([Point(speaking(*once_per_segment(1.5)), {}), Point(speaking(1.0), {}), Point(speaking(1.0, wrong=True), {})])
    for matching in ("nearest", "latest"):
        for measure in MEASURES:
            right, once, wrong = (point.scores[matching, measure] for point in ways[ONLINE])
            assert right == pytest.approx(10, abs=1e-6) and once[0] == pytest.approx(10) and once[1:5].max() < 6
            assert wrong.mean() < once.mean()
            assert ways[ONLINE][1].inside[matching].mean() == 1 / SEGMENTS


def test_what_all_of_a_stream_shares_is_worth_little_within_the_stream():
    once = judged([Point(speaking(1.0), {})])[ONLINE][0]
    assert once.scores["nearest", "cider_d_in_stream"].mean() < once.scores["nearest", "cider_d"].mean() - 0.1


def test_words_before_their_time_are_the_nearest_but_not_the_latest():
    early = judged([Point(speaking(*once_per_segment(3.5)), {})])[ONLINE][0]  # half a second after the reference's moment
    assert early.inside["nearest"].all() and early.inside["latest"].mean() == 1 / SEGMENTS
    assert early.scores["latest", "cider_d"].mean() < 0.6 * early.scores["nearest", "cider_d"].mean()


def curves_of(ways: dict[str, list[Point]], matching: str = "nearest") -> Curves:
    return Curves(ways, TRUE, SECONDS, matching, "cider_d")


def test_the_reduction_is_the_clock_s_rate_over_the_lowest_that_says_as_much():
    found = curves_of(judged([Point(speaking(*once_per_segment(1.5)), {}), Point(speaking(1.0), {})])).reduction(ONLINE)
    assert found["clock_score"] == pytest.approx(10, abs=1e-6) and found["clock_decodes_per_s"] == 1
    assert found["decodes_per_s"] == pytest.approx(1 / 6, rel=1e-3) and not found["at_least"]
    assert found["times_fewer"]["value"] == pytest.approx(6, rel=1e-3)
    assert found["times_fewer"]["low"] == pytest.approx(6, rel=1e-3), "all streams are alike"
    assert "6.00 times fewer (95 % 6.00 to 6.00)" in found["in_words"]


def test_a_way_that_never_says_as_much_has_no_reduction_and_is_said_so():
    silence = [Decodes(np.zeros(0), np.zeros((0, 2), np.float32))] * STREAMS
    ways = judged([Point(speaking(*once_per_segment(1.5), wrong=True), {}), Point(silence, {})])
    found = curves_of(ways).reduction(ONLINE)
    assert found["times_fewer"] == {"value": None, "low": None, "high": None} and found["decodes_per_s"] is None
    assert found["in_words"] == "online never says as much as a clock of 1 per s, at any rate tried"
    assert curves_of(ways).against(ONLINE, "ward")[0]["gap"]["value"] < -0.2
    silent = curves_of(ways).points(ONLINE)[1]
    assert silent["decodes_per_s"] == silent["score"]["value"] == silent["own_segment"] == 0
    assert silent["own_segment_score"] is None


def test_streams_in_which_a_way_fails_take_the_lower_end_of_the_interval():
    some = speaking(*once_per_segment(1.5))
    some[:2] = speaking(*once_per_segment(1.5), wrong=True)[:2]
    ways = judged([Point(some, {})])
    for point in ways["uniform"]:  # the clock is as good as the way on all streams together: equal, or not, by resample
        point.scores = dict(point.scores) | {key: np.full(len(TRUE), v.mean()) for key, v in ways[ONLINE][0].scores.items()}
    found = curves_of(ways).reduction(ONLINE)
    assert found["at_least"] and found["times_fewer"]["value"] == pytest.approx(6) and found["times_fewer"]["low"] is None
    assert "at least 6.00 times fewer (95 % never to 6.00)" in found["in_words"]


def test_the_gap_to_ward_is_a_share_of_its_score_and_none_beyond_the_way_s_rates():
    ways = judged([Point(speaking(*once_per_segment(1.5)), {}), Point(speaking(1.0), {})])
    gap = curves_of(ways).against(ONLINE, "ward")[0]
    assert gap["interval_s"] == 5.0 and gap["decodes_per_s"] == pytest.approx(1 / 6)
    assert gap["gap"]["value"] == pytest.approx(0, abs=1e-9) and gap["gap"]["low"] == pytest.approx(0, abs=1e-9)
    slow = curves_of(judged([Point(speaking(1.0), {})])).against(ONLINE, "ward")[0]["gap"]
    assert slow["value"] is slow["low"] is None
    assert command.gap_in_words(gap) == "+0 % (0 to 0) at 0.17 per s"
    assert command.gap_in_words({"gap": slow, "decodes_per_s": 0.5}) == "no setting at 0.5 per s"


def test_only_what_a_reference_is_held_against_is_said_and_a_report_is_plain_json():
    asked = []
    ways = judged([Point(speaking(*once_per_segment(1.5)), {"threshold": 0.1})])
    ways |= {"ward pooled": ways["ward"], SHIPPED: ways[ONLINE]}
    score(ways, TRUE, lambda vectors: asked.extend(vectors) or say(vectors))
    assert len(asked) == 2 * len(TRUE) * (4 + 1 + 1 + 1 + 1), "one for each reference, matching and point; the clocks made more"
    found = report(ways, TRUE, SECONDS)
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert found["references"] == 30 and found["boundaries_per_s"] == pytest.approx(24 / 180)
    assert set(found["nearest"]["cider_d"]["reduction"]) == {"ward", "ward pooled", ONLINE}


def test_references_are_the_true_segments_as_far_as_embeddings_reach():
    stream = Stream(5, 30.0)
    edges_s = [*(g.start_s for g in stream.segments), 30.0]
    last = (edges_s[-3] + edges_s[-2]) / 2  # embeddings end within the segment before the last
    seen = RecordedEmbeddings(np.array([1.4, 5.0, last]), np.eye(3, dtype=np.float32))
    got = references([stream, stream], [seen, seen])
    assert len(got) == 2 * (len(stream.segments) - 1) and {r.stream for r in got} == {0, 1}
    assert got[0].start_s == 1.4 and got[0].time_s == pytest.approx((1.4 + edges_s[1]) / 2) and got[-1].end_s == last
    assert [r.start_s for r in got[1 : len(stream.segments) - 1]] == edges_s[1:-2]
    assert got[0].text.startswith("the lamp is") and "." not in got[0].text


class Decoder:
    """Says a vector's first number; counts what it was asked."""

    sha256 = "one"

    def __init__(self) -> None:
        self.asked = 0

    def decode_full(self, vectors_ND: np.ndarray) -> list:
        self.asked += len(vectors_ND)
        return [SimpleNamespace(text=f"{v[0]:g}") for v in vectors_ND]


def test_texts_are_kept_and_a_torn_last_line_is_said_again(tmp_path):
    file, first = tmp_path / "texts.jsonl", Decoder()
    vectors = np.array([[1, 0], [2, 0], [1, 0], [3, 0]], np.float32)
    assert Said(first, file).of(vectors) == ["1", "2", "1", "3"] and first.asked == 3
    file.write_text(file.read_text()[:-5])  # killed while it wrote the third
    for expected in (1, 0):
        again = Decoder()
        assert Said(again, file).of(vectors) == ["1", "2", "1", "3"] and again.asked == expected
    other = Decoder()
    other.sha256 = "two"
    assert Said(other, file).of(vectors[:1]) == ["1"] and other.asked == 1, "another checkpoint may say otherwise"


@pytest.fixture
def pictures(monkeypatch) -> list[float]:
    """The moments at which pictures were taken; they show nothing but the time."""
    taken: list[float] = []

    @contextmanager
    def camera(self, width=640, height=480):
        def picture(t: float) -> np.ndarray:
            taken.append(t)
            return np.full((32, 32, 3), int(t * 10) % 256, np.uint8)

        yield picture

    monkeypatch.setattr(Stream, "camera", camera)
    return taken


def test_streams_are_watched_once_and_only_where_clips_look(tiny_checkpoint, tmp_path, pictures):
    model = VLJEPA.from_pretrained(tiny_checkpoint)
    worlds, folder = Worlds(seed=3, seconds=6.0, stride_s=0.4), tmp_path / "streams"
    recorded = Recordings(model, worlds, folder).watch(2)
    assert 2 * 6 * 15 > len(pictures) > 2 * len(recorded[0].stamps_s)
    assert np.allclose(np.diff(recorded[0].stamps_s), 0.4, atol=0.1) and 5.5 < recorded[0].stamps_s[-1] < 6
    assert np.allclose(np.linalg.norm(recorded[0].vectors_TD, axis=1), 1, atol=1e-5)
    (folder / "stream_001.npz").unlink()
    (folder / "stream_001.part").write_bytes(b"half")  # of a run that was killed while it wrote
    both = len(pictures)
    again = Recordings(model, worlds, folder).watch(3)
    assert len(pictures) == 2 * both, "the second anew and a third, the first as it was"
    for one, two in zip(recorded, again):
        assert np.array_equal(one.vectors_TD, two.vectors_TD) and np.array_equal(one.stamps_s, two.stamps_s)
    assert sorted(p.name for p in folder.iterdir()) == [f"stream_00{i}.npz" for i in range(3)]


def test_streams_of_other_worlds_or_checkpoints_are_an_error_that_names_the_folder(tiny_checkpoint, tmp_path, pictures):
    model = VLJEPA.from_pretrained(tiny_checkpoint)
    Recordings(model, Worlds(seconds=4.0), tmp_path).watch(1)
    with pytest.raises(ValueError, match=r"seed 1, asked for is 2: remove .*" + tmp_path.name):
        Recordings(model, Worlds(seed=2, seconds=4.0), tmp_path).watch(1)
    model.sha256 = "of another"
    with pytest.raises(ValueError, match="asked for is of another"):
        Recordings(model, Worlds(seconds=4.0), tmp_path).watch(1)
    with pytest.raises(ValueError, match="shorter than a clip"):
        Recordings(model, Worlds(seconds=0.5), tmp_path / "short").watch(1)


def test_worlds_are_those_of_no_other_evaluation_and_half_are_busy():
    streams = [Worlds(seed=1, seconds=10.0).stream(n) for n in range(40)]
    assert len({s.seed for s in streams}) == 40 and all(s.split == "eval" for s in streams)
    assert 10 <= sum(s.busy for s in streams) <= 30 and min(s.seed for s in streams) >= 100_003 + recordings.FIRST_WORLD


@pytest.mark.render
def test_the_whole_command_leaves_a_report_and_a_figure_and_goes_on_where_it_was(tiny_checkpoint, tmp_path, monkeypatch, capsys):
    pytest.importorskip("mujoco")
    file, picture = tmp_path / "report.json", tmp_path / "figure.png"
    asked = ["--checkpoint", str(tiny_checkpoint), "--seed", "2", "--streams", "2", "--seconds", "12", "--json", str(file)]
    command.main([*asked, "--figure", str(picture)])
    found = json.loads(file.read_text())
    assert found["streams"] == 2 and found["references"] >= 4 and picture.read_bytes()[:4] == b"\x89PNG"
    for matching in ("nearest", "latest"):
        for measure in MEASURES:
            part = found[matching][measure]
            assert [len(part["ways"][name]) for name in ("uniform", "uniform pooled", "ward", "ward pooled")] == [11] * 4
            assert part["ways"]["uniform"][1]["decodes_per_s"] == pytest.approx(1, abs=0.06)
    said = capsys.readouterr().out
    assert said.count("as much as a clock of 1 per s") == 2 * 2 * 4

    def blind(*_):
        raise AssertionError("the second run draws nothing")

    monkeypatch.setattr(Stream, "camera", blind)
    command.main(asked)
    again = json.loads(file.read_text())
    assert {k: v for k, v in again.items() if k != "took_s"} == {k: v for k, v in found.items() if k != "took_s"}
    with pytest.raises(SystemExit, match="remove"):
        command.main([*asked[:3], "5", *asked[4:]])
    with pytest.raises(SystemExit, match="5 to 2"):
        command.main([*asked, "--gap", "5", "2"])
    with pytest.raises(SystemExit, match="nowhere"):
        command.main([*asked[2:], "--checkpoint", str(tmp_path / "nowhere")])
    for wrong in (["--streams", "0"], ["--figure", "curves.mp4"]):
        with pytest.raises(SystemExit):
            command.main([*asked, *wrong])
    assert {p.name for p in tmp_path.iterdir()} == {"report.json", "report_streams", "figure.png"}
