"""X-Encoder of the tabletop size: trained to tell what every token shows, then frozen.

V-JEPA 2 needs a million hours of video to learn what its tokens mean; in a simulated world the answer is known. Every token
predicts
what covers its patch (colours, shapes, gripper, tray, lamp), which of it is held or lies, and how it moves in space; the mean
over tokens
predicts the action and the state of lamp, drawer and gripper. The heads are thrown away.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vljepa_ros.model import VisionEncoder
from vljepa_ros.model.preprocess import normalise

from ..tabletop.samples import TOKEN_CHANNELS, TabletopStore, augment
from ..tabletop.state import EVENTS

COVER = TOKEN_CHANNELS - 6  # the channels before the velocities


class VisionHeads(nn.Module):
    def __init__(self, encoder: VisionEncoder, width: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.tokens = nn.Linear(width, TOKEN_CHANNELS)
        self.pool = nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.Linear(width, len(EVENTS) + 3))


class VisionTask:
    """Batches are random clips, half of them at an event's completion; `held` streams are the last of the store and never
    trained on."""

    def __init__(self, encoder: VisionEncoder, config, store: TabletopStore, batch: int, seed: int = 0, held: int = 40) -> None:
        self.module = VisionHeads(encoder, config.vision.hidden_size)
        self._config, self._store, self._batch, self._seed = config, store, batch, seed
        self._train = np.arange(len(store.streams) - held)
        self._held = np.arange(len(store.streams) - held, len(store.streams))
        self._by_kind = [np.argwhere(store.kinds[self._train] == k) for k in range(len(EVENTS))]

    def groups(self) -> list[dict]:
        return [{"params": list(self.module.parameters())}]

    def _collate(self, clips: list[tuple[int, int]], rng: np.random.Generator | None) -> dict[str, Tensor]:
        frames = [self._store.clip(s, k) for s, k in clips]
        if rng is not None:
            frames = [augment(f, rng) for f in frames]
        return {
            "frames": normalise(np.stack(frames), self._config.preprocess),
            "tokens": torch.from_numpy(np.stack([self._store.token_targets(s, k) for s, k in clips])),
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

    def _outputs(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        tokens = self.module.encoder(frames)
        return self.module.tokens(tokens).float(), self.module.pool(tokens.mean(1)).float()

    def loss(self, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, float]]:
        tokens, pooled = self._outputs(batch["frames"])
        target = batch["tokens"].flatten(1, 3)
        cover = F.binary_cross_entropy_with_logits(tokens[..., :COVER], target[..., :COVER])
        motion = F.mse_loss(tokens[..., COVER:], target[..., COVER:])
        facts = batch["facts"]
        action = F.cross_entropy(pooled[:, : len(EVENTS)], facts[:, 0], ignore_index=-1)
        state = F.binary_cross_entropy_with_logits(pooled[:, len(EVENTS) :], facts[:, 1:].float())
        loss = 10 * cover + 20 * motion + 0.5 * action + state
        return loss, {"cover": cover.item(), "motion": motion.item(), "action": action.item(), "state": state.item()}

    def evaluate(self) -> dict[str, float]:
        rng = np.random.default_rng(1)
        right = {"action": [], "lamp": [], "drawer": [], "held": [], "cover_r2": [], "motion_r2": []}
        for s in self._held:
            ks = sorted(
                rng.choice(np.arange(7, self._store.length), 10, replace=False).tolist()
                + list(np.flatnonzero(self._store.kinds[s] >= 0)[::6])
            )
            batch = self._collate([(int(s), int(k)) for k in ks], None)
            tokens, pooled = self._outputs(batch["frames"])
            facts, target = batch["facts"], batch["tokens"].flatten(1, 3)
            known = facts[:, 0] >= 0
            right["action"] += (pooled[:, : len(EVENTS)].argmax(-1) == facts[:, 0])[known].tolist()
            for j, name in enumerate(("lamp", "drawer", "held")):
                right[name] += ((pooled[:, len(EVENTS) + j] > 0) == facts[:, 1 + j].bool()).tolist()
            predicted = torch.cat([tokens[..., :COVER].sigmoid(), tokens[..., COVER:]], -1)
            error = (predicted - target).square()
            right["cover_r2"].append(1 - (error[..., :COVER].mean() / target[..., :COVER].var()).item())
            right["motion_r2"].append(1 - (error[..., COVER:].mean() / target[..., COVER:].var()).item())
        figures = {k: float(np.mean(v)) for k, v in right.items()}
        return {"score": figures["action"] + figures["cover_r2"] + figures["motion_r2"], **figures}
