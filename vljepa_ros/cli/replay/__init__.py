"""`vljepa replay BAG`: a recorded bag through the streaming code of the nodes, faster than real time, to a report to read.

    bag.py, salvage.py   the bag, sound or damaged          command.py        options, and what is done in which order
    cameras.py           its messages to clips              charts.py         curves as SVG
    session.py           clips to what was understood       page.py           report.html
    truth.py             what is known of it                facts.py          report.json
    worth.py             selective against uniform          outbag.py         the bag with our topics in it

Knows no rclpy: `rosbags` reads and writes, and pixels come from messages by the nodes' own `nodes/images.py`, which needs no ROS.
"""
from vljepa_ros.cli.replay.command import add_arguments

__all__ = ["add_arguments"]
