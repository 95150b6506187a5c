# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The ROS 2 nodes. Everything that knows rclpy lies here; what it runs lies in `model` and `streaming`."""
