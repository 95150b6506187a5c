# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The Python face: frames, queries and texts in, vectors of norm 1 in one space out, and back to text.

    model = VLJEPA.from_pretrained("tabletop")
    vector = model.embed(frames_THWC, "Is the lamp on?")
    model.encode_text(["the lamp is on", "the lamp is off"]) @ vector
    model.decode(vector)

Shapes: T frames, H x W pixels, N visual tokens, Q queries, D the space's dimension.
"""
from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from . import checkpoint, checkpoint_writer
from .checkpoint import STEMS, TOKENIZERS, CheckpointError, Manifest
from .config import ModelConfig
from .engine import TorchEngine, make_engine
from .engines.choose import fastest
from .engines.graphs import PARTS, find
from .engines.onnx import OnnxEngine
from .familiarity import Familiarity
from .lengths import check_queries, check_texts
from .predictor import Predictor
from .preprocess import normalise, resize_frame
from .text_decoder import Candidate, TextDecoder
from .text_encoder import TextEncoder
from .tokenizer import Tokenizer
from .vision_encoder import VisionEncoder

BEAMS = 4  # texts that the Y-Encoder chooses among
MARGIN = 4.0  # nats: of texts that are less likely than the likeliest by more, the embedding means nothing
# What a nat counts beside the cosine of a text's embedding, per token of the likeliest text: of a long text a word exchanged
# changes the log-probability as much as of a short one, and the embedding less.
LOGPROB_SHARE = 0.0007


@dataclass(frozen=True)
class Decoded:
    """What the Y-Decoder says of one vector."""

    text: str
    confidence: float  # 0..1, as calibrated with the checkpoint
    familiar: bool  # of the words alone, see also `novelty`. False: less likely than anything the checkpoint was calibrated on
    logprob: float  # mean over the tokens said, the end included


class Seen(NamedTuple):
    """What one clip gave. The tokens are good for any number of `predict`."""

    vectors_QD: np.ndarray  # float32, norm 1, one per query
    novelty: float
    tokens_1ND: Tensor


class VLJEPA:
    """All parts of one checkpoint, or some of them. Not thread-safe; one thread owns a model."""

    def __init__(
        self,
        config: ModelConfig,
        vision: VisionEncoder | None = None,
        predictor: Predictor | None = None,
        text_encoder: TextEncoder | None = None,
        text_decoder: TextDecoder | None = None,
        tokenizers: Mapping[str, Tokenizer] | None = None,
        engine: TorchEngine | None = None,
        familiarity: Familiarity | None = None,
    ) -> None:
        """From parts at hand (a training run's, say), which are used as they are. `tokenizers`: "query", "text", "decoder"."""
        modules = {
            "vision": vision, "predictor": predictor, "text_encoder": text_encoder, "text_decoder": text_decoder,
            "familiarity": familiarity,
        }  # fmt: skip
        self.config = config
        self.modules: dict[str, nn.Module] = {part: module for part, module in modules.items() if module is not None}
        self.tokenizers = dict(tokenizers or {})
        self._check_tokenizers()
        if engine is None:
            tensor = next((p for m in self.modules.values() for p in m.parameters()), torch.empty(0))
            engine = TorchEngine(tensor.device, bf16=False)
        self.engine = engine
        self.sha256 = ""  # of the checkpoint it was loaded from

    @classmethod
    def from_pretrained(
        cls,
        name_or_folder: str | Path,
        device: str = "auto",
        engine: str = "auto",
        parts: Collection[str] | None = None,
        graphs: str | Path | None = None,
    ) -> VLJEPA:
        """A checkpoint folder, or a bundled one by name. `parts`: of vision, predictor, text_encoder, text_decoder; None = all.
        Vision brings the part familiarity along where the checkpoint has it. `engine`: torch, torch-bf16, onnx, onnx-int8, or
        "auto", the fastest of them that agrees with torch (engines/choose.py). `graphs`: the folder that `vljepa export` wrote;
        None = where it writes by itself.

        Every file that is read is checked against its sha256. Raises CheckpointError (one line, with the remedy), ValueError for
        an unknown part or engine.
        """
        make_engine(device, engine)  # refuses unknown names before anything is read
        if unknown := sorted(set(parts or ()) - set(STEMS)):
            raise ValueError(f"parts must be among {', '.join(STEMS)}, got {unknown[0]!r}")
        folder = checkpoint.resolve(name_or_folder)
        manifest = checkpoint.read_manifest(folder)
        wanted = [part for part in STEMS if part in (manifest.weights if parts is None else parts)]
        if "vision" in wanted and "familiarity" in manifest.weights and "familiarity" not in wanted:
            wanted.append("familiarity")
        if absent := [part for part in wanted if part not in manifest.weights]:
            raise CheckpointError(folder, f"has no part {absent[0]}", f"it has {', '.join(manifest.weights)}")

        def load(name: str, some: Collection[str]) -> VLJEPA:
            return cls._load(folder, manifest, make_engine(device, name), some, graphs)

        seeing = [part for part in wanted if part in PARTS]
        if engine == "auto" and len(seeing) == len(PARTS):
            engine = fastest(manifest, device, lambda name: load(name, seeing), graphs)
        return load(engine, wanted)

    @classmethod
    def _load(
        cls, folder: Path, manifest: Manifest, engine: TorchEngine, wanted: Collection[str], graphs: str | Path | None
    ) -> VLJEPA:
        modules, tokenizers = {}, {}
        exported = find(manifest.sha256, graphs) if isinstance(engine, OnnxEngine) and set(wanted) & set(PARTS) else None
        for part in wanted:
            if exported is not None and part in PARTS:
                modules[part] = engine.load(exported, part, manifest.config)
            else:
                modules[part] = _build(manifest.config, part)
                checkpoint.load_weights(folder, manifest, part, modules[part])
                engine.prepare(modules[part])
            if part in TOKENIZERS:
                name = TOKENIZERS[part]
                tokenizers[name] = checkpoint.load_tokenizer(folder, manifest, name)
        model = cls(manifest.config, **modules, tokenizers=tokenizers, engine=engine)
        model.space_id, model.sha256 = manifest.space_id, manifest.sha256
        return model

    @cached_property
    def space_id(self) -> str:
        """16 hex digits of the space that the vectors live in: a hash of the text encoder, or without one of the predictor."""
        part = "text_encoder" if "text_encoder" in self.modules else "predictor"
        return checkpoint_writer.space_id(self._part(part), getattr(self.config, part).to_dict(), self.dim)

    @property
    def dim(self) -> int:
        return self.config.dim

    def save_pretrained(self, folder: str | Path) -> None:
        """Write the checkpoint folder (atomically, fp16). ValueError from an engine whose weights are rounded."""
        if self.engine.rounded:
            raise ValueError(f'the engine {self.engine.name} holds rounded weights; load with engine="torch" to save')
        if "text_encoder" in self.modules:
            self.__dict__.pop("space_id", None)  # training may have moved the space since it was named
        checkpoint_writer.save_checkpoint(folder, self.config, self.modules, self.tokenizers, self.space_id)

    # frames and queries

    def encode_frames(self, frames_THWC: np.ndarray) -> Tensor:
        """uint8 RGB (T, H, W, 3) or one image (H, W, 3), of any size -> tokens_1ND, good for any number of `predict`.

        T must be the checkpoint's number of frames, or 1: a single image is repeated to the clip's shape.
        """
        vision = self._part("vision")
        with self.engine.run():
            return vision(normalise(self._clip(frames_THWC), self.config.preprocess, self.engine.device))

    def predict(self, tokens_1ND: Tensor, queries: Sequence[str]) -> np.ndarray:
        """(Q, D) float32 of norm 1: what the Predictor answers to each query about one clip, in one batch."""
        predictor = self._part("predictor")
        if not queries:
            return np.zeros((0, self.dim), dtype=np.float32)
        cfg = self.config.predictor
        ids_QL, mask_QL = self.tokenizers["query"].encode(_texts(queries), cfg.max_query_tokens, bos=cfg.query_bos)
        mask_QL = None if mask_QL.all() else mask_QL.to(self.engine.device)  # attention without a mask is faster
        with self.engine.run():
            return _unit(predictor(tokens_1ND, ids_QL.to(self.engine.device), mask_QL))

    def embed(self, frames_THWC: np.ndarray, query: str = "") -> np.ndarray:
        """(D,) float32 of norm 1. Frames as in `encode_frames`."""
        return self.predict(self.encode_frames(frames_THWC), [query])[0]

    def embed_queries(self, frames_THWC: np.ndarray, queries: Sequence[str]) -> np.ndarray:
        """(Q, D): one vision pass, one batched Predictor pass."""
        return self.predict(self.encode_frames(frames_THWC), queries)

    def watch(self, frames_THWC: np.ndarray, queries: Sequence[str]) -> tuple[np.ndarray, float]:
        """What a stream needs of one clip: `embed_queries` and `novelty` from one vision pass."""
        return self.look(frames_THWC, queries)[:2]

    def look(self, frames_THWC: np.ndarray, queries: Sequence[str]) -> Seen:
        """`watch`, and the tokens with it, for whoever may ask something else about the clip later."""
        tokens_1ND = self.encode_frames(frames_THWC)
        return Seen(self.predict(tokens_1ND, queries), self.novelty(tokens_1ND), tokens_1ND)

    def look_many(self, clips: Sequence[np.ndarray], queries: Sequence[str]) -> list[Seen]:
        """`look` at several clips at once, all for the same queries: one vision pass and one Predictor pass for all of them."""
        if len(clips) < 2 or not queries:
            return [self.look(frames_THWC, queries) for frames_THWC in clips]
        vision, count = self._part("vision"), len(queries)
        frames_BTHWC = np.stack([self._clip(frames_THWC) for frames_THWC in clips])
        with self.engine.run():
            tokens_BND = vision(normalise(frames_BTHWC, self.config.preprocess, self.engine.device))
            each_BND = tokens_BND.repeat_interleave(count, 0) if count > 1 else tokens_BND
        vectors_BD = self.predict(each_BND, list(queries) * len(clips))
        return [
            Seen(vectors_BD[n * count : (n + 1) * count], self.novelty(tokens_1ND), tokens_1ND)
            for n, tokens_1ND in enumerate(tokens_BND.split(1))
        ]

    def check_queries(self, queries: Sequence[str]) -> None:
        """ValueError names the first query that is longer than the Predictor reads: `predict` would cut it in silence."""
        self._part("predictor")
        check_queries(_texts(queries), self.config.predictor, self.tokenizers["query"])

    def novelty(self, tokens_1ND: Tensor) -> float:
        """How foreign a clip is to the checkpoint's training, >= 0: its distance over the largest that counts as familiar.

        Above 1 neither vector nor words mean anything. 0 where the checkpoint has no part that judges.
        """
        limit = self.config.calibration.get("familiar_distance", 0.0)
        if "familiarity" not in self.modules or limit <= 0:
            return 0.0
        with self.engine.run():
            return float(self.modules["familiarity"](tokens_1ND)[0]) / limit

    # texts

    def encode_text(self, texts: Sequence[str]) -> np.ndarray:
        """(N, D) float32 of norm 1: where texts (labels, captions, answers) lie in the space. ValueError for an empty text."""
        encoder, cfg = self._part("text_encoder"), self.config.text_encoder
        texts = _texts(texts)
        if "" in texts:
            raise ValueError(f"texts[{texts.index('')}] is empty and lies nowhere in the space")
        if not texts:
            return np.zeros((0, self.dim), dtype=np.float32)
        ids_BL, mask_BL = self.tokenizers["text"].encode(texts, cfg.max_tokens, bos=cfg.bos, eos=cfg.eos)
        with self.engine.run():
            return _unit(encoder(ids_BL.to(self.engine.device), mask_BL.to(self.engine.device)))

    def check_texts(self, texts: Sequence[str]) -> None:
        """ValueError names the first text that is empty or longer than the Y-Encoder reads: `encode_text` would cut it."""
        self._part("text_encoder")
        check_texts(_texts(texts), self.config.text_encoder, self.tokenizers["text"])

    def decode(self, vectors: np.ndarray) -> list[str]:
        """(N, D) or (D,) -> one text per vector."""
        return [decoded.text for decoded in self.decode_full(vectors)]

    def decode_full(self, vectors: np.ndarray, beams: int | None = None) -> list[Decoded]:
        """(N, D) or (D,) -> texts with confidence and familiarity. Brought to norm 1; ValueError for zero, NaN or other D.

        With the part text_encoder at hand, the Y-Encoder has the last word: of the `beams` (4, where None) likeliest texts, that
        one is said whose own embedding is nearest to the vector. Without it the one that the Y-Decoder likes best, greedily.
        """
        decoder = self._part("text_decoder")
        vectors_ND = np.atleast_2d(np.asarray(vectors, dtype=np.float32))
        if vectors_ND.ndim != 2 or vectors_ND.shape[1] != self.dim:
            raise ValueError(f"vectors must be (N, {self.dim}) or ({self.dim},), got {np.shape(vectors)}")
        norms_N = np.linalg.norm(vectors_ND, axis=1)
        if not np.all(np.isfinite(norms_N)) or np.any(norms_N < 1e-6):
            raise ValueError(f"vectors must be finite and not zero, got the norms {norms_N.tolist()}")
        vectors_ND = vectors_ND / norms_N[:, None]
        checked = "text_encoder" in self.modules
        with self.engine.run():
            found = decoder.candidates(torch.from_numpy(vectors_ND).to(self.engine.device), (beams or BEAMS) if checked else 1)
        chosen = [self._nearest(*pair) if checked else pair[1][0] for pair in zip(vectors_ND, found)]
        return [self._judged(self._said(one), one.mean_logprob) for one in chosen]

    def _said(self, candidate: Candidate) -> str:
        return self.tokenizers["decoder"].decode(candidate.ids).strip()

    def _nearest(self, vector_D: np.ndarray, candidates: list[Candidate]) -> Candidate:
        """The one that the Y-Encoder puts nearest to the vector; empty texts lie nowhere.

        Nearness alone would let broken sentences through.
        """
        spoken = {text: one for one in candidates[::-1] if (text := self._said(one))}  # of equal ones the likelier
        if len(spoken) < 2:
            return next(iter(spoken.values()), candidates[0])
        likeliest = max(spoken.values(), key=lambda one: one.logprob)
        texts = {text: one for text, one in spoken.items() if one.logprob >= likeliest.logprob - MARGIN}
        share = LOGPROB_SHARE * (len(likeliest.ids) + 1)
        scores_N = self.encode_text(list(texts)) @ vector_D
        scores_N += share * np.array([one.logprob for one in texts.values()], np.float32)
        return list(texts.values())[int(scores_N.argmax())]

    def _judged(self, text: str, logprob: float) -> Decoded:
        """The calibration's view of a mean token logprob; without a calibration the plain probability."""
        facts = self.config.calibration
        if "confidence_scale" in facts:
            logit = facts["confidence_scale"] * logprob + facts.get("confidence_bias", 0.0)
            confidence = 1.0 / (1.0 + math.exp(-max(-60.0, min(60.0, logit))))
        else:
            confidence = math.exp(min(0.0, logprob))
        return Decoded(text, confidence, logprob >= facts.get("familiar_logprob", -math.inf), logprob)

    # inside

    def _part(self, name: str) -> nn.Module:
        if name not in self.modules:
            raise RuntimeError(f"this model was made without its part {name!r} (it has {', '.join(self.modules) or 'none'})")
        return self.modules[name]

    def _check_tokenizers(self) -> None:
        """ValueError where a part's tokenizer is missing, has more tokens than the part, or other ids for the special ones."""
        config = self.config
        for part in self.modules.keys() & TOKENIZERS.keys():
            name, facts = TOKENIZERS[part], getattr(config, part)
            if facts is None:
                raise ValueError(f"the config says nothing about the part {part}")
            if name not in self.tokenizers:
                raise ValueError(f"the part {part} needs the tokenizer {name!r}, got {sorted(self.tokenizers)}")
            tokenizer = self.tokenizers[name]
            room = facts.hub.get("vocab_size", tokenizer.vocab_size) if part == "text_encoder" else facts.vocab_size
            if tokenizer.vocab_size > room:
                raise ValueError(f"the tokenizer {name!r} has {tokenizer.vocab_size} tokens, {part}.vocab_size is {room}")
            if part == "text_decoder":
                theirs, ours = ((x.pad_id, x.bos_id, x.eos_id) for x in (tokenizer, facts))
                if theirs != ours:
                    raise ValueError(f"text_decoder's ids of pad, bos, eos must be the tokenizer's {theirs}, got {ours}")

    def _clip(self, frames_THWC: np.ndarray) -> np.ndarray:
        """Any camera frames -> (frames, size, size, 3) uint8."""
        frames = frames_THWC[None] if frames_THWC.ndim == 3 else frames_THWC
        count, size = self.config.vision.frames, self.config.preprocess.image_size
        if frames.ndim != 4 or len(frames) not in (1, count):
            raise ValueError(f"frames must be (H, W, 3) or ({count}, H, W, 3), got {frames_THWC.shape}")
        if frames.shape[1:] != (size, size, 3) or frames.dtype != np.uint8:
            frames = np.stack([resize_frame(frame, size) for frame in frames])
        return frames if len(frames) == count else np.repeat(frames, count, axis=0)


def _build(config: ModelConfig, part: str) -> nn.Module:
    """An empty part to load weights into; on the meta device, which spares drawing random ones, where no buffers are needed."""
    if part == "text_encoder":
        with torch.random.fork_rng(devices=[]):  # loading draws nothing from the caller's random numbers
            return TextEncoder(config.text_encoder, config.dim)
    with torch.device("meta"):
        if part == "vision":
            return VisionEncoder(config.vision)
        if part == "familiarity":
            return Familiarity(config.vision.hidden_size, config.vision.grid)
        if part == "predictor":
            return Predictor(config.predictor, config.vision.hidden_size, config.dim)
        return TextDecoder(config.text_decoder, config.dim)


def _texts(texts: Sequence[str]) -> list[str]:
    if isinstance(texts, str):
        raise TypeError(f"give a list of texts, not the text {texts!r}")
    return list(texts)


def _unit(vectors_ND: Tensor) -> np.ndarray:
    """float32 numpy rows of norm 1. FloatingPointError for NaN or infinity, which nobody downstream could explain.

    Copied out of torch's memory: rows that somebody keeps for long would pin its blocks there, and a process that keeps
    every embedding would grow by ten times their size.
    """
    vectors_ND = F.normalize(vectors_ND.float(), dim=-1)
    if not vectors_ND.isfinite().all():
        raise FloatingPointError("the model's output is not finite; are the weights damaged?")
    return vectors_ND.cpu().numpy().copy()
