# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The core logs with `logging`; a node forwards it to the ROS log, under its own name."""
from __future__ import annotations

import logging

from rclpy.impl.rcutils_logger import RcutilsLogger


class RosHandler(logging.Handler):
    """Hands records of the logger `vljepa_ros` to a node's logger."""

    def __init__(self, logger: RcutilsLogger) -> None:
        super().__init__()
        self._logger = logger

    def attach(self) -> None:
        core = logging.getLogger("vljepa_ros")
        core.addHandler(self)
        core.setLevel(min(core.level or logging.INFO, logging.INFO))

    def detach(self) -> None:
        logging.getLogger("vljepa_ros").removeHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        text = self.format(record)
        # One call per severity: rclpy remembers a line's severity and refuses another.
        if record.levelno >= logging.ERROR:
            self._logger.error(text)
        elif record.levelno >= logging.WARNING:
            self._logger.warning(text)
        elif record.levelno >= logging.INFO:
            self._logger.info(text)
        else:
            self._logger.debug(text)
