# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`python -m vljepa_training.tabletop bag ...`: the world's tools from the command line."""

from __future__ import annotations

import argparse
import sys

from vljepa_training.tabletop import bag


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m vljepa_training.tabletop", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    bag.add_arguments(commands.add_parser("bag", help="write a stream of the world as a ROS 2 bag with its truth"))
    args = parser.parse_args(argv)
    try:
        return args.run(args)
    except (ValueError, FileExistsError) as error:
        print(f"{parser.prog} {args.command}: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
