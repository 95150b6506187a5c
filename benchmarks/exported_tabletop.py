# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Exported graphs against torch on clips of worlds never seen: `python benchmarks/exported_tabletop.py`. Needs MuJoCo."""
from __future__ import annotations

import argparse
import tempfile

import numpy as np

from vljepa_ros.model import VLJEPA
from vljepa_ros.model.engines.export import export_graphs
from vljepa_ros.model.engines.graphs import PARTS
from vljepa_ros.model.engines.onnx import ENGINES
from vljepa_training.evals.clips import draw_clips


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--checkpoint", default="tabletop")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--seed", type=int, default=1, help="of the worlds")
    parser.add_argument("--per-class", type=int, default=2, help="clips of every kind of event")
    args = parser.parse_args()
    exact = VLJEPA.from_pretrained(args.checkpoint, device="cpu", engine="torch", parts=PARTS)
    queries = list(exact.config.prompts.values())
    clips = draw_clips(args.seed, args.per_class, split="eval", image_size=exact.config.preprocess.image_size)
    wanted = [exact.embed_queries(clip.frames, queries) for clip in clips]
    with tempfile.TemporaryDirectory() as graphs:
        export_graphs(exact.config, *(exact.modules[part] for part in PARTS), exact.sha256, graphs)
        for name in ENGINES:
            model = VLJEPA.from_pretrained(args.checkpoint, device=args.device, engine=name, parts=PARTS, graphs=graphs)
            found = [model.embed_queries(clip.frames, queries) for clip in clips]
            cosines = np.concatenate([(a * b).sum(-1) for a, b in zip(wanted, found)])
            difference = max(np.abs(a - b).max() for a, b in zip(wanted, found))
            print(
                f"{name}, {len(clips)} clips, {len(queries)} queries each: largest difference {difference:.1e}, "
                f"cosine at least {cosines.min():.5f}, mean {cosines.mean():.5f}"
            )


if __name__ == "__main__":
    main()
