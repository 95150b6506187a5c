# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Long tabletop streams, watched once and kept: embeddings of every clip, and what the Y-Decoder says of a vector.

Drawing and embedding forty streams of three minutes takes an hour; so every stream is a file of its own, written whole or not at
all, and a run that was ended goes on where it was. Only pictures that a clip shows are drawn. A folder belongs to one checkpoint
and one set of worlds: files of another are an error, not a surprise.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np
from tqdm import tqdm

from vljepa_ros.evaluation.selective import RecordedEmbeddings
from vljepa_ros.evaluation.sparse import SparseClips
from vljepa_ros.evaluation.stream import StreamResult, run_clips
from vljepa_ros.model import VLJEPA
from vljepa_ros.streaming import Clip, ClipParams

from ..tabletop.stream import Stream

NS = 1_000_000_000
START_NS = 1_700_000_000 * NS
FPS = 15.0  # of the camera
FIRST_WORLD = 70_000  # of a seed; other evaluations have those below
DECODE_BATCH = 128


@dataclass(frozen=True)
class Worlds:
    """Which streams: of the kind that `evals/streams.py` has, but long. `stride_s`: seconds between embeddings."""

    seed: int = 1
    seconds: float = 180.0
    gap_s: tuple[float, float] = (2.0, 10.0)
    stride_s: float = 0.2

    def __post_init__(self) -> None:
        if not 0 < self.gap_s[0] <= self.gap_s[1]:
            raise ValueError(f"gap_s must be above 0 and ascend, got {self.gap_s[0]:g} to {self.gap_s[1]:g}")

    def stream(self, number: int) -> Stream:
        return Stream(self.seed * 100_003 + FIRST_WORLD + number, self.seconds, gap_s=self.gap_s)


class Recordings:
    """The streams of `worlds` as `model` sees them, in `folder`. Stamps are seconds of the stream."""

    def __init__(self, model: VLJEPA, worlds: Worlds, folder: Path) -> None:
        self._model, self.worlds, self._folder = model, worlds, folder
        folder.mkdir(parents=True, exist_ok=True)
        self._said = Said(model, folder / "texts.jsonl")

    def watch(self, count: int) -> list[RecordedEmbeddings]:
        """The first `count` streams, those in the folder as they are. ValueError where it holds others than asked for."""
        per_stream = int(self.worlds.seconds / self.worlds.stride_s)
        found = [self._read(number) for number in range(count)]
        missing = [number for number, one in enumerate(found) if one is None]
        done = count - len(missing)
        with tqdm(total=count * per_stream, initial=done * per_stream, desc="embed", unit="clip", mininterval=2.0) as bar:
            for number in missing:
                bar.set_postfix_str(f"stream {number + 1} of {count}")
                found[number] = self._watch(number, bar.update)
                done += 1
                bar.update(done * per_stream - bar.n)  # no clip covers a stream's first second
        return found

    def say(self, vectors_ND: np.ndarray) -> list[str]:
        """One text per vector; equal vectors are decoded once."""
        return self._said.of(vectors_ND)

    def _facts(self, number: int) -> dict:
        """What a file must have been made from; the segments stand for the world's code, which changes."""
        segments = self.worlds.stream(number).segments
        world = hashlib.sha256(repr(segments).encode()).hexdigest()[:16]
        return {"checkpoint": self._model.sha256, **asdict(self.worlds), "fps": FPS, "number": number, "world": world}

    def _file(self, number: int) -> Path:
        return self._folder / f"stream_{number:03d}.npz"

    def _read(self, number: int) -> RecordedEmbeddings | None:
        file = self._file(number)
        if not file.exists():
            return None
        with np.load(file) as kept:
            facts, asked = json.loads(str(kept["facts"])), json.loads(json.dumps(self._facts(number)))
            if other := [key for key in asked if facts.get(key) != asked[key]]:
                raise ValueError(
                    f"{file} was made with {other[0]} {facts.get(other[0])}, asked for is {asked[other[0]]}: "
                    f"remove {file.parent}, or give the report another name"
                )
            return RecordedEmbeddings(kept["stamps_s"], kept["vectors_TD"])

    def _watch(self, number: int, tick: Callable[[], object]) -> RecordedEmbeddings:
        result = run_clips(self._clips(self.worlds.stream(number), tick), self._model, StreamResult(), words=False)
        if not result.embeddings:
            raise ValueError(f"streams of {self.worlds.seconds} s are shorter than a clip: ask for more seconds")
        recorded = RecordedEmbeddings(
            np.array([(one.stamp_ns - START_NS) / NS for one in result.embeddings]),
            np.stack([one.vector_D for one in result.embeddings]),
        )
        beside = self._file(number).with_suffix(".part")
        with beside.open("wb") as file:
            np.savez(file, stamps_s=recorded.stamps_s, vectors_TD=recorded.vectors_TD, facts=json.dumps(self._facts(number)))
        beside.replace(self._file(number))
        return recorded

    def _clips(self, stream: Stream, tick: Callable[[], object]) -> Iterator[Clip]:
        config = self._model.config
        params = ClipParams(stride_s=self.worlds.stride_s)
        clips = SparseClips(params, config.vision.frames, config.clip_period_s, config.preprocess.image_size)
        with stream.camera() as picture:
            for t in (k / FPS for k in range(int(stream.seconds * FPS))):
                clip = clips.push(START_NS + round(t * NS), "camera", partial(picture, t))
                if clip is not None:
                    yield clip
                    tick()


class Said:
    """What a decoder says of vectors, kept in a file of one JSON line per vector, to which a run adds as it goes."""

    def __init__(self, model: VLJEPA, file: Path) -> None:
        self._model, self._file = model, file
        self._texts: dict[str, str] = {}
        kept = file.read_text() if file.exists() else ""
        whole = kept[: kept.rfind("\n") + 1]
        if whole != kept:  # a run was killed while it wrote
            file.write_text(whole)
        for row in map(json.loads, whole.splitlines()):
            self._texts[row["vector"]] = row["text"]

    def of(self, vectors_ND: np.ndarray) -> list[str]:
        """Decodes what is not known yet, in large batches."""
        keys = [self._key(vector_D) for vector_D in vectors_ND]
        new = {key: vector_D for key, vector_D in zip(keys, vectors_ND) if key not in self._texts}
        distinct, waiting = len(set(keys)), list(new)
        with (
            self._file.open("a") as file,
            tqdm(total=distinct, initial=distinct - len(new), desc="decode", unit="text", mininterval=2.0) as bar,
        ):
            for at in range(0, len(waiting), DECODE_BATCH):
                batch = waiting[at : at + DECODE_BATCH]
                texts = [one.text for one in self._model.decode_full(np.stack([new[key] for key in batch]))]
                self._texts.update(zip(batch, texts))
                file.write("".join(json.dumps({"vector": key, "text": text}) + "\n" for key, text in zip(batch, texts)))
                file.flush()
                bar.update(len(batch))
        return [self._texts[key] for key in keys]

    def _key(self, vector_D: np.ndarray) -> str:
        exact = np.ascontiguousarray(vector_D, np.float32).tobytes()
        return hashlib.sha256(self._model.sha256.encode() + exact).hexdigest()[:32]
