# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Where pairs of clips and texts come from beside the tabletop world."""
