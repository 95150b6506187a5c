"""The ROS 2 nodes. Everything that knows rclpy lies here; what it runs lies in `model` and `streaming`."""
