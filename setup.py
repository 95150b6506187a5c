# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Where the two Python packages lie: `vljepa_ros` at the root, `vljepa_training` below training/. All else is in pyproject.toml.

For pip on machines without ROS (no messages, no nodes). colcon takes the build type from package.xml and never reads this file.
"""
from setuptools import find_packages, setup

INTERFACES = "vljepa_ros.assets.interfaces"  # the .msg files, from which bags with our messages are written without ROS

setup(
    packages=find_packages(include=["vljepa_ros*"]) + find_packages("training") + [INTERFACES],
    package_dir={"vljepa_training": "training/vljepa_training", INTERFACES: "msg"},
    package_data={"vljepa_ros": ["assets/**/*"], INTERFACES: ["*.msg"], "vljepa_training": ["*.j2"]},
)
