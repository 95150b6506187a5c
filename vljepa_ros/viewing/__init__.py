"""What a stream is understood as, drawn into its pictures for people. Knows no ROS and no network."""
