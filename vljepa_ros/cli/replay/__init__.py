# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`vljepa replay BAG`: a recorded bag through the streaming code of the nodes, faster than real time, to a report to read.

    command.py    options, and what is done in which order     page.py       report.html
    session.py    clips to what was understood                 facts.py      report.json
    settings.py   the nodes' parameters, from their YAML       charts.py     curves as SVG
    worth.py      selective against uniform                    outbag.py     the bag with our topics in it

How a bag is read lies in `evaluation/recorded`, which training reads it with too. Knows no rclpy: `rosbags` reads and writes.
"""
from vljepa_ros.cli.replay.command import add_arguments

__all__ = ["add_arguments"]
