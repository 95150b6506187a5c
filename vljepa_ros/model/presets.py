# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The three sizes of one code: `tiny` for tests, `tabletop` for two CPU cores, `paper` as published (arXiv 2512.10942)."""
from __future__ import annotations

from .config import (
    ModelConfig,
    PredictorConfig,
    PreprocessConfig,
    TextDecoderConfig,
    TextEncoderConfig,
    VisionConfig,
)

STATE_PROMPT = "What is the state of the scene?"


def _bert(vocab_size: int, hidden_size: int, layers: int, heads: int, intermediate_size: int, max_tokens: int) -> dict:
    """A small BERT as a Hugging Face config. No dropout: cached-gradient training runs each text twice and needs one answer."""
    return {
        "model_type": "bert",
        "vocab_size": vocab_size,
        "hidden_size": hidden_size,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "intermediate_size": intermediate_size,
        "max_position_embeddings": max_tokens,
        "type_vocab_size": 1,
        "hidden_dropout_prob": 0.0,
        "attention_probs_dropout_prob": 0.0,
        "pad_token_id": 0,
    }


def tiny(vocab_size: int = 320) -> ModelConfig:
    """16 wide, for unit tests: every code path, milliseconds."""
    llama = dict(hidden_size=16, layers=2, heads=2, kv_heads=1, head_dim=8, intermediate_size=32, vocab_size=vocab_size)
    return ModelConfig(
        name="tiny",
        dim=16,
        clip_period_s=0.2,
        preprocess=PreprocessConfig(image_size=32),
        vision=VisionConfig(image_size=32, patch_size=8, tubelet_size=2, frames=4, hidden_size=16, layers=2, heads=1),
        predictor=PredictorConfig(**llama, max_query_tokens=16, merge=2, merge_time=2, visual_grid=4),
        text_encoder=TextEncoderConfig(hub=_bert(vocab_size, 16, 1, 2, 32, 32), max_tokens=32),
        text_decoder=TextDecoderConfig(**llama, prefix_tokens=2, max_tokens=16),
        prompts={"state": STATE_PROMPT},
    )


def tabletop(vocab_size: int = 2048) -> ModelConfig:
    """Runs at camera rate on two CPU cores; shipped inside the package. `vocab_size` is the trained tokenizer's."""
    llama = dict(hidden_size=256, layers=4, heads=4, kv_heads=2, head_dim=64, intermediate_size=704, vocab_size=vocab_size)
    return ModelConfig(
        name="tabletop",
        dim=256,
        clip_period_s=0.2,
        preprocess=PreprocessConfig(image_size=128),
        vision=VisionConfig(image_size=128, patch_size=16, tubelet_size=2, frames=8, hidden_size=192, layers=6, heads=3),
        predictor=PredictorConfig(**llama, max_query_tokens=32, merge=1, merge_time=4, visual_grid=8, visual_positions=64),
        text_encoder=TextEncoderConfig(hub=_bert(vocab_size, 256, 4, 4, 1024, 96), max_tokens=96),
        text_decoder=TextDecoderConfig(**llama, prefix_tokens=4, max_tokens=96),
        prompts={"state": STATE_PROMPT},
    )


def paper() -> ModelConfig:
    """V-JEPA 2 ViT-L, the last 8 layers of Llama-3.2-1B, EmbeddingGemma-300M, 1536 dimensions, 16 frames."""
    return ModelConfig(
        name="paper",
        dim=1536,
        clip_period_s=0.25,
        preprocess=PreprocessConfig(image_size=256),
        vision=VisionConfig(image_size=256, patch_size=16, tubelet_size=2, frames=16, hidden_size=1024, layers=24, heads=16),
        predictor=PredictorConfig(
            hidden_size=2048,
            layers=8,
            heads=32,
            kv_heads=8,
            head_dim=64,
            intermediate_size=8192,
            vocab_size=128256,
            rope_theta=500000.0,
            rope_scaling={
                "rope_type": "llama3",
                "factor": 32.0,
                "low_freq_factor": 1.0,
                "high_freq_factor": 4.0,
                "original_max_position_embeddings": 8192,
            },
            query_bos=True,
        ),
        text_encoder=TextEncoderConfig(
            hub={
                "model_type": "gemma3_text",
                "vocab_size": 262144,
                "hidden_size": 768,
                "num_hidden_layers": 24,
                "num_attention_heads": 3,
                "num_key_value_heads": 1,
                "head_dim": 256,
                "intermediate_size": 1152,
                "hidden_activation": "gelu_pytorch_tanh",
                "max_position_embeddings": 2048,
                "query_pre_attn_scalar": 256,
                "sliding_window": 512,
                "use_bidirectional_attention": True,
                "layer_types": (["sliding_attention"] * 5 + ["full_attention"]) * 4,
                "pad_token_id": 0,
            },
            bos=True,
            eos=True,
        ),
        text_decoder=TextDecoderConfig(
            hidden_size=1024,
            layers=8,
            heads=16,
            kv_heads=8,
            head_dim=64,
            intermediate_size=2816,
            vocab_size=128256,
            prefix_tokens=8,
            max_tokens=128,
            rope_theta=500000.0,
            pad_id=128004,  # the Llama 3 tokenizer's <|finetune_right_pad_id|>, <|begin_of_text|>, <|end_of_text|>
            bos_id=128000,
            eos_id=128001,
        ),
        prompts={"state": "Describe this video in one sentence.", "action": "What is the action shown?"},
    )
