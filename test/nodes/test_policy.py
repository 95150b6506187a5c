# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The SROS2 policy lists what the running nodes have in the graph: all of it, or they would fail, and nothing more."""
from __future__ import annotations

import xml.etree.ElementTree as ET
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest

POLICY = Path(__file__).parents[2] / "config" / "sros2_policy.xml"
KINDS = {  # element and attribute of the policy -> how rclpy asks the graph for the same
    ("topics", "publish"): "get_publisher_names_and_types_by_node",
    ("topics", "subscribe"): "get_subscriber_names_and_types_by_node",
    ("services", "reply"): "get_service_names_and_types_by_node",
    ("services", "request"): "get_client_names_and_types_by_node",
}
NODES = ("predictor", "decoder", "memory", "view")


def allowed() -> dict[str, dict[tuple[str, str], set[str]]]:
    """node -> kind -> full names."""
    found = {}
    for profile in ET.parse(POLICY).getroot().iter("profile"):
        name, base = profile.get("node"), profile.get("ns").rstrip("/")
        found[name] = {kind: set() for kind in KINDS}
        for group in profile:
            (verb,) = [verb for verb in ("publish", "subscribe", "reply", "request") if group.get(verb) == "ALLOW"]
            for one in group:
                names = {"~": f"{base}/{name}/{one.text[1:]}", "/": one.text}
                found[name][group.tag, verb].add(names.get(one.text[0], f"{base}/{one.text}"))
    return found


def test_every_node_has_an_enclave_of_its_own() -> None:
    enclaves = list(ET.parse(POLICY).getroot().iter("enclave"))
    assert [one.get("path") for one in enclaves] == [f"/vljepa_ros/{name}_node" for name in NODES]
    assert [one.find("profiles/profile").get("node") for one in enclaves] == [f"{name}_node" for name in NODES]
    assert not list(ET.parse(POLICY).getroot().iter("actions")), "there are none"


@pytest.mark.parametrize("name", NODES)
def test_the_graph_is_the_policy(bench: Any, name: str) -> None:
    """In both ways of running that differ in topics, once after the other: raw images and this machine's clock; compressed ones,
    simulated time."""
    from sensor_msgs.msg import Image

    policy, full = allowed()[f"{name}_node"], f"{name}_node"
    seen: dict[tuple[str, str], set[str]] = {kind: set() for kind in KINDS}
    for transport in ("raw", "compressed"):
        special: dict[str, Any] = {} if name == "decoder" else {"image_transport": transport}
        if name == "view":
            special["texts"] = ["The lamp is on.", "The drawer is open."]
            bench.outside.create_subscription(Image, "view_node/image", lambda _: None, 1)  # it listens while somebody looks
        node = getattr(bench, name)(use_sim_time=transport == "compressed", **special)

        def listed() -> bool:
            for kind, ask in KINDS.items():
                seen[kind] |= {one for one, _ in getattr(bench.outside, ask)(full, "/")}  # noqa: B023
            wanted = {one for names in policy.values() for one in names if not fits(one, seen) and due(one, transport)}  # noqa: B023
            return not wanted

        bench.until(listed, f"what the policy lists for {full}")
        bench.executor.remove_node(node)
        node.destroy_node()
        bench.until(lambda: full not in bench.outside.get_node_names(), "its end")
    for kind, names in policy.items():
        foreign = {one for one in seen[kind] if not any(fnmatchcase(one, pattern) for pattern in names)}
        unused = {pattern for pattern in names if not any(fnmatchcase(one, pattern) for one in seen[kind])}
        assert not foreign, f"{full} has {kind} that the policy lacks: {sorted(foreign)}"
        assert not unused, f"the policy allows {full} {kind} that it never has: {sorted(unused)}"


def fits(pattern: str, seen: dict[tuple[str, str], set[str]]) -> bool:
    return any(fnmatchcase(one, pattern) for names in seen.values() for one in names)


def due(pattern: str, transport: str) -> bool:
    """Whether it must be there with this transport already; at the end, all must have been."""
    return transport == "compressed" or pattern not in ("/clock", "/image/compressed")
