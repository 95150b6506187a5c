# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Videos with sentences, as MSR-VTT publishes them: one JSON of `videos` and `sentences`, a folder of `VIDEO_ID.mp4`."""

from __future__ import annotations

import json
from pathlib import Path

from .media import Shape, clip
from .sample import ListSource, Sample, Share, text_of


def msrvtt(
    file: Path, videos: Path, shape: Shape, query: str, split: str = "train", seed: int = 0, share: Share = Share()
) -> ListSource:
    """One record per sentence. The videos are those already cut to "start time" and "end time". ValueError for another file."""
    try:
        known = json.loads(file.read_text())
        ids = {one["video_id"] for one in known["videos"] if one["split"] == split}
        sentences = [one for one in known["sentences"] if one["video_id"] in ids]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{file} has no `videos` and `sentences` as MSR-VTT has ({type(error).__name__}: {error})") from None

    def load(k: int) -> Sample:
        one = sentences[k]
        target = text_of(one.get("caption"))
        return Sample(clip(videos / f"{one['video_id']}.mp4", shape), query, target, file.name, str(one.get("sen_id", k)))

    return ListSource(file.name, [str(one.get("sen_id", k)) for k, one in enumerate(sentences)], load, seed, share)
