"""The nodes, each in a process of its own. They configure and activate by themselves.

    ros2 launch vljepa_ros vljepa.launch.py image:=/camera/image_raw memory:=true
"""
from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.substitutions import FindPackageShare

UNCHANGED = ""  # arguments left empty leave what the config file says


def generate_launch_description() -> LaunchDescription:
    config = PathJoinSubstitution([FindPackageShare("vljepa_ros"), "config", "vljepa.yaml"])
    return LaunchDescription([
        DeclareLaunchArgument("config", default_value=config, description="YAML file with the parameters of all nodes"),
        DeclareLaunchArgument("checkpoint", default_value=UNCHANGED, description="a checkpoint's name or folder, for all nodes"),
        DeclareLaunchArgument("image", default_value="image", description="the camera's topic, without /compressed"),
        DeclareLaunchArgument("image_transport", default_value=UNCHANGED, description="raw or compressed"),
        DeclareLaunchArgument("memory", default_value="false", choices=["true", "false"],
                              description="true: segments are kept on disk and can be recalled (memory_node)"),
        DeclareLaunchArgument("namespace", default_value="", description="namespace of all nodes and their topics"),
        OpaqueFunction(function=_nodes),
    ])


def _nodes(context: LaunchContext) -> list[Node]:
    def given(*names: str) -> dict[str, str]:
        """Arguments that were given, as parameters."""
        values = {name: LaunchConfiguration(name).perform(context) for name in names}
        return {name: value for name, value in values.items() if value != UNCHANGED}

    def node(name: str, *arguments: str, **more) -> Node:
        return Node(
            package="vljepa_ros", executable=name, name=name, namespace=LaunchConfiguration("namespace"), output="screen",
            parameters=[LaunchConfiguration("config"), given(*arguments)], **more,
        )

    camera = [("image", LaunchConfiguration("image"))]
    nodes = [node("predictor_node", "checkpoint", "image_transport", remappings=camera), node("decoder_node", "checkpoint")]
    if LaunchConfiguration("memory").perform(context) == "true":
        nodes.append(node("memory_node", "checkpoint", "image_transport", remappings=camera))
    return nodes
