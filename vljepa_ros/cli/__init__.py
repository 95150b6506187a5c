# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The command `vljepa`. Every module imports what it needs when it runs: `vljepa --help` needs neither ROS nor torch."""
