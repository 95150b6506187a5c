# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""How well a stream was understood: boundary metrics, their baselines, and recorded frames through the streaming code.

Knows no rclpy.
"""
