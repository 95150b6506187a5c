# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""VL-JEPA for ROS 2: embeddings of what a camera sees, events when the world changes, words on demand.

Kept free of imports: colcon lays the generated `msg` package beside these modules, and a checkout finds it through `extend_path`.
"""
__path__ = __import__("pkgutil").extend_path(__path__, __name__)

__version__ = "0.1.0"
