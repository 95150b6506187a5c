# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The nodes, each in a process of its own. They configure and activate by themselves; one that dies is started again.

    ros2 launch vljepa_ros vljepa.launch.py image:=/camera/image_raw
    ros2 launch vljepa_ros vljepa.launch.py image:=/camera/image_raw memory:=true
    ros2 launch vljepa_ros vljepa.launch.py image:=/camera/image_raw view:=true rviz:=true
    ros2 launch vljepa_ros vljepa.launch.py image:=/camera/image_raw decoder:=false     # on the robot, and on another machine:
    ros2 launch vljepa_ros vljepa.launch.py predictor:=false
    ros2 launch vljepa_ros vljepa.launch.py cameras:=front,rear image:=image_raw     # /front/image_raw, /rear/image_raw

With `cameras` one predictor serves them all; every other node exists once per camera, in the camera's namespace.

replay.launch.py plays a bag to them.
"""
import time
from collections.abc import Callable

from ament_index_python.packages import PackageNotFoundError, get_package_prefix
from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, LogInfo, OpaqueFunction, TimerAction
from launch.events.process import ProcessExited
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.substitutions import FindPackageShare

UNCHANGED = ""  # arguments left empty leave what the config file says
NO_RVIZ = "rviz:=true, but rviz2 is not installed (apt: ros-$ROS_DISTRO-rviz2); everything else runs"
FIRST_DELAY_S, LONGEST_DELAY_S = 1.0, 60.0  # before a node that died is started again; twice as long each time
OF_A_CAMERA = ("embedding", "transition", "distance", "space")  # the predictor's topics that other nodes may hear
HEALTHY_S = 120.0  # a node that ran for so long did not die of how it was started: the delay begins anew


def generate_launch_description() -> LaunchDescription:
    config = PathJoinSubstitution([FindPackageShare("vljepa_ros"), "config", "vljepa.yaml"])
    return LaunchDescription([
        DeclareLaunchArgument("config", default_value=config, description="YAML file with the parameters of the nodes"),
        DeclareLaunchArgument("checkpoint", default_value=UNCHANGED, description="a checkpoint's name or folder, for all nodes"),
        DeclareLaunchArgument("image", default_value="image", description="the camera's topic, without /compressed"),
        DeclareLaunchArgument("cameras", default_value="", description="names of several cameras on one model, a comma between; "
                              "then `image` is each one's topic in the namespace of its name"),
        DeclareLaunchArgument("image_transport", default_value=UNCHANGED, description="raw or compressed"),
        DeclareLaunchArgument("predictor", default_value="true", description="false: the predictor runs on another machine"),
        DeclareLaunchArgument("decoder", default_value="true", description="false: the decoder runs on another machine, or not"),
        DeclareLaunchArgument("sim_time", default_value="false", description="true: the nodes live in the time of /clock"),
        DeclareLaunchArgument("step", default_value="false", description="true: each frame waits for its clip; for bags only"),
        DeclareLaunchArgument("respawn", default_value="true", description="false: a node that dies stays dead"),
        DeclareLaunchArgument("memory", default_value="false", description="true: segments are kept on disk and can be recalled"),
        DeclareLaunchArgument("namespace", default_value="", description="namespace of the nodes and their topics"),
        DeclareLaunchArgument("view", default_value="false", description="true: the annotated picture and numbers for plots too"),
        DeclareLaunchArgument("rviz", default_value="false", description="true: RViz with that picture, where it is installed"),
        OpaqueFunction(function=_nodes),
    ])


def _nodes(context: LaunchContext) -> list:
    def value(name: str) -> str:
        return LaunchConfiguration(name).perform(context)

    def asked(name: str) -> bool:
        if value(name).lower() not in ("true", "false", "1", "0"):
            raise ValueError(f"{name} must be true or false, got {value(name)!r}")
        return value(name).lower() in ("true", "1")

    def given(*names: str) -> dict[str, str]:
        """Arguments that were given, as parameters."""
        return {name: value(name) for name in names if value(name) != UNCHANGED}

    choices: dict[str, bool] = {"use_sim_time": True} if asked("sim_time") else {}
    respawn = asked("respawn")

    def node(name: str, *arguments: str, camera: str = "", own: dict | None = None, **more) -> Node:
        def start(**on_exit) -> Node:
            return Node(
                package="vljepa_ros", executable=name, name=name, namespace=f"{base}/{camera}".rstrip("/"), output="screen",
                parameters=[LaunchConfiguration("config"), given(*arguments), {**choices, **(own or {})}], **more, **on_exit,
            )

        return _kept_alive(name, start, FIRST_DELAY_S) if respawn else start()

    stepping, base = asked("step"), f"/{value('namespace').strip('/')}".rstrip("/")
    cameras = [one.strip() for one in value("cameras").split(",") if one.strip()]
    if cameras and (value("image").startswith("/") or asked("rviz")):
        raise ValueError(f"with cameras, image must be relative and rviz false, got {value('image')!r}, {value('rviz')!r}")
    actions = []
    if asked("predictor"):
        own = ({"step": True} if stepping else {}) | ({"cameras": cameras} if cameras else {})
        topics = [(f"{one}/image", f"{one}/{value('image')}") for one in cameras] or [("image", value("image"))]
        actions.append(node("predictor_node", "checkpoint", "image_transport", own=own, remappings=topics))
    for camera in cameras or [""]:
        topics = [("image", value("image"))]
        if camera:
            topics += [(f"predictor_node/{one}", f"{base}/predictor_node/{camera}/{one}") for one in OF_A_CAMERA]
        embedding = f"{base}/predictor_node/{camera}/embedding".replace("//", "/")
        own = {f"qos_overrides.{embedding}.subscription.history": "keep_all"} if stepping else {}
        if asked("decoder"):
            actions.append(node("decoder_node", "checkpoint", camera=camera, own=own, remappings=topics))
        if asked("memory"):
            own = {"memory.path": f"~/.ros/vljepa_ros/memory_{camera}.sqlite"} if camera else {}
            actions.append(node("memory_node", "checkpoint", "image_transport", camera=camera, own=own, remappings=topics))
        if asked("view") or asked("rviz"):
            actions.append(node("view_node", "checkpoint", "image_transport", camera=camera, remappings=topics))
    if asked("rviz"):
        actions.append(_rviz(value("namespace"), value("image")))
    return actions


def _kept_alive(name: str, start: Callable[..., Node], delay_s: float) -> Node:
    """The node, and what starts it again when it has died: after `delay_s`, then after ever longer, never at once for ever."""
    began = time.monotonic()

    def on_exit(event: ProcessExited, context: LaunchContext) -> list | None:
        if context.is_shutdown or event.returncode == 0:
            return None
        after_s = FIRST_DELAY_S if time.monotonic() - began > HEALTHY_S else delay_s
        again = OpaqueFunction(function=lambda _: [_kept_alive(name, start, min(2 * after_s, LONGEST_DELAY_S))])
        return [
            LogInfo(msg=f"{name} died (exit status {event.returncode}); it is started again in {after_s:g} s"),
            TimerAction(period=after_s, actions=[again]),
        ]

    return start(on_exit=on_exit)


def _rviz(namespace: str, image: str) -> Node | LogInfo:
    """RViz has its topics from its file, where they are those of nodes in no namespace and of a camera on /image."""
    try:
        get_package_prefix("rviz2")
    except PackageNotFoundError:
        return LogInfo(msg=NO_RVIZ)
    ours = f"/{namespace.strip('/')}" if namespace.strip("/") else ""
    return Node(
        package="rviz2", executable="rviz2", output="screen",
        arguments=["-d", PathJoinSubstitution([FindPackageShare("vljepa_ros"), "config", "vljepa.rviz"])],
        remappings=[
            ("/view_node/image", f"{ours}/view_node/image"),
            ("/image", image if image.startswith("/") else f"{ours}/{image}"),
        ],
    )
