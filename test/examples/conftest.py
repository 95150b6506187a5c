# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The client's stage: both nodes, a camera, a thread that runs them."""
from __future__ import annotations

import importlib.util
from pathlib import Path

_spec = importlib.util.spec_from_file_location("client_stage", Path(__file__).parents[1] / "client" / "conftest.py")
_client = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_client)
bench, stage = _client.bench, _client.stage
