# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The tabletop world: a scripted MuJoCo scene whose simulator state gives exact captions, answers, labels and boundaries."""
