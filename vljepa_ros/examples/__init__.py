# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Small nodes that use the client, to run as they are or to begin one's own from."""
