# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The nodes' YAML for a replay: the parameters that shape a stream, read from the file that the nodes are started with."""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import yaml

from vljepa_ros.cli.replay.session import Settings
from vljepa_ros.streaming import ClipParams, DecodeParams, TransitionParams

NODES = {"predictor_node": {"clip": ClipParams, "transition": TransitionParams}, "decoder_node": {"decode": DecodeParams}}


def read_settings(path: Path | None) -> Settings:
    """ValueError names file and parameter. What concerns the process (threads, transport, autostart) is left alone."""
    if path is None:
        return Settings()
    try:
        data = yaml.safe_load(path.read_text())
    except OSError as error:
        raise ValueError(f"{path}: cannot be read ({error.strerror})") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: no YAML ({error})") from None
    if not isinstance(data, Mapping) or not any(_is(name, node) for name in data for node in NODES):
        raise ValueError(f"{path}: no parameters of predictor_node or decoder_node in it; see config/vljepa.yaml")
    groups: dict[str, Any] = {}
    query = None
    for node, kinds in NODES.items():
        given = _parameters(data, node)
        for group, kind in kinds.items():
            groups[group] = _group(path, group, kind, given)
        if node == "predictor_node" and given.get("queries"):
            query = str(given["queries"][0])
    return Settings(**groups, query=query)


def _is(name: Any, node: str) -> bool:
    """Whether a key names the node, by itself, in a namespace, or by a pattern for all."""
    return str(name).split("/")[-1] in (node, "*", "**")


def _parameters(data: Mapping, node: str) -> dict[str, Any]:
    """By full name (`clip.stride_s`), nested or not; later sections win, as in ROS."""
    out: dict[str, Any] = {}
    for name, section in data.items():
        if _is(name, node) and isinstance(section, Mapping):
            out |= _flat(section.get("ros__parameters") or {})
    return out


def _flat(values: Mapping, prefix: str = "") -> dict[str, Any]:
    out: dict[str, Any] = {}
    for key, value in values.items():
        out |= _flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return out


def _group(path: Path, group: str, kind: type, given: Mapping[str, Any]) -> Any:
    own = {name.removeprefix(f"{group}."): value for name, value in given.items() if name.startswith(f"{group}.")}
    known = {field.name for field in fields(kind)}
    if unknown := sorted(set(own) - known):
        raise ValueError(f"{path}: no parameter {group}.{unknown[0]}; there are {', '.join(sorted(known))}")
    try:
        return kind(**own)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path}: {error}") from None
