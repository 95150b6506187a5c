# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The RViz configuration and the Foxglove layout against what the nodes publish: another name or type breaks them in silence."""
from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from diagnostic_msgs.msg import DiagnosticArray
from sensor_msgs.msg import CompressedImage, Image

CONFIG = Path(__file__).parents[2] / "config"
TEXTS = ["The lamp is on.", "The drawer is open."]


@pytest.fixture
def topics(bench: Any) -> dict[str, type]:
    """Topic -> message type of everything that the three nodes publish or hear."""
    nodes = [bench.predictor(), bench.decoder(), bench.view(texts=TEXTS)]
    return {one.topic_name: one.msg_type for node in nodes for one in [*node.publishers, *node.subscriptions]}


def layout() -> dict[str, Any]:
    return json.loads((CONFIG / "foxglove.json").read_text())


def leaves(node: Any) -> Iterator[str]:
    """Panels of a mosaic, which parts its place in two until a panel is left."""
    if isinstance(node, str):
        yield node
        return
    assert node["direction"] in ("row", "column") and 5 <= node["splitPercentage"] <= 95
    yield from leaves(node["first"])
    yield from leaves(node["second"])


def test_rviz_shows_pictures_that_are_published_at_a_quality_that_is_offered(topics: dict[str, type], bench: Any) -> None:
    rviz = yaml.safe_load((CONFIG / "vljepa.rviz").read_text())
    displays = rviz["Visualization Manager"]["Displays"]
    assert {one["Class"] for one in displays} == {"rviz_default_plugins/Image"}, "nothing that needs a robot"
    shown = {one["Name"]: one["Topic"] for one in displays}
    assert shown["Understood"]["Value"] == "/view_node/image" and set(shown) <= set(rviz["Window Geometry"])
    for topic in shown.values():
        assert topics[topic["Value"]] is Image
    (offered,) = [one.qos_profile for one in bench.outside.get_publishers_info_by_topic("/view_node/image")]
    assert shown["Understood"]["Reliability Policy"].upper().replace(" ", "_") == offered.reliability.name
    assert shown["Camera"]["Reliability Policy"] == "Best Effort", "cameras offer that at least"


def test_every_panel_of_the_foxglove_layout_has_its_place() -> None:
    placed = list(leaves(layout()["layout"]))
    assert sorted(placed) == sorted(layout()["configById"])
    kinds = {one.split("!")[0] for one in placed}
    assert kinds == {"Image", "Plot", "RawMessages", "StateTransitions", "DiagnosticSummary"}


def paths(panels: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """(panel, message path) of everything that is read."""
    for name, panel in panels.items():
        yield from ((name, one["value"]) for one in panel.get("paths", []))
        yield from ((name, panel[key]) for key in ("topicPath", "topicToRender") if key in panel)
        if "imageMode" in panel:
            yield name, panel["imageMode"]["imageTopic"]


def test_every_path_of_the_foxglove_layout_leads_to_a_field_that_its_panel_can_show(topics: dict[str, type]) -> None:
    checked = 0
    for name, path in paths(layout()["configById"]):
        topic, _, field = path.partition(".")
        assert topic in topics, f"{name}: nobody publishes {topic}"
        kind, panel = topics[topic], name.split("!")[0]
        if panel == "Image":
            assert kind in (Image, CompressedImage), path
        elif panel == "DiagnosticSummary":
            assert kind is DiagnosticArray
        elif panel in ("Plot", "StateTransitions"):
            fields = kind.get_fields_and_field_types()
            assert field in fields, f"{name}: {kind.__name__} has no field {field!r}"
            shown = ("float", "double") if panel == "Plot" else ("string", "boolean", "uint32")
            assert fields[field] in shown, f"{name}: {path} is {fields[field]}"
        checked += 1
    assert checked >= 10


def test_curves_of_texts_are_those_that_the_configuration_file_proposes() -> None:
    from vljepa_ros.nodes.scalars import slugs

    lines = (CONFIG / "vljepa.yaml").read_text().split("/**/view_node:")[1].splitlines()
    start = next(k for k, line in enumerate(lines) if line.strip().startswith("# texts:"))
    proposed = [line.split("- ", 1)[1].strip() for line in lines[start + 1 :] if line.strip().startswith("#   - ")]
    assert proposed == TEXTS
    drawn = {one["value"]: one["label"] for one in layout()["configById"]["Plot!similarity"]["paths"]}
    assert drawn == {f"/view_node/similarity/{slug}.data": text for slug, text in zip(slugs(proposed), proposed)}
