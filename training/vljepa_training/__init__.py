# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Recipes, data, losses, trainer, evaluations and the tabletop world. Never needed on a robot."""
