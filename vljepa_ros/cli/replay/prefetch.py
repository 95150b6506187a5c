# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""An iterator that runs ahead in a thread of its own: reading and decoding overlap with the network."""
from __future__ import annotations

import queue
import threading
from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")

_END = object()


def prefetch(items: Iterable[T], ahead: int = 8) -> Iterator[T]:
    """The same items in the same order, at most `ahead` of them made early. What the iterator raises is raised here.

    Closed early, it ends its thread before it returns, so nothing is read behind anybody's back.
    """
    inbox: queue.Queue = queue.Queue(ahead)
    stop = threading.Event()
    failure: list[BaseException] = []

    def put(item: object) -> None:
        while not stop.is_set():
            try:
                return inbox.put(item, timeout=0.1)
            except queue.Full:
                continue

    def work() -> None:
        try:
            for item in items:
                put(item)
                if stop.is_set():
                    break
        except BaseException as error:  # noqa: BLE001  raised again where the items are taken
            failure.append(error)
        finally:
            put(_END)

    thread = threading.Thread(target=work, name="prefetch", daemon=True)
    thread.start()
    try:
        while (item := inbox.get()) is not _END:
            yield item
        if failure:
            raise failure[0]
    finally:
        stop.set()
        thread.join()
