# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""X-Encoder of the tabletop size: trained to tell what every token shows, images first, then video (as the paper's stage 1); then
frozen.

V-JEPA 2 needs a million hours of video to learn what its tokens mean; in a simulated world the answer is known. Every token
predicts what covers its patch (colours, shapes, gripper, tray, lamp), which colour and shape the thing has that it belongs to,
which of it is held or lies, and how it moves in space; an attentive probe over the tokens predicts the action and the state of
lamp, drawer and gripper. The heads are thrown away.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vljepa_ros.model import VisionEncoder
from vljepa_ros.model.preprocess import normalise

from ..tabletop.samples import COVER_CHANNELS, TOKEN_CHANNELS, StillStore, TabletopStore, augment
from ..tabletop.scene import COLOURS, SHAPES
from ..tabletop.state import EVENTS

PRESENT = 0.08  # share of a patch from which on its token must say what the thing is
_WEIGHT = {"cover": 10.0, "motion": 20.0, "action": 0.5}  # 1 for the others: brings the parts to one size
_COLOUR = slice(0, len(COLOURS))
_SHAPE = slice(len(COLOURS), len(COLOURS) + len(SHAPES))


class AttentiveProbe(nn.Module):
    """One learnt query over the tokens, as V-JEPA 2's classifiers read a frozen encoder: one small thing is not averaged away."""

    def __init__(self, width: int, outputs: int) -> None:
        super().__init__()
        self.query = nn.Parameter(torch.zeros(1, 1, width))
        self.attend = nn.MultiheadAttention(width, 4, batch_first=True)
        self.out = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width), nn.GELU(), nn.Linear(width, outputs))

    def forward(self, tokens_BND: Tensor) -> Tensor:
        query = self.query.expand(len(tokens_BND), -1, -1).to(tokens_BND.dtype)
        return self.out(self.attend(query, tokens_BND, tokens_BND, need_weights=False)[0][:, 0])


class VisionHeads(nn.Module):
    """The encoder with what it is asked.

    `forward`: frames (B, T, 3, H, W) -> tokens (B, N, TOKEN_CHANNELS), identity (B, N, colours + shapes), pooled (B, events + 3),
    all float32.
    """

    def __init__(self, encoder: VisionEncoder, width: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.tokens = nn.Linear(width, TOKEN_CHANNELS)
        self.identity = nn.Linear(width, len(COLOURS) + len(SHAPES))
        self.probe = AttentiveProbe(width, len(EVENTS) + 3)

    def forward(self, frames: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x = self.encoder(frames)
        return self.tokens(x).float(), self.identity(x).float(), self.probe(x).float()


def _cover_loss(tokens: Tensor, identity: Tensor, target: Tensor) -> dict[str, Tensor]:
    """`target`: (B, N, >= COVER_CHANNELS). What a token's thing is counts by the root of its share, so that edges matter too."""
    cover = F.binary_cross_entropy_with_logits(tokens[..., :COVER_CHANNELS], target[..., :COVER_CHANNELS])
    share = target[..., _SHAPE].sum(-1)
    weight = share.clamp(max=1).sqrt() * (share >= PRESENT)
    out = {"cover": cover}
    for name, part in (("colour", _COLOUR), ("shape", _SHAPE)):
        wanted = target[..., part] / target[..., part].sum(-1, keepdim=True).clamp(min=1e-6)
        each = -(wanted * identity[..., part].log_softmax(-1)).sum(-1)
        out[name] = (each * weight).sum() / weight.sum().clamp(min=1)
    return out


def _identity_right(identity: Tensor, target: Tensor) -> dict[str, list[bool]]:
    """For every token that shows mostly one thing: are its colour and its shape right?"""
    clear = target[..., _SHAPE].max(-1).values >= 0.25
    return {
        name: (identity[..., part].argmax(-1) == target[..., part].argmax(-1))[clear].tolist()
        for name, part in (("colour", _COLOUR), ("shape", _SHAPE))
    }


def _groups(module: VisionHeads) -> list[dict]:
    hidden = [p for block in module.encoder.blocks for p in block.parameters() if p.ndim == 2]
    return [{"params": list(module.parameters()), "hidden": hidden}]


class StillTask:
    """Images: each is a clip of one tubelet, its frame twice, as V-JEPA reads images. The last `held` are never trained on."""

    def __init__(self, module: VisionHeads, config, store: StillStore, batch: int, seed: int = 0, held: int = 600) -> None:
        self.module, self._config, self._store, self._batch, self._seed = module, config, store, batch, seed
        self._held = np.arange(len(store.images) - held, len(store.images))

    def groups(self) -> list[dict]:
        return _groups(self.module)

    def _collate(self, chosen: np.ndarray, rng: np.random.Generator | None) -> dict[str, Tensor]:
        frames = self._store.images[chosen][:, None]
        if rng is not None:
            frames = np.stack([augment(f, rng) for f in frames])
        return {
            "frames": normalise(np.repeat(frames, self._config.vision.tubelet_size, 1), self._config.preprocess),
            "target": torch.from_numpy(self._store.targets[chosen].astype(np.float32)).flatten(1, 2),
            "facts": torch.from_numpy(self._store.facts[chosen]),
        }

    def batch(self, step: int) -> dict[str, Tensor]:
        rng = np.random.default_rng([self._seed, step])
        return self._collate(rng.choice(len(self._store.images) - len(self._held), self._batch, replace=False), rng)

    def loss(self, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, float]]:
        tokens, identity, pooled = self.module(batch["frames"])
        parts = _cover_loss(tokens, identity, batch["target"])
        parts["state"] = F.binary_cross_entropy_with_logits(pooled[:, len(EVENTS) :], batch["facts"].float())
        loss = sum(_WEIGHT.get(name, 1.0) * part for name, part in parts.items())
        return loss, {k: v.item() for k, v in parts.items()}

    def evaluate(self) -> dict[str, float]:
        right: dict[str, list[bool]] = {}
        for part in np.array_split(self._held, max(1, len(self._held) // 100)):
            batch = self._collate(part, None)
            _, identity, pooled = self.module(batch["frames"])
            found = _identity_right(identity, batch["target"])
            for j, name in enumerate(("lamp", "drawer", "held")):
                found[name] = ((pooled[:, len(EVENTS) + j] > 0) == batch["facts"][:, j].bool()).tolist()
            for name, flags in found.items():
                right.setdefault(name, []).extend(flags)
        figures = {k: float(np.mean(v)) for k, v in right.items()}
        return {"score": figures["shape"] + figures["colour"] + figures["held"], **figures}


class VisionTask:
    """Batches are random clips, half of them at an event's completion; `held` streams are the last of the store and never trained
    on."""

    def __init__(self, module: VisionHeads, config, store: TabletopStore, batch: int, seed: int = 0, held: int = 40) -> None:
        self.module = module
        self._config, self._store, self._batch, self._seed = config, store, batch, seed
        self._train = np.arange(len(store.streams) - held)
        self._held = np.arange(len(store.streams) - held, len(store.streams))
        self._by_kind = [np.argwhere(store.kinds[self._train] == k) for k in range(len(EVENTS))]

    def groups(self) -> list[dict]:
        return _groups(self.module)

    def _collate(self, clips: list[tuple[int, int]], rng: np.random.Generator | None) -> dict[str, Tensor]:
        frames = [self._store.clip(s, k) for s, k in clips]
        if rng is not None:
            frames = [augment(f, rng) for f in frames]
        return {
            "frames": normalise(np.stack(frames), self._config.preprocess),
            "target": torch.from_numpy(np.stack([self._store.token_targets(s, k) for s, k in clips])).flatten(1, 3),
            "facts": torch.from_numpy(np.stack([self._store.facts(s, k) for s, k in clips])),
        }

    def batch(self, step: int) -> dict[str, Tensor]:
        rng = np.random.default_rng([self._seed, step])
        clips = []
        for i in range(self._batch):
            kind = self._by_kind[rng.integers(len(EVENTS))]
            if i % 2 and len(kind):
                s, k = kind[rng.integers(len(kind))]
                clips.append((int(self._train[s]), int(k)))
            else:
                clips.append((int(rng.choice(self._train)), int(rng.integers(self._store.frames - 1, self._store.length))))
        return self._collate(clips, rng)

    def loss(self, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, float]]:
        tokens, identity, pooled = self.module(batch["frames"])
        target, facts = batch["target"], batch["facts"]
        parts = _cover_loss(tokens, identity, target)
        parts["motion"] = F.mse_loss(tokens[..., COVER_CHANNELS:], target[..., COVER_CHANNELS:])
        parts["action"] = F.cross_entropy(pooled[:, : len(EVENTS)], facts[:, 0], ignore_index=-1)
        parts["state"] = F.binary_cross_entropy_with_logits(pooled[:, len(EVENTS) :], facts[:, 1:].float())
        loss = sum(_WEIGHT.get(name, 1.0) * part for name, part in parts.items())
        return loss, {k: v.item() for k, v in parts.items()}

    def evaluate(self) -> dict[str, float]:
        rng = np.random.default_rng(1)
        right: dict[str, list[float]] = {"action": [], "motion_r2": []}
        for s in self._held:
            ks = sorted(
                rng.choice(np.arange(7, self._store.length), 10, replace=False).tolist()
                + list(np.flatnonzero(self._store.kinds[s] >= 0)[::6])
            )
            batch = self._collate([(int(s), int(k)) for k in ks], None)
            tokens, identity, pooled = self.module(batch["frames"])
            facts, target = batch["facts"], batch["target"]
            known = facts[:, 0] >= 0
            right["action"] += (pooled[:, : len(EVENTS)].argmax(-1) == facts[:, 0])[known].tolist()
            for name, flags in _identity_right(identity, target).items():
                right.setdefault(name, []).extend(flags)
            for j, name in enumerate(("lamp", "drawer", "held")):
                right.setdefault(name, []).extend(((pooled[:, len(EVENTS) + j] > 0) == facts[:, 1 + j].bool()).tolist())
            moved = target[..., COVER_CHANNELS:]
            right["motion_r2"].append(1 - ((tokens[..., COVER_CHANNELS:] - moved).square().mean() / moved.var()).item())
        figures = {k: float(np.mean(v)) for k, v in right.items()}
        return {"score": figures["action"] + figures["shape"] + figures["held"] + figures["motion_r2"], **figures}
