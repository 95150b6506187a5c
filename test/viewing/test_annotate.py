# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Pictures with what is understood of them: legible, inside their panels, and whatever there is to be drawn."""
from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vljepa_ros.viewing.annotate import Bars, Words, age, annotate, facts
from vljepa_ros.viewing.fonts import Fonts
from vljepa_ros.viewing.style import Box, Sizes
from vljepa_ros.viewing.understanding import History, Understanding

FONTS = Fonts()
AGO_S = np.arange(19.9, -0.05, -0.1)
HISTORY = History(20.0, AGO_S, np.where(AGO_S < 3, 0.6, 0.05), np.full(len(AGO_S), 0.2), (AGO_S < 9).astype(int), (3.0,))
KNOWN = Understanding(
    text="The lamp is on. The drawer is open.", confidence=0.87, segment=12, age_s=3.4, novelty=0.42,
    similarities=(("The lamp is on.", 0.83), ("The lamp is off.", -0.2)), history=HISTORY,
)
SIZES = [(240, 320), (480, 640), (1080, 1920), (640, 360)]


def grey(height: int, width: int, value: int = 128) -> np.ndarray:
    return np.full((height, width, 3), value, np.uint8)


def panels(height: int, width: int, known: Understanding) -> dict[str, Box]:
    made = {"words": Words(height, width, known, FONTS), "bars": Bars(height, width, known, FONTS)}
    return {name: panel.box for name, panel in made.items() if panel.box is not None}


def part(image: np.ndarray, box: Box) -> np.ndarray:
    return image[box.top : box.bottom, box.left : box.right]


@pytest.mark.parametrize("height, width", SIZES)
@pytest.mark.parametrize("value", [0, 255])
def test_both_panels_are_lettered_and_nothing_else_is_touched(height: int, width: int, value: int) -> None:
    image = grey(height, width, value)
    before = image.copy()
    drawn = annotate(image, KNOWN, FONTS)
    assert drawn.shape == image.shape and drawn.dtype == np.uint8 and np.array_equal(image, before)
    boxes = panels(height, width, KNOWN)
    assert set(boxes) == {"words", "bars"}
    outside = np.ones((height, width), bool)
    for box in boxes.values():
        outside[box.top : box.bottom, box.left : box.right] = False
        inside = part(drawn, box).min(axis=2)
        ground = np.median(inside)
        assert ground < 80, "dark enough for white letters, over a white wall too"
        assert 0.002 < np.mean(inside > 170) < 0.2, "some of it is letters, most of it is not"
    assert outside.mean() > 0.4
    assert np.array_equal(drawn[outside], image[outside])


@pytest.mark.parametrize("height, width", SIZES)
def test_letters_grow_with_the_picture_and_stay_inside_the_band(height: int, width: int) -> None:
    sizes = Sizes.of(height, width)
    assert sizes.text >= 11 and sizes.small >= 10
    assert sizes.text == pytest.approx(0.031 * min(height, 0.75 * width), abs=1) or sizes.text == 11
    box = panels(height, width, replace(KNOWN, text="W" * 3000))["words"]
    drawn = part(annotate(grey(height, width), replace(KNOWN, text="W" * 3000), FONTS), box)
    letters = np.argwhere(drawn.min(axis=2) > 200)
    edge = sizes.pad // 2
    assert letters[:, 1].min() >= edge and letters[:, 1].max() < width - edge and box.bottom - box.top <= height // 2


@pytest.mark.parametrize(
    "text", ["Die Lampe ist geöffnet – völlig", "Лампа включена", "Η λάμπα είναι αναμμένη", "½ × ∞ → ≤ ✓", "المصباح مضاء"]
)
def test_letters_beyond_ascii_are_drawn_as_themselves(text: str) -> None:
    def band(words: str) -> np.ndarray:
        known = Understanding(text=words)
        return part(annotate(grey(120, 400), known, FONTS), panels(120, 400, known)["words"])

    drawn = band(text)
    asked, missing = band("".join("?" if ord(letter) > 127 else letter for letter in text)), band("\U000f0000" * len(text))
    assert not np.array_equal(drawn, asked) and not np.array_equal(drawn, missing)
    letters = [letter for letter in text if ord(letter) > 127]
    looks = {FONTS.at(20).getmask(letter).getbbox() and bytes(FONTS.at(20).getmask(letter)) for letter in letters}
    assert bytes(FONTS.at(20).getmask("\U000f0000")) not in looks, "DejaVu has all of these"


def test_a_font_of_the_users_own(tmp_path) -> None:
    from vljepa_ros.viewing.fonts import shipped

    assert Fonts(shipped("DejaVuSerif.ttf")).width("The lamp", 20) != FONTS.width("The lamp", 20)
    with pytest.raises(ValueError, match="nowhere.ttf"):
        Fonts(str(tmp_path / "nowhere.ttf"))


def test_what_is_to_be_doubted_looks_so() -> None:
    plain, doubted = (annotate(grey(480, 640), one, FONTS) for one in (KNOWN, replace(KNOWN, familiar=False, novelty=1.7)))

    def amber(image: np.ndarray) -> int:
        band = part(image, panels(480, 640, KNOWN)["words"]).astype(int)
        rows = band[: len(band) // 2 + 8]  # above the strip, which is amber where segments begin
        return int(np.sum((rows[..., 0] > 200) & (rows[..., 2] < 130)))

    assert amber(plain) == 0 < amber(doubted)


def test_figures_in_words() -> None:
    assert [text for text, _ in facts(KNOWN)] == ["87 % sure", "for 3.4 s", "segment 12", "novelty 0.42"]
    assert [text for text, _ in facts(replace(KNOWN, familiar=False, current=False))][:2] == ["unfamiliar", "before the change"]
    assert facts(Understanding()) == []
    ages = {0.0: "0.0 s", 59.94: "59.9 s", 61: "1:01 min", 3599: "59:59 min", 3600: "1:00 h", 90061: "25:01 h"}
    assert {seconds: age(seconds) for seconds in ages} == ages


def test_a_bar_is_as_long_as_its_cosine() -> None:
    def lit(cosine: float | None) -> int:
        known = Understanding(similarities=(("a", cosine),))
        card = part(annotate(grey(480, 640, 0), known, FONTS), panels(480, 640, known)["bars"]).astype(int)
        return int(np.sum((card[..., 2] - card[..., 0] > 60).any(axis=0)))

    full = lit(1.0)
    assert full > 100 and lit(0.5) == pytest.approx(full / 2, abs=2) and lit(-0.5) == lit(None) == lit(0.0) == 0


def test_more_texts_than_fit_are_counted_and_the_card_stays_in_its_half() -> None:
    known = Understanding(similarities=tuple((f"text {i}", i / 40) for i in range(40)))
    bars = Bars(240, 320, known, FONTS)
    assert 1 <= len(bars._shown) < 40 and bars._more == f"and {40 - len(bars._shown)} more"
    assert bars._shown == list(known.similarities[-len(bars._shown) :]), "the nearest ones"
    assert bars.box.bottom <= 120 and bars.box.right <= 160


def test_a_change_is_a_stroke_where_it_happened() -> None:
    def strokes(ago_s: float) -> np.ndarray:
        known = Understanding(history=replace(HISTORY, distance=HISTORY.threshold / 4, changes_ago_s=(ago_s,)))
        band = part(annotate(grey(480, 640, 0), known, FONTS), panels(480, 640, known)["words"]).astype(int)
        return np.flatnonzero(((band[..., 0] - band[..., 2]) > 100).sum(axis=0) > 5)

    pad = Sizes.of(480, 640).pad
    for ago_s in (0.0, 5.0, 20.0):
        (column,) = strokes(ago_s)
        assert column == pytest.approx(pad + (1 - ago_s / 20) * (639 - 2 * pad), abs=2)


@pytest.mark.parametrize("size", [(1, 1), (1, 500), (500, 1), (16, 16), (30, 40), (64, 48)])
def test_pictures_too_small_for_letters_stay_as_they_are(size: tuple[int, int]) -> None:
    image = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    boxes = panels(*size, KNOWN)
    drawn = annotate(image, KNOWN, FONTS)
    assert drawn.shape == image.shape
    assert np.array_equal(drawn, image) or boxes
    assert "bars" not in boxes or size[1] > 60


@pytest.mark.parametrize("image", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 4), np.uint8), np.zeros((4, 4, 3), np.float32)])
def test_what_is_no_picture_is_named(image: np.ndarray) -> None:
    with pytest.raises(ValueError, match=str(image.dtype)):
        annotate(image, KNOWN, FONTS)


def test_a_view_with_reversed_channels_is_a_picture() -> None:
    image = np.random.default_rng(0).integers(0, 256, (240, 320, 3), dtype=np.uint8)[..., ::-1]
    assert np.array_equal(annotate(image, KNOWN, FONTS), annotate(image.copy(), KNOWN, FONTS))


numbers = st.floats(-1e6, 1e6) | st.sampled_from([float("nan"), float("inf"), float("-inf")])


@st.composite
def histories(draw: st.DrawFn) -> History:
    n = draw(st.integers(0, 30))
    seconds = draw(st.floats(1.0, 600.0))
    ago_s = np.sort(draw(st.lists(st.floats(0, seconds), min_size=n, max_size=n)))[::-1]
    distance, threshold = (np.array(draw(st.lists(st.floats(0, 1e4), min_size=n, max_size=n))) for _ in range(2))
    epoch = np.sort(np.array(draw(st.lists(st.integers(0, 5), min_size=n, max_size=n)), int))
    return History(seconds, ago_s, distance, threshold, epoch, tuple(draw(st.lists(st.floats(0, seconds), max_size=3))))


@settings(max_examples=60, deadline=None)
@given(
    size=st.tuples(st.integers(1, 400), st.integers(1, 400)),
    known=st.builds(
        Understanding, text=st.text(max_size=300), current=st.booleans(), confidence=st.none() | st.floats(0, 1),
        familiar=st.booleans(), segment=st.none() | st.integers(0, 2**32), age_s=st.none() | st.floats(0, 1e7),
        novelty=st.none() | numbers, history=histories(), note=st.text(max_size=90),
        similarities=st.lists(st.tuples(st.text(max_size=80), st.none() | st.floats(-1, 1)), max_size=9).map(tuple),
    ),
)  # fmt: skip
def test_whatever_is_known_of_whatever_picture(size: tuple[int, int], known: Understanding) -> None:
    image = grey(*size)
    drawn = annotate(image, known, FONTS)
    assert drawn.shape == image.shape and drawn.dtype == np.uint8
    outside = np.ones(size, bool)
    for box in panels(*size, known).values():
        assert 0 <= box.left < box.right <= size[1] and 0 <= box.top < box.bottom <= size[0]
        outside[box.top : box.bottom, box.left : box.right] = False
    assert np.array_equal(drawn[outside], image[outside])
