# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What computes a checkpoint's parts other than torch itself: exported graphs; and the choice of the fastest."""
