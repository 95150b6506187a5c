"""The command `vljepa`. Every module imports what it needs when it runs: `vljepa --help` needs neither ROS nor torch."""
