# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Between tracker and file: writes what came, tries again what could not be written, keeps the index in step.

What a full disk refuses stays here, each segment in its newest version, and goes out with the first write that succeeds. Belongs
to one thread.
"""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import replace

import cv2
import numpy as np

from vljepa_ros.memory.index import VectorIndex
from vljepa_ros.memory.store import SegmentStore
from vljepa_ros.memory.tracker import Entry, Stray

log = logging.getLogger(__name__)

BACKLOG = 1000  # segments that wait for a disk that takes them again; a few MiB
KNOWN = 128  # segments whose rows are remembered, for words that come late
JPEG_QUALITY = 80


def thumbnail(image_HWC: np.ndarray, width: int) -> bytes:
    """A small JPEG of an RGB image, of that width at the most."""
    height_px, width_px = image_HWC.shape[:2]
    image_BGR = np.ascontiguousarray(image_HWC[..., ::-1])
    if width_px > width:
        size = (width, max(1, round(height_px * width / width_px)))
        image_BGR = cv2.resize(image_BGR, size, interpolation=cv2.INTER_AREA)
    done, jpeg = cv2.imencode(".jpg", image_BGR, (cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY))
    if not done:
        raise ValueError(f"an image of {width_px} x {height_px} pixels could not be turned into a JPEG")
    return jpeg.tobytes()


class Recorder:
    """`drops` counts what is lost: write_error (segments), no_segment (texts), picture."""

    CAUSES = ("write_error", "no_segment", "picture")

    def __init__(self, store: SegmentStore, index: VectorIndex, thumbnail_width: int) -> None:
        self.drops: Counter[str] = Counter(dict.fromkeys(self.CAUSES, 0))
        self._store, self._index, self._width = store, index, thumbnail_width
        self._owed: dict[int, Entry] = {}  # serial -> the newest that is to be written
        self._rows: dict[int, int] = {}  # serial -> id
        self._final: set[int] = set()  # serials that the index has for good

    @property
    def waiting(self) -> int:
        """Segments that a write has refused so far."""
        return len(self._owed)

    def take(self, what: Entry | Stray, image_HWC: np.ndarray | None = None) -> None:
        """Write it, and all that waits. Raises StoreError where the file refuses; what was to be written then waits."""
        if isinstance(what, Stray):
            self._attach(what)
            return
        picture = self._picture(image_HWC) if image_HWC is not None and self._width else b""
        before = self._owed.pop(what.serial, None)
        if not picture and before is not None:
            picture = before.segment.thumbnail
        self._owed[what.serial] = replace(what, segment=replace(what.segment, thumbnail=picture))
        while len(self._owed) > BACKLOG:
            del self._owed[min(self._owed)]
            self.drops["write_error"] += 1
        self.flush()

    def flush(self) -> None:
        """Write all that waits. Raises StoreError."""
        serials = sorted(self._owed)
        if not serials:
            return
        ids = self._store.write([(self._rows.get(serial), self._owed[serial].segment) for serial in serials])
        written, self._owed = self._owed, {}
        for serial, id_ in zip(serials, ids):
            self._rows[serial] = id_
            entry = written[serial]
            if not entry.ended:
                self._index.update(id_, entry.segment)
            elif serial not in self._final:
                self._final.add(serial)
                self._index.add(id_, entry.segment)
        for serial in sorted(self._rows)[:-KNOWN]:
            del self._rows[serial]
            self._final.discard(serial)
        through = self._store.bound()
        if through:
            self._index.forget(through)

    def _picture(self, image_HWC: np.ndarray) -> bytes:
        """A picture that cannot be made costs itself, never its segment."""
        try:
            return thumbnail(image_HWC, self._width)
        except (ValueError, cv2.error) as error:
            self.drops["picture"] += 1
            log.warning("no picture of a segment: %s", " ".join(str(error).split()))
            return b""

    def _attach(self, stray: Stray) -> None:
        text, request = stray.text, stray.text.request
        if not self._store.attach(
            request.epoch, request.segment_start_ns, text.text, text.confidence, text.familiar, text.label
        ):
            self.drops["no_segment"] += 1
