# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a stream is understood as, drawn into its pictures for people. Knows no ROS and no network."""
