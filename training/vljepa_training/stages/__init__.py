# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The stages of a training, one file each: a `Task` for `trainer.train`."""
