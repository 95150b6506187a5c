# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Classification folders: `ROOT/CLASS/FILE`, pictures or videos; the folder's name is what is seen."""

from __future__ import annotations

from pathlib import Path

from .media import PICTURES, VIDEOS, Shape, clip, picture
from .sample import BrokenSampleError, ListSource, Sample, Share


def folders(root: Path, shape: Shape, query: str, text: str = "{}", seed: int = 0, share: Share = Share()) -> ListSource:
    """`text`: a template of the target, "{}" stands for the class, its underscores as spaces. ValueError for no files."""
    files = sorted(one for one in root.glob("*/*") if one.is_file() and not one.name.startswith("."))

    def load(k: int) -> Sample:
        file = files[k]
        ending, target = file.suffix[1:].lower(), text.format(file.parent.name.replace("_", " "))
        if ending in PICTURES:
            frames = picture(file, shape.size)
        elif ending in VIDEOS:
            frames = clip(file, shape)
        else:
            raise BrokenSampleError("no picture or video", file.name)
        return Sample(frames, query, target, root.name, str(file.relative_to(root)))

    return ListSource(root.name, [str(one.relative_to(root)) for one in files], load, seed, share)
