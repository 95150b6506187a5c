# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Evaluations of a checkpoint on worlds it never saw: `python -m vljepa_training.evals`."""
