# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`vljepa fetch NAME|all`: parts and checkpoints from a model hub into local folders, once; everything else runs offline.

catalogue.py   what can be fetched: repository, pinned commit, licence, which files
download.py    one entry onto the disk, whole and verified, or an error of one line
command.py     the command line and its exit codes
"""

from .command import add_arguments

__all__ = ["add_arguments"]
