# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A recorded bag as what a node would have seen of it: its messages, sound or damaged, become clips; and what is known of it.

    bag.py, salvage.py   topics and messages as bytes        clock.py    stamps of all epochs in one line
    serialised.py        camera messages as bytes            truth.py    segments that a person wrote or corrected
    cameras.py           a camera's messages to clips        types.py    what all of it is told in

Knows no rclpy: `rosbags` reads. Importing this package imports none of it: a player that only passes bytes on needs little.
"""
