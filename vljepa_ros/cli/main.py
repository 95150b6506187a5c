# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The command `vljepa`. A subcommand lives in a module of its own, which is imported when it is needed."""
from __future__ import annotations

import argparse
import sys
from importlib import import_module

COMMANDS = {
    "demo": "play the bundled bag, or your own, through both nodes, and see what they make of it",
    "replay": "run a recorded bag through the streaming code, faster than real time, into a report",
    "play": "publish a bag's cameras, as now or with the bag's own clock and stamps",
    "recall": "ask a robot's memory when the world was like a text says, or when it became so",
    "export": "write a checkpoint's vision encoder and predictor as ONNX graphs, for the engines onnx and onnx-int8",
    "annotate": "write a first segments file from what the model makes of a bag, for a person to correct",
    "import": "make a checkpoint of weights that others published: V-JEPA 2, Llama, EmbeddingGemma, open-vljepa",
    "fetch": "download parts and checkpoints from a model hub, once, verified; everything else runs offline",
    "doctor": "check ROS, the DDS profile, GPU, weights and topics, and say what to do about what is wrong",
}
MODULES = {"import": "importing"}  # where the command's name is none for a module


def main(argv: list[str] | None = None) -> int:
    """Run a subcommand; its exit status."""
    argv = sys.argv[1:] if argv is None else argv
    parser = argparse.ArgumentParser(prog="vljepa", description="Meaning from a camera topic: embeddings, transitions, words.")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, help_text in COMMANDS.items():
        one = commands.add_parser(name, help=help_text, description=help_text[0].upper() + help_text[1:] + ".")
        import_module(f"vljepa_ros.cli.{MODULES.get(name, name)}").add_arguments(one)
    args = parser.parse_args(argv)
    return args.run(args)


if __name__ == "__main__":
    sys.exit(main())
