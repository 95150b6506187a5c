"""The Y-Decoder: a small causal language model that puts an embedding into words.

The embedding becomes `prefix_tokens` tokens in front of the text. Token table and output layer are two: shared, a decoder of this
size begins by repeating its last token and spends its training on unlearning it. Trained on (embedding of text, text) pairs after
everything else; knows nothing of images and nothing of tokenization.

Shapes: B texts, L tokens, P prefix tokens, C hidden size, D shared dimension, V vocabulary.
"""
from __future__ import annotations

import torch
from torch import Tensor, nn

from .config import TextDecoderConfig
from .initialise import init_linears
from .llama import Cache, LlamaStack


class TextDecoder(nn.Module):
    """Vectors of norm 1 in, logits or texts (as token ids) out."""

    def __init__(self, cfg: TextDecoderConfig, dim: int) -> None:
        super().__init__()
        self.cfg, self.dim = cfg, dim
        self.prefix = nn.Linear(dim, cfg.prefix_tokens * cfg.hidden_size)
        self.embed_tokens = nn.Embedding(cfg.vocab_size, cfg.hidden_size)
        self.stack = LlamaStack(cfg)
        self.head = nn.Linear(cfg.hidden_size, cfg.vocab_size, bias=False)
        init_linears(self, cfg.layers)  # the token table keeps PyTorch's variance of 1, the prefix's too

    def forward(self, vectors_BD: Tensor, ids_BL: Tensor, mask_BL: Tensor | None = None) -> Tensor:
        """Teacher forcing: ids_BL begin with BOS, padding is at the right; logits_BLV (float32) at i predict ids at i + 1.

        A causal model never looks at what stands to the right, so padding needs no mask; `mask_BL` marks the positions whose
        logits count in the loss and is accepted here for one interface with the other text modules.
        """
        x_BNC = torch.cat([self._prefix(vectors_BD), self._embed(ids_BL)], dim=1)
        hidden_BNC = self.stack(x_BNC, causal=True)
        return self._logits(hidden_BNC[:, self.cfg.prefix_tokens :])

    @torch.no_grad()
    def generate(self, vectors_BD: Tensor, max_tokens: int | None = None) -> tuple[list[list[int]], Tensor]:
        """Greedy. Returns token ids without BOS and EOS, and mean_logprob_B over the tokens chosen, the EOS among them.

        A text that reaches `max_tokens` (the config's by default) ends there without an EOS.
        """
        steps = self.cfg.max_tokens if max_tokens is None else max_tokens
        B, device = vectors_BD.shape[0], vectors_BD.device
        if B == 0 or steps == 0:
            return [[] for _ in range(B)], torch.zeros(B, device=device)
        bos_B1 = torch.full((B, 1), self.cfg.bos_id, device=device)
        x_BNC = torch.cat([self._prefix(vectors_BD), self._embed(bos_B1)], dim=1)
        cache = Cache(self.cfg, B, x_BNC.shape[1] + steps, device, self._cache_dtype(device))
        running_B = torch.ones(B, dtype=torch.bool, device=device)
        logprob_B, length_B = torch.zeros(B, device=device), torch.zeros(B, device=device)
        tokens = []
        for _ in range(steps):
            hidden_BNC = self.stack(x_BNC, causal=True, cache=cache)
            best_B, token_B = self._logits(hidden_BNC[:, -1]).log_softmax(-1).max(-1)
            logprob_B += best_B * running_B
            length_B += running_B
            tokens.append(token_B.masked_fill(~running_B, self.cfg.eos_id))
            running_B = running_B & (token_B != self.cfg.eos_id)
            if not running_B.any():
                break
            x_BNC = self._embed(token_B[:, None])
        rows = torch.stack(tokens, dim=1).tolist()
        texts = [row[: row.index(self.cfg.eos_id)] if self.cfg.eos_id in row else row for row in rows]
        return texts, logprob_B / length_B

    def _prefix(self, vectors_BD: Tensor) -> Tensor:
        # Unit-norm vectors have entries of 1/sqrt(D): unscaled, they drown beside the token embeddings and are ignored.
        prefix = self.prefix(vectors_BD * self.dim**0.5)
        return prefix.view(-1, self.cfg.prefix_tokens, self.cfg.hidden_size).float()

    def _embed(self, ids_BL: Tensor) -> Tensor:
        return self.embed_tokens(ids_BL).float()

    def _logits(self, hidden: Tensor) -> Tensor:
        return self.head(hidden).float()

    def _cache_dtype(self, device: torch.device) -> torch.dtype:
        """What the attention computes keys and values in."""
        if torch.is_autocast_enabled(device.type):
            return torch.get_autocast_dtype(device.type)
        return self.embed_tokens.weight.dtype
