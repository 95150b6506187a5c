# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A bag, played to the nodes in its own time: every frame is computed, so that it gives the same every time.

    ros2 launch vljepa_ros replay.launch.py bag:=drive/ image:=/camera/image_raw
    ros2 launch vljepa_ros replay.launch.py bag:=drive/ image:=/camera/image_raw image_transport:=compressed rate:=2

All arguments of vljepa.launch.py are taken too. The nodes stay when the bag has ended, to be asked; Ctrl-C ends them.
"""
from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, ExecuteProcess, IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.substitutions import FindPackagePrefix

PATIENCE_S = "300"  # for the nodes to load their weights on a busy machine


def generate_launch_description() -> LaunchDescription:
    vljepa = PathJoinSubstitution([FindPackagePrefix("vljepa_ros"), "lib", "vljepa_ros", "vljepa"])
    nodes = PathJoinSubstitution([FindPackagePrefix("vljepa_ros"), "share", "vljepa_ros", "launch", "vljepa.launch.py"])
    rate = LaunchConfiguration("rate")
    return LaunchDescription([
        DeclareLaunchArgument("bag", description="a ROS 2 bag: its folder, or an .mcap or .db3 file"),
        DeclareLaunchArgument("rate", default_value="1.0", description="times as fast as it was recorded"),
        DeclareLaunchArgument("image", default_value="image", description="the camera's topic in the bag, without /compressed"),
        DeclareLaunchArgument("image_transport", default_value="", description="raw or compressed, as in the bag"),
        IncludeLaunchDescription(
            PythonLaunchDescriptionSource(nodes), launch_arguments={"sim_time": "true", "step": "true"}.items()
        ),
        ExecuteProcess(
            cmd=[vljepa, "play", LaunchConfiguration("bag"), "--clock", "--reliable", "--rate", rate, "--wait", PATIENCE_S],
            output="screen",
        ),
    ])
