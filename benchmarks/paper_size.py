# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The paper's size on this machine, with random weights: `python benchmarks/paper_size.py [equal counts step]`.

equal: a ViT-L of full depth is written in the hub's format, read by `VisionEncoder.from_pretrained` and held against
transformers' own VJEPA2Model on one clip of 16 x 256 x 256 in fp32: largest difference, time of both, taking turns. counts:
parameters per part. step: one training step of the whole model, bf16, activation checkpointing: gradient in every trained tensor,
none in frozen ones, peak memory. Each part runs in a process of its own, whose peak is its own.
"""
from __future__ import annotations

import argparse
import functools
import resource
import statistics
import subprocess
import sys
import tempfile
import time

import psutil
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from vljepa_ros.model import Predictor, TextDecoder, TextEncoder, VisionEncoder, paper
from vljepa_training.losses import InfoNCE

PARTS = ("counts", "equal", "step")
STEP_GIB = 12.0  # free memory that the step is given


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)} (default: all)")
    parser.add_argument("--rounds", type=int, default=2, help="of both encoders, after one that warms up")
    parser.add_argument("--batch", type=int, default=2, help="clips of the training step")
    parser.add_argument("--threads", type=int, default=0, help="CPU threads, 0 leaves it to torch")
    args = parser.parse_args()
    if unknown := sorted(set(args.parts) - set(PARTS)):
        parser.error(f"parts are {', '.join(PARTS)}, got {unknown[0]}")
    if len(args.parts) != 1:
        common = ["--rounds", str(args.rounds), "--batch", str(args.batch), "--threads", str(args.threads)]
        for part in args.parts or PARTS:
            subprocess.run([sys.executable, __file__, part, *common], check=True)
        return
    if args.threads:
        torch.set_num_threads(args.threads)
    {"equal": equal, "counts": counts, "step": step}[args.parts[0]](args)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"{args.parts[0]}: peak memory {peak:.2f} GiB, {torch.get_num_threads()} threads", flush=True)


def counts(args: argparse.Namespace) -> None:
    for name, module in build("meta").items():
        every = sum(p.numel() for p in module.parameters())
        trained = sum(p.numel() for p in module.parameters() if p.requires_grad)
        print(f"{name:13} {every / 1e6:8.2f} M parameters, {trained / 1e6:8.2f} M trained")
    print(f"{'dimensions':13} {paper().dim:8d}")


def build(device: str) -> dict[str, nn.Module]:
    """All parts at the paper's size; the X-Encoder frozen, as published."""
    config = paper()
    with torch.device(device):
        return {
            "vision": VisionEncoder(config.vision).requires_grad_(False),
            "predictor": Predictor(config.predictor, config.vision.hidden_size, config.dim),
            "text_encoder": TextEncoder(config.text_encoder, config.dim),
            "text_decoder": TextDecoder(config.text_decoder, config.dim),
        }


def equal(args: argparse.Namespace) -> None:
    from transformers import VJEPA2Config, VJEPA2Model

    torch.manual_seed(0)
    theirs = VJEPA2Model(VJEPA2Config(pred_hidden_size=12, pred_num_attention_heads=1, pred_num_hidden_layers=1)).eval()
    with torch.no_grad():
        for name, parameter in theirs.named_parameters():
            if parameter.ndim == 1:  # a lost bias or norm would not show
                parameter.add_(torch.randn_like(parameter), alpha=0.1 if "bias" in name else 0.02)
    with tempfile.TemporaryDirectory(prefix="vitl_") as folder:
        theirs.save_pretrained(folder, max_shard_size="400MB")
        ours = VisionEncoder.from_pretrained(folder, frames=16)
    frames = torch.randn(1, 16, 3, 256, 256)
    runs = {"ours": lambda: ours(frames), "transformers": lambda: theirs(frames, skip_predictor=True).last_hidden_state}
    times: dict[str, list[float]] = {name: [] for name in runs}
    with torch.inference_mode():
        difference = (runs["ours"]() - runs["transformers"]()).abs().max().item()
        for _ in range(args.rounds):
            for name, run in runs.items():
                start = time.perf_counter()
                run()
                times[name].append(time.perf_counter() - start)
    median = {name: statistics.median(values) for name, values in times.items()}
    print(f"ViT-L, 24 layers, 16 x 256 x 256, fp32: largest difference {difference:.2e}")
    print(f"seconds per clip: ours {median['ours']:.2f}, transformers {median['transformers']:.2f},"
          f" ratio {median['transformers'] / median['ours']:.2f}")  # fmt: skip
    if difference > 1e-5:
        raise SystemExit(f"the two differ by {difference:.2e}, more than 1e-5")


def step(args: argparse.Namespace) -> None:
    free = psutil.virtual_memory().available / 2**30
    if free < STEP_GIB:
        raise SystemExit(f"step needs {STEP_GIB:g} GiB of free memory, {free:.1f} are")
    config = paper()
    torch.manual_seed(0)
    torch.set_default_dtype(torch.bfloat16)  # weights, gradients and the optimizer's state: fp32 would take 15 GB
    parts = build("cpu")
    torch.set_default_dtype(torch.float32)
    parts["vision"].float()  # layer_norm takes no bf16 weights for fp32 tokens on a CPU
    del parts["text_decoder"]  # trained after the others, on text alone
    parts["text_encoder"].model.gradient_checkpointing_enable()
    for block in parts["predictor"].stack.blocks:
        block.forward = functools.partial(checkpoint, block.forward, use_reentrant=False)
    trained = [p for module in parts.values() for p in module.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=5e-5, foreach=False)
    frames = torch.randn(args.batch, config.vision.frames, 3, config.vision.image_size, config.vision.image_size)
    ids = torch.randint(1, min(30_000, config.predictor.vocab_size), (args.batch, 16))
    mask = torch.arange(16).expand(args.batch, -1) < 12
    start = time.perf_counter()
    with torch.autocast("cpu", torch.bfloat16):
        with torch.no_grad():
            tokens = parts["vision"](frames)
        predicted = parts["predictor"](tokens, ids, mask)
        target = parts["text_encoder"](ids, mask)
    loss, _ = InfoNCE()(predicted, target, torch.arange(args.batch))
    forward = time.perf_counter() - start
    loss.backward()
    backward = time.perf_counter() - start - forward
    for name, module in parts.items():
        silent = [key for key, p in module.named_parameters() if p.requires_grad and not (p.grad is not None and p.grad.any())]
        leaking = [key for key, p in module.named_parameters() if not p.requires_grad and p.grad is not None]
        with_gradient = sum(p.numel() for p in module.parameters() if p.grad is not None)
        frozen = sum(p.numel() for p in module.parameters() if not p.requires_grad)
        print(f"{name:13} gradient in {with_gradient / 1e6:7.2f} M, frozen {frozen / 1e6:7.2f} M")
        if silent or leaking:
            raise SystemExit(f"{name}: no gradient in {silent[:5]}, a gradient in the frozen {leaking[:5]}")
    optimizer.step()
    whole = time.perf_counter() - start
    print(f"batch {args.batch}, bf16: loss {loss.item():.3f}")
    print(f"forward {forward:.1f} s, backward {backward:.1f} s, step {whole:.1f} s")


if __name__ == "__main__":
    main()
