# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Small models with random weights in the hub's own format, written by transformers and tokenizers themselves."""
from __future__ import annotations

import json
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

TEXTS = ("The lamp is on.", "The drawer is open.", "Describe this video in one sentence.")
LLAMA3 = {
    "rope_type": "llama3", "factor": 32.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}  # fmt: skip


def randomised(model: torch.nn.Module, seed: int = 0) -> torch.nn.Module:
    """Norms and biases too, or a lost one would not show."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * (0.1 if parameter.ndim == 1 else 0.2))
    return model.eval()


def save_tokenizer(folder: Path, bos: str, eos: str, pad: str | None, after: bool, named: str = "bos eos") -> None:
    """Byte-level BPE with a template that puts BOS in front and, with `after`, EOS behind; `named`: their names there."""
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer, backend.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    special = [token for token in (pad, bos, eos, "<|finetune_right_pad_id|>") if token]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    backend.train_from_iterator(
        TEXTS, trainers.BpeTrainer(vocab_size=300, special_tokens=special, initial_alphabet=alphabet, show_progress=False)
    )
    backend.post_processor = processors.TemplateProcessing(
        single=f"{bos} $A {eos}" if after else f"{bos} $A", special_tokens=[(t, backend.token_to_id(t)) for t in (bos, eos)]
    )
    backend.save(str(folder / "tokenizer.json"))
    facts = {f"{name}_token": token for name, token in zip(named.split(), (bos, eos))}
    facts |= {"pad_token": {"content": pad, "special": True}} if pad else {}
    (folder / "tokenizer_config.json").write_text(json.dumps(facts))


def save_vjepa2(folder: Path, shards: bool = False):
    from transformers import VJEPA2Config, VJEPA2Model

    config = VJEPA2Config(
        patch_size=8, crop_size=32, frames_per_clip=8, tubelet_size=2, hidden_size=32, num_attention_heads=2, num_hidden_layers=2,
        pred_hidden_size=12, pred_num_attention_heads=1, pred_num_hidden_layers=1,
    )  # fmt: skip
    model = randomised(VJEPA2Model(config))
    model.save_pretrained(folder, max_shard_size="20KB" if shards else "1GB")
    return model


def save_llama(folder: Path, shards: bool = False, layers: int = 4):
    """A causal language model with a tied output layer, as Llama 3.2's is."""
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        hidden_size=32, num_hidden_layers=layers, num_attention_heads=4, num_key_value_heads=2, head_dim=8, intermediate_size=48,
        vocab_size=300, max_position_embeddings=512, tie_word_embeddings=True, rope_parameters=LLAMA3 | {"rope_theta": 500000.0},
        rms_norm_eps=1e-5, attn_implementation="eager",
    )  # fmt: skip
    model = randomised(LlamaForCausalLM(config))
    model.save_pretrained(folder, max_shard_size="20KB" if shards else "1GB")
    # As Llama 3.2's own config.json says it: theta beside the scaling.
    path = folder / "config.json"
    facts = json.loads(path.read_text())
    rope = facts.pop("rope_parameters")
    path.write_text(json.dumps(facts | {"rope_theta": rope.pop("rope_theta"), "rope_scaling": rope}))
    save_tokenizer(folder, "<|begin_of_text|>", "<|end_of_text|>", None, after=False)
    return model.model


def save_gemma(folder: Path, dense: bool = False):
    """Gemma 3 text, bidirectional, its window short enough to matter; with `dense` in sentence-transformers' layout."""
    from safetensors.torch import save_file
    from transformers import Gemma3TextConfig, Gemma3TextModel

    facts = dict(
        vocab_size=300, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=1, head_dim=8,
        intermediate_size=32, sliding_window=8, max_position_embeddings=64, use_bidirectional_attention=True,
        layer_types=["sliding_attention", "full_attention"], query_pre_attn_scalar=8,
    )  # fmt: skip
    model = randomised(Gemma3TextModel(Gemma3TextConfig(**facts, attn_implementation="eager")))
    model.save_pretrained(folder)
    save_tokenizer(folder, "<bos>", "<eos>", "<pad>", after=True)
    if dense:
        paths = ("", "1_Pooling", "2_Dense", "3_Dense", "4_Normalize")
        kinds = [(path, path[2:] or "Transformer") for path in paths]
        modules = [{"idx": i, "path": path, "type": f"sentence_transformers.models.{k}"} for i, (path, k) in enumerate(kinds)]
        (folder / "modules.json").write_text(json.dumps(modules))
        (folder / "1_Pooling").mkdir()
        pooling = {"word_embedding_dimension": 16, "pooling_mode_cls_token": False, "pooling_mode_mean_tokens": True}
        (folder / "1_Pooling" / "config.json").write_text(json.dumps(pooling))
        for name, rows, columns in (("2_Dense", 24, 16), ("3_Dense", 12, 24)):
            (folder / name).mkdir()
            layer = {"in_features": columns, "out_features": rows, "bias": False}
            activation = {"activation_function": "torch.nn.modules.linear.Identity"}
            (folder / name / "config.json").write_text(json.dumps(layer | activation))
            save_file({"linear.weight": torch.randn(rows, columns)}, folder / name / "model.safetensors")
    return model


def save_bert(folder: Path):
    from transformers import BertConfig, BertModel

    config = BertConfig(
        vocab_size=300, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32,
        max_position_embeddings=64, attn_implementation="eager",
    )  # fmt: skip
    model = randomised(BertModel(config))
    model.save_pretrained(folder)
    save_tokenizer(folder, "[CLS]", "[SEP]", "[PAD]", after=True, named="cls sep")
    return model
