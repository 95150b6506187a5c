# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The command line of `vljepa fetch`."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from pathlib import Path

from .catalogue import CATALOGUE, find


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", nargs="?", help=f"one of {', '.join(CATALOGUE)}, or all; none: list them")
    parser.add_argument(
        "--out", type=Path, default=Path("parts"), metavar="DIR", help="a folder each in there (default: %(default)s)"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Exit status. 0: all there and verified. 2: no such thing. 3: no access. 4: network. 5: wrong hash. 130: Ctrl-C.

    With several names the others are still fetched; the status is the first failure's.
    """
    from .download import FetchError, fetch

    if args.name is None:
        print("\n".join(_listed()))
        return 0
    signal.signal(signal.SIGINT, signal.default_int_handler)
    status = 0
    try:
        entries = find(args.name)
        args.out.mkdir(parents=True, exist_ok=True)
        for name, entry in entries.items():
            try:
                fetch(name, entry, args.out, _endpoint(), _token(), lambda line: print(line, flush=True))
            except FetchError as error:
                print(f"vljepa fetch: {error}", file=sys.stderr)
                status = status or error.status
    except (ValueError, OSError) as error:
        print(f"vljepa fetch: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    return status


def _endpoint() -> str:
    return os.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")


def _token() -> str | None:
    from huggingface_hub import get_token

    return get_token()


def _listed() -> list[str]:
    width = max(len(name) for name in CATALOGUE)
    return [
        f"{name:{width}}  {one.repo}@{one.revision[:12]}  {one.what}; {'gated; ' if one.gated else ''}{one.licence}"
        for name, one in CATALOGUE.items()
    ]
