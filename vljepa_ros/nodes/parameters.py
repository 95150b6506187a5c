# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Dataclasses of the core become ROS parameters, and ROS parameters that dataclass again, whole.

A field's default, range, choices and sentence are declared from it and named nowhere else. `ClipParams.stride_s` in the group
"clip" is the parameter `clip.stride_s`; fields of the group "" stand by themselves.

A bad value in a YAML file or on the command line does not kill the process: the parameter keeps its default, the fault is
remembered, and `read` raises it until somebody sets the parameter to something that fits. A whole number does for any number,
here and in later changes, which the node hands to `fitting` first: rclpy refuses another type without a word of the parameter.

Between configure and cleanup parameters are locked but for the live ones, which the node checks and then hears of.
"""
from __future__ import annotations

from array import array
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, dataclass, fields
from typing import Any, TypeVar

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor, SetParametersResult
from rclpy.node import Node
from rclpy.parameter import Parameter

from vljepa_ros.model.engine import ENGINES
from vljepa_ros.streaming.parameters import check, parameter

T = TypeVar("T")
NAMES = {bool: "true or false", int: "a whole number", float: "a number", str: "a text", tuple: "a list of texts"}
TYPES = {bool: Parameter.Type.BOOL, int: Parameter.Type.INTEGER, float: Parameter.Type.DOUBLE, str: Parameter.Type.STRING,
         tuple: Parameter.Type.STRING_ARRAY}


class ParameterError(ValueError):
    """A parameter's value cannot be used; the message names parameter, value and what is allowed."""


@dataclass(frozen=True)
class NodeParams:
    """What every node is told."""

    autostart: bool = parameter(True, "configure and activate by itself; false under an external lifecycle manager")
    checkpoint: str = parameter("tabletop", "a bundled checkpoint by name, or a checkpoint's folder")
    engine: str = parameter(
        "auto", "torch (full precision), torch-bf16, onnx, onnx-int8 (exported graphs); auto: the fastest that agrees with torch",
        choices=ENGINES,
    )
    graphs: str = parameter("", "the folder that `vljepa export` wrote to with --out; empty: where it writes by itself")
    device: str = parameter("auto", "where it computes: cpu, cuda, cuda:1, ...; auto takes a GPU where there is one")
    threads: int = parameter(0, "CPU threads of the network in this process; 0 leaves it to torch", (0, 256))

    def __post_init__(self) -> None:
        check(self, "")


class Parameters:
    """The parameters of one node."""

    def __init__(
        self, node: Node, groups: Mapping[str, type], locked: Callable[[], str],
        check_live: Callable[[str, Any], None] = lambda prefix, params: None, on_live: Callable[[], None] = lambda: None,
    ) -> None:
        """Declare `groups` (prefix -> dataclass). `locked` says why parameters may not be changed now, "" where they may.

        While they are locked, a change of live ones goes through `check_live(prefix, dataclass)`, which raises ValueError for
        what cannot be, and is told to `on_live` when it is done.
        """
        self._node = node
        self._groups = dict(groups)
        self._locked, self._check_live, self._on_live = locked, check_live, on_live
        self._faults: dict[str, str] = {}
        self._fields: dict[str, tuple[str, Field]] = {
            f"{prefix}.{field.name}".lstrip("."): (prefix, field)
            for prefix, group in self._groups.items() for field in fields(group)
        }
        for name, (prefix, field) in self._fields.items():
            self._declare(name, prefix, field)
        node.add_on_set_parameters_callback(self._on_set)
        node.add_post_set_parameters_callback(self._after_set)

    def read(self, prefix: str = "") -> Any:
        """The dataclass of a group, from the parameters as they are. Raises ParameterError."""
        mine = {name: field for name, (group, field) in self._fields.items() if group == prefix}
        for name in mine:
            if name in self._faults:
                raise ParameterError(self._faults[name])
        return self._build(prefix, {field.name: self.value(name) for name, field in mine.items()})

    def value(self, name: str) -> Any:
        """One parameter as it is."""
        value = self._node.get_parameter(name).value
        return tuple(value) if isinstance(_default(self._fields[name][1]), tuple) else value

    def fitting(self, changed: list[Parameter]) -> list[Parameter]:
        """A change with every value in its parameter's type; what others declared goes through. Raises ParameterError."""
        for one in changed:
            if not self._node.has_parameter(one.name):  # rclpy's own refusal forgets the name
                name = self._node.get_fully_qualified_name()
                raise ParameterError(f"{name} has no parameter {one.name!r}; `ros2 param list {name}` shows those it has")
        return [
            Parameter(one.name, *_typed(_fitting(one.name, one.value, _default(self._fields[one.name][1]))))
            if one.name in self._fields else one
            for one in changed
        ]

    def _declare(self, name: str, prefix: str, field: Field) -> None:
        default = _default(field)
        # rclpy raises where an override does not fit what is declared: ask for the override first, judge it here, declare then.
        given = self._node.declare_parameter(name, None, ParameterDescriptor(dynamic_typing=True)).value
        self._node.undeclare_parameter(name)
        try:
            value = default if given is None else _fitting(name, given, default)
            self._build(prefix, {field.name: value})
        except ParameterError as error:
            self._faults[name] = str(error)
            value = default
        descriptor = _descriptor(field)
        if isinstance(default, tuple):  # rclpy takes an empty list for an array of bytes, unless told otherwise
            self._node.declare_parameter(name, TYPES[tuple], descriptor, ignore_override=True)
            self._node.set_parameters([Parameter(name, TYPES[tuple], list(value))])
        else:
            self._node.declare_parameter(name, value, descriptor, ignore_override=True)

    def _build(self, prefix: str, values: dict[str, Any]) -> Any:
        try:
            return self._groups[prefix](**values)
        except ValueError as error:
            raise ParameterError(str(error).lstrip(".")) from None

    def _on_set(self, changed: list[Parameter]) -> SetParametersResult:
        mine = [one for one in changed if one.name in self._fields]
        reason = self._locked() if mine else ""
        if reason and (fixed := [one for one in mine if not self._is_live(one)]):
            return SetParametersResult(successful=False, reason=f"{fixed[0].name}: {reason}")
        try:
            for prefix in self._groups:
                news = {self._fields[one.name][1].name: one for one in mine if self._fields[one.name][0] == prefix}
                if news:
                    params = self._build(prefix, self._current(prefix) | {name: _plain(one) for name, one in news.items()})
                    if reason:
                        self._check_live(prefix, params)
        except ValueError as error:
            return SetParametersResult(successful=False, reason=str(error))
        for one in mine:
            self._faults.pop(one.name, None)
        return SetParametersResult(successful=True)

    def _after_set(self, changed: list[Parameter]) -> None:
        if any(one.name in self._fields and self._is_live(one) for one in changed) and self._locked():
            self._on_live()

    def _is_live(self, one: Parameter) -> bool:
        return self._fields[one.name][1].metadata["live"]

    def _current(self, prefix: str) -> dict[str, Any]:
        return {field.name: self.value(name) for name, (group, field) in self._fields.items() if group == prefix}


def _default(field: Field) -> Any:
    assert field.default is not MISSING, f"{field.name} has no default"
    return field.default


def _typed(value: Any) -> tuple[Parameter.Type, Any]:
    return TYPES[type(value)], list(value) if isinstance(value, tuple) else value


def _plain(one: Parameter) -> Any:
    return tuple(one.value or ()) if one.type_ == TYPES[tuple] else one.value


def _fitting(name: str, given: Any, default: Any) -> Any:
    """What was given, as the default's type. Raises ParameterError."""
    kind = type(default)
    if kind is float and isinstance(given, int) and not isinstance(given, bool):
        return float(given)
    if kind is tuple and isinstance(given, (list, tuple)) and all(isinstance(one, str) for one in given):
        return tuple(given)
    if type(given) is not kind:
        shown = list(given) if isinstance(given, array) else given  # what rclpy makes of numbers
        raise ParameterError(f"{name} must be {NAMES[kind]}, got {shown!r}")
    return given


def _descriptor(field: Field) -> ParameterDescriptor:
    descriptor = ParameterDescriptor(description=field.metadata["description"])
    bounds, choices = field.metadata.get("range"), field.metadata.get("choices")
    if bounds and isinstance(field.default, float):
        descriptor.floating_point_range = [FloatingPointRange(from_value=float(bounds[0]), to_value=float(bounds[1]))]
    elif bounds:
        descriptor.integer_range = [IntegerRange(from_value=int(bounds[0]), to_value=int(bounds[1]), step=1)]
    if choices:
        descriptor.additional_constraints = f"one of {', '.join(choices)}"
    return descriptor
