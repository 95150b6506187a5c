"""The nodes, each in a process of its own. They configure and activate by themselves.

    ros2 launch vljepa_ros vljepa.launch.py image:=/camera/image_raw
    ros2 launch vljepa_ros vljepa.launch.py image:=/camera/image_raw memory:=true
    ros2 launch vljepa_ros vljepa.launch.py image:=/camera/image_raw view:=true rviz:=true
"""
from ament_index_python.packages import PackageNotFoundError, get_package_prefix
from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, LogInfo, OpaqueFunction
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.substitutions import FindPackageShare

UNCHANGED = ""  # arguments left empty leave what the config file says
RESPAWN_S = 2.0  # a node whose device is lost ends with a status; a new process is what helps
NO_RVIZ = "rviz:=true, but rviz2 is not installed (apt: ros-$ROS_DISTRO-rviz2); everything else runs"


def generate_launch_description() -> LaunchDescription:
    config = PathJoinSubstitution([FindPackageShare("vljepa_ros"), "config", "vljepa.yaml"])
    return LaunchDescription([
        DeclareLaunchArgument("config", default_value=config, description="YAML file with the parameters of the nodes"),
        DeclareLaunchArgument("checkpoint", default_value=UNCHANGED, description="a checkpoint's name or folder, for all nodes"),
        DeclareLaunchArgument("image", default_value="image", description="the camera's topic, without /compressed"),
        DeclareLaunchArgument("image_transport", default_value=UNCHANGED, description="raw or compressed"),
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

    def node(name: str, *arguments: str, **more) -> Node:
        return Node(
            package="vljepa_ros", executable=name, name=name, namespace=LaunchConfiguration("namespace"), output="screen",
            parameters=[LaunchConfiguration("config"), given(*arguments)], respawn=True, respawn_delay=RESPAWN_S, **more,
        )

    camera = [("image", LaunchConfiguration("image"))]
    actions = [
        node("predictor_node", "checkpoint", "image_transport", remappings=camera),
        node("decoder_node", "checkpoint"),
    ]
    if asked("memory"):
        actions.append(node("memory_node", "checkpoint", "image_transport", remappings=camera))
    if asked("view") or asked("rviz"):
        actions.append(node("view_node", "checkpoint", "image_transport", remappings=camera))
    if asked("rviz"):
        actions.append(_rviz(value("namespace"), value("image")))
    return actions


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
