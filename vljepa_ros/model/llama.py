# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The Llama layer, as the Predictor (every token sees every token) and the TextDecoder (causal, with a cache) use it.

Equal to Hugging Face's LlamaModel layers within fp32 rounding; query, key and value are one matrix here, gate and up another.
Knows nothing of images, queries, tokenizers.

Shapes: B batch, N tokens, C hidden size, H heads, K key/value heads, D head size.
"""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .attention import attend
from .config import PredictorConfig, TextDecoderConfig
from .initialise import init_linears
from .rotary import LlamaRotary, Tables, rotate


class Cache:
    """Keys and values of the tokens so far, for all layers of one generation. Room for `length` tokens is taken once."""

    def __init__(self, cfg: TextDecoderConfig, batch: int, length: int, device: torch.device, dtype: torch.dtype) -> None:
        self.used = 0
        self._kv_L2BKND = torch.empty((cfg.layers, 2, batch, cfg.kv_heads, length, cfg.head_dim), device=device, dtype=dtype)

    def append(self, layer: int, k_BKND: Tensor, v_BKND: Tensor) -> tuple[Tensor, Tensor]:
        """Keep the new tokens' keys and values and return all of that layer. `used` moves on when the last layer has run."""
        end = self.used + k_BKND.shape[2]
        kv_2BKND = self._kv_L2BKND[layer, ..., :end, :]
        kv_2BKND[0, ..., self.used :, :] = k_BKND
        kv_2BKND[1, ..., self.used :, :] = v_BKND
        return kv_2BKND[0], kv_2BKND[1]

    def reorder(self, rows_B: Tensor) -> None:
        """Row i goes on from what row `rows_B[i]` (int64) was so far."""
        self._kv_L2BKND[..., : self.used, :] = self._kv_L2BKND[..., : self.used, :].index_select(2, rows_B)


class RMSNorm(nn.Module):
    """x / rms(x) * weight, computed in fp32."""

    def __init__(self, size: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))
        self.eps = eps

    def forward(self, x_BNC: Tensor) -> Tensor:
        x_BNC = x_BNC.float()
        return x_BNC * torch.rsqrt(x_BNC.pow(2).mean(-1, keepdim=True) + self.eps) * self.weight


class Attention(nn.Module):
    """Grouped-query attention with rotary positions."""

    def __init__(self, cfg: PredictorConfig | TextDecoderConfig) -> None:
        super().__init__()
        self.heads, self.kv_heads, self.head_dim = cfg.heads, cfg.kv_heads, cfg.head_dim
        self.qkv = nn.Linear(cfg.hidden_size, (cfg.heads + 2 * cfg.kv_heads) * cfg.head_dim, bias=False)
        self.out = nn.Linear(cfg.heads * cfg.head_dim, cfg.hidden_size, bias=False)

    def forward(
        self, x_BNC: Tensor, tables: Tables, visible_BN: Tensor | None, causal: bool, cache: Cache | None, layer: int
    ) -> Tensor:
        B, N, _ = x_BNC.shape
        qkv = self.qkv(x_BNC).view(B, N, -1, self.head_dim)
        qk, v = qkv.split((self.heads + self.kv_heads, self.kv_heads), dim=2)
        q, k = rotate(qk, tables).split((self.heads, self.kv_heads), dim=2)
        q, k, v = (x.transpose(1, 2) for x in (q, k, v))
        if cache is not None:
            k, v = cache.append(layer, k, v)
        y = attend(q, k, v, visible_BN, causal)
        return self.out(y.transpose(1, 2).reshape(B, N, -1))


class MLP(nn.Module):
    """SwiGLU: down(silu(gate(x)) * up(x))."""

    def __init__(self, cfg: PredictorConfig | TextDecoderConfig) -> None:
        super().__init__()
        self.gate_up = nn.Linear(cfg.hidden_size, 2 * cfg.intermediate_size, bias=False)
        self.down = nn.Linear(cfg.intermediate_size, cfg.hidden_size, bias=False)

    def forward(self, x_BNC: Tensor) -> Tensor:
        gate, up = self.gate_up(x_BNC).chunk(2, dim=-1)
        return self.down(F.silu(gate) * up)


class Block(nn.Module):
    """Norm, attention, norm, MLP, each added to the residual stream."""

    def __init__(self, cfg: PredictorConfig | TextDecoderConfig) -> None:
        super().__init__()
        self.norm1 = RMSNorm(cfg.hidden_size, cfg.rms_norm_eps)
        self.attention = Attention(cfg)
        self.norm2 = RMSNorm(cfg.hidden_size, cfg.rms_norm_eps)
        self.mlp = MLP(cfg)

    def forward(
        self, x_BNC: Tensor, tables: Tables, visible_BN: Tensor | None, causal: bool, cache: Cache | None, layer: int
    ) -> Tensor:
        x_BNC = x_BNC + self.attention(self.norm1(x_BNC), tables, visible_BN, causal, cache, layer)
        return x_BNC + self.mlp(self.norm2(x_BNC))


class LlamaStack(nn.Module):
    """The layers and the final norm."""

    def __init__(self, cfg: PredictorConfig | TextDecoderConfig, rope_scaling: dict[str, Any] | None = None) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(Block(cfg) for _ in range(cfg.layers))
        self.norm = RMSNorm(cfg.hidden_size, cfg.rms_norm_eps)
        self.rotary = LlamaRotary(cfg.head_dim, cfg.rope_theta, rope_scaling)
        init_linears(self, cfg.layers)

    def forward(
        self, x_BNC: Tensor, visible_BN: Tensor | None = None, causal: bool = False, cache: Cache | None = None
    ) -> Tensor:
        """Tokens in, tokens out. `visible_BN` (bool) hides keys from every token; not together with `causal`.

        With a `cache`, `x_BNC` are the tokens after those cached, and their positions go on from there; more than one token at a
        time is right only for the first call.
        """
        start = 0 if cache is None else cache.used
        stop = start + x_BNC.shape[1]
        tables = self.rotary.tables(start, stop, x_BNC.device)
        causal = causal and x_BNC.shape[1] > 1
        x_BNC = x_BNC.float()  # the residual stream stays fp32 under autocast
        for layer, block in enumerate(self.blocks):
            x_BNC = block(x_BNC, tables, visible_BN, causal, cache, layer)
        if cache is not None:
            cache.used = stop
        return self.norm(x_BNC)


def stack_from_hf(state: Mapping[str, Tensor], layers: int, first_layer: int = 0) -> dict[str, Tensor]:
    """Hugging Face Llama weights -> a `LlamaStack` state dict, from layers first_layer .. first_layer + layers - 1.

    Names may carry the prefix "model.". ValueError names a weight that is not there.
    """
    state = {name.removeprefix("model."): tensor for name, tensor in state.items()}

    def take(*names: str) -> Tensor:
        if missing := [name for name in names if name not in state]:
            raise ValueError(f"the Llama weights lack {missing[0]}; is layer range {first_layer}+{layers} right?")
        return torch.cat([state[name] for name in names])

    out = {"norm.weight": take("norm.weight")}
    for i in range(layers):
        hf, ours = f"layers.{first_layer + i}", f"blocks.{i}"
        out[f"{ours}.norm1.weight"] = take(f"{hf}.input_layernorm.weight")
        out[f"{ours}.attention.qkv.weight"] = take(*(f"{hf}.self_attn.{p}_proj.weight" for p in "qkv"))
        out[f"{ours}.attention.out.weight"] = take(f"{hf}.self_attn.o_proj.weight")
        out[f"{ours}.norm2.weight"] = take(f"{hf}.post_attention_layernorm.weight")
        out[f"{ours}.mlp.gate_up.weight"] = take(f"{hf}.mlp.gate_proj.weight", f"{hf}.mlp.up_proj.weight")
        out[f"{ours}.mlp.down.weight"] = take(f"{hf}.mlp.down_proj.weight")
    return out
