"""How well a stream was understood: boundary metrics, their baselines, and recorded frames through the streaming code.

Knows no rclpy.
"""
