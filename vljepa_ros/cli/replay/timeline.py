# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The timeline of the page: film, truth, distance curve and words over one axis, wide enough to read and scrolled sideways.

Places are pixels from the left. Long streams are drawn closer, so that a day does not become a kilometre.
"""
from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass

import numpy as np

from vljepa_ros.cli.replay import charts
from vljepa_ros.cli.replay.session import Session
from vljepa_ros.cli.story import Row, news, true_pieces
from vljepa_ros.evaluation.recorded.cameras import Thumb

PER_S, LEAST_PER_S = 30.0, 4.0  # pixels per second
WIDEST = 24_000.0  # pixels
NARROWEST = 1160.0  # what a desktop shows at once
CURVE_HIGH = 96.0
FILM_HIGH = 78.0


@dataclass(frozen=True)
class Place:
    """Something on the track."""

    left: float
    width: float
    text: str
    target: str  # id of the card it belongs to
    odd: bool = False
    verdict: str = ""


@dataclass(frozen=True)
class Shot:
    """A picture on the film strip or on a card."""

    src: str
    alt: str
    left: float = 0.0
    width: int = 0
    height: int = 0


class Timeline:
    """Everything that the page shows of one stream's track."""

    def __init__(self, session: Session, rows: list[Row], key: str) -> None:
        """`key`: prefix of the ids of this stream's cards."""
        self.session, self.rows = session, rows
        seconds = max(session.seconds, 1.0)
        self.per_s = max(min(PER_S, WIDEST / seconds), LEAST_PER_S, NARROWEST / seconds)
        self.width = seconds * self.per_s
        self.high = CURVE_HIGH
        self.film = self._film()
        self.said = self._said(key)
        self.truth = self._truth(key)
        self.ticks = charts.time_ticks(0.0, seconds, int(self.width / 90))
        self._draw(seconds)

    def shot(self, t_s: float, what: str) -> Shot | None:
        """The picture taken nearest to a moment."""
        thumbs = self.session.camera.thumbs
        if not thumbs:
            return None
        times = np.array([self._at(one) for one in thumbs])
        one = thumbs[int(np.argmin(np.abs(times - t_s)))]
        return Shot(_src(one), f"{what} at {charts.clock(t_s)}", width=one.width, height=one.height)

    def _at(self, thumb: Thumb) -> float:
        return self.session.clock.seconds(thumb.stamp_ns, thumb.epoch)

    def _film(self) -> list[Shot]:
        thumbs = self.session.camera.thumbs
        if not thumbs:
            return []
        times = np.array([self._at(one) for one in thumbs])
        place = FILM_HIGH * thumbs[0].width / thumbs[0].height + 3
        count = max(1, int(self.width // place))
        out = []
        for k in range(count):
            middle = (k + 0.5) / count * self.width / self.per_s
            nearest = int(np.argmin(np.abs(times - middle)))
            if abs(times[nearest] - middle) <= 2.0 + place / self.per_s:
                out.append(Shot(_src(thumbs[nearest]), f"Camera at {charts.clock(times[nearest])}", k / count * self.width))
        return out

    def _said(self, key: str) -> list[Place]:
        shown = [(k, row) for k, row in enumerate(self.rows) if row.detected is not None]
        ends = [row.detected.start_s for _, row in shown[1:]] + [self.session.seconds]
        out = []
        for (k, row), end_s in zip(shown, ends):
            heard = row.detected.text
            pieces = [] if heard is None else news(heard.what.text, row.said_before)
            new = " ".join(words for words, is_new in pieces if is_new) or " ".join(words for words, _ in pieces)
            odd = heard is None or not heard.what.familiar
            out.append(self._place(row.detected.start_s, end_s, new or "(nothing said)", f"{key}{k}", odd,
                                   row.verdict(self.session.recording.truth_known)))  # fmt: skip
        return out

    def _truth(self, key: str) -> list[Place]:
        recording = self.session.recording
        starts = [recording.seconds(one.start_ns) for one in recording.truth]
        cards = {id(row.truth): (k, row) for k, row in enumerate(self.rows) if row.truth is not None}
        out = []
        for one, start_s, end_s in zip(recording.truth, starts, [*starts[1:], self.session.seconds]):
            if start_s < self.session.seconds:
                k, row = cards.get(id(one), (0, None))
                missed = row is not None and row.verdict(True) == "missed"
                words = true_pieces(one)[0][0] or one.event
                out.append(self._place(max(start_s, 0.0), end_s, words, f"{key}{k}", verdict="missed" if missed else ""))
        return out

    def _place(self, start_s: float, end_s: float, text: str, target: str, odd: bool = False, verdict: str = "") -> Place:
        return Place(start_s * self.per_s, max(3.0, (end_s - start_s) * self.per_s - 2), text, target, odd, verdict)

    def _draw(self, seconds: float) -> None:
        session = self.session
        t, breaks = session.t_s, np.flatnonzero(np.diff(session.epochs)) + 1
        # The square root of a merge cost goes with the distance between means: quiet stretches stay visible beside great changes.
        costs = session.result.distances, session.result.thresholds
        distance, threshold = (np.sqrt(np.maximum(np.asarray(one, float), 0)) for one in costs)
        top = 1.12 * max([1e-3, *distance, *(1.3 * threshold)])
        box = ((0.0, seconds), (0.0, top))
        self.area = charts.area(t, distance, *box, breaks, self.width, CURVE_HIGH)
        self.line = charts.line(t, distance, *box, breaks, self.width, CURVE_HIGH)
        self.threshold = charts.line(t, threshold, *box, breaks, self.width, CURVE_HIGH)
        self.overview_area = charts.area(t, distance, *box, breaks)
        self.overview_threshold = charts.line(t, threshold, *box, breaks)
        self.found = [round(s * self.per_s, 1) for s in session.recording.boundaries_s()]
        self.true = [round(s * self.per_s, 1) for s in session.recording.true_boundaries_s()]


def _src(thumb: Thumb) -> str:
    return "data:image/jpeg;base64," + b64encode(thumb.jpeg).decode()
