# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Questions about pictures: GQA's JSON (by question id: imageId, question, answer) and LLaVA's (a list of conversations)."""

from __future__ import annotations

import json
from pathlib import Path

from .media import Shape, picture
from .sample import BrokenSampleError, ListSource, Sample, Share, text_of

MARK = "<image>"  # where LLaVA's first turn has its picture


def gqa(file: Path, images: Path, shape: Shape, seed: int = 0, share: Share = Share()) -> ListSource:
    """One record per question; the picture is `images/IMAGEID.jpg`. ValueError for another file."""
    known = _read(file, dict, "GQA's, which is an object of questions by id")
    keys = sorted(known)

    def load(k: int) -> Sample:
        one = known[keys[k]]
        if not isinstance(one, dict) or "imageId" not in one:
            raise BrokenSampleError("no picture named", str(one)[:80])
        query, target = text_of(one.get("question"), "no question"), text_of(one.get("answer"), "no answer")
        return Sample(picture(images / f"{one['imageId']}.jpg", shape.size), query, target, file.name, keys[k])

    return ListSource(file.name, keys, load, seed, share)


def llava(file: Path, images: Path, shape: Shape, seed: int = 0, share: Share = Share()) -> ListSource:
    """One record per turn of a person and its answer. Conversations without a picture count as broken. ValueError."""
    known = _read(file, list, "LLaVA's, which is a list of conversations")
    turns = [(k, t) for k, one in enumerate(known) for t in range(max(1, len(_said(one)) // 2))]

    def load(i: int) -> Sample:
        k, t = turns[i]
        said = _said(known[k])
        if not known[k].get("image"):
            raise BrokenSampleError("no picture named", str(known[k].get("id")))
        human, gpt = said[2 * t : 2 * t + 2] if len(said) >= 2 * t + 2 else ({}, {})
        if (human.get("from"), gpt.get("from")) != ("human", "gpt"):
            raise BrokenSampleError("bad conversation", f"{human.get('from')}, {gpt.get('from')}")
        query = text_of(str(human.get("value", "")).replace(MARK, " "), "no question")
        target = text_of(gpt.get("value"), "no answer")
        return Sample(picture(images / known[k]["image"], shape.size), query, target, file.name, key(i))

    def key(i: int) -> str:
        k, t = turns[i]
        return f"{known[k].get('id', k) if isinstance(known[k], dict) else k}/{t}"

    return ListSource(file.name, [key(i) for i in range(len(turns))], load, seed, share)


def _said(one: object) -> list[dict]:
    return one.get("conversations") or [] if isinstance(one, dict) else []


def _read(file: Path, kind: type, whose: str):
    try:
        known = json.loads(file.read_text())
    except ValueError as error:
        raise ValueError(f"{file} is no JSON: {error}") from None
    if not isinstance(known, kind):
        raise ValueError(f"{file} is not {whose}")
    return known
