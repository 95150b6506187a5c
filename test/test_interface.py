# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Messages and services as they are built, as their files say, and as readers without ROS see them (rosbags, from the text)."""
from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[1]
FILES = {path.stem: path for folder in ("msg", "srv") for path in sorted((ROOT / folder).glob(f"*.{folder}"))}
DESIGNED = {
    "SemanticEmbedding": "header clip_start epoch sequence space_id query novelty vector",
    "WorldStateTransition": "header boundary segment_start epoch segment distance threshold space_id before after",
    "WorldStateDistance": "header epoch segment segment_start distance threshold",
    "DecodedText": "header segment_start segment_end segment epoch trigger query text confidence familiar label score "
    "decode_seconds",
    "EmbeddingSpace": "space_id model sha256 dim clip_frames clip_period image_size queries",
    "MemorySegment": "start end before epoch segment frame_id score text confidence familiar label thumbnail",
}
SERVICES = {  # request, response
    "Predict": ("query", "success message embedding seconds"),
    "EncodeText": ("texts", "success message space_id dim vectors seconds"),
    "DecodeText": ("space_id dim vectors", "success message texts confidences familiar seconds"),
    "Recall": ("text against mode since until count thumbnails", "success message space_id searched skipped segments seconds"),
}


@pytest.mark.parametrize("path", FILES.values(), ids=FILES)
def test_every_line_of_a_definition_is_commented(path):
    lines = [line for line in path.read_text().splitlines() if line and not line.startswith(("#", "---"))]
    bare = [line for line in lines if not re.search(r"\s# \S", line)]
    assert not bare, f"{path.name}: say what it is, its unit and its norm: {bare}"


def test_every_definition_is_built():
    cmake = (ROOT / "CMakeLists.txt").read_text()
    assert [name for name, path in FILES.items() if f'"{path.parent.name}/{path.name}"' not in cmake] == []


@pytest.mark.parametrize("name", DESIGNED)
def test_fields_are_those_of_the_design(name):
    from vljepa_ros import msg

    assert " ".join(getattr(msg, name).get_fields_and_field_types()) == DESIGNED[name]


@pytest.mark.parametrize("name", SERVICES)
def test_services_are_those_of_the_design(name):
    from vljepa_ros import srv

    service = getattr(srv, name)
    assert tuple(" ".join(half.get_fields_and_field_types()) for half in (service.Request, service.Response)) == SERVICES[name]


def test_nothing_is_defined_that_is_not_designed():
    assert set(FILES) == set(DESIGNED) | set(SERVICES)


def test_modes_of_recall_are_the_core_s():
    from vljepa_ros.memory import Mode
    from vljepa_ros.srv import Recall

    assert {name: getattr(Recall.Request, name) for name in Mode.__members__} == {mode.name: mode.value for mode in Mode}


def test_triggers_are_the_core_s():
    from vljepa_ros.msg import DecodedText
    from vljepa_ros.streaming import Trigger

    assert {name: getattr(DecodedText, name) for name in Trigger.__members__} == {t.name: t.value for t in Trigger}


def a_value(message: object, seed: int = 0) -> object:
    """Fill every field of a message with something that is not its default, nested messages too."""
    for place, (field, kind) in enumerate(message.get_fields_and_field_types().items(), start=seed + 1):
        if kind == "sequence<float>":
            setattr(message, field, np.linspace(-1, 1, 5 + place, dtype=np.float32))
        elif kind == "sequence<uint8>":
            setattr(message, field, bytes(range(place)))
        elif kind == "sequence<string>":
            setattr(message, field, [f"{field} {i}" for i in range(place)])
        elif kind == "string":
            setattr(message, field, f"{field} Ω{place}")
        elif kind == "boolean":
            setattr(message, field, True)
        elif kind in ("float", "double"):
            setattr(message, field, place + 0.5)
        elif "/" in kind:
            a_value(getattr(message, field), place)
        else:
            setattr(message, field, place)
    return message


@pytest.mark.parametrize("name", DESIGNED)
def test_rosbags_reads_what_ros_writes(name):
    """A planner or a notebook with nothing but the .msg text reads every field as it was."""
    from rclpy.serialization import serialize_message
    from rosbags.typesys import Stores, get_types_from_msg, get_typestore

    from vljepa_ros import msg

    store = get_typestore(Stores.ROS2_JAZZY)
    for stem, path in ((stem, path) for stem, path in FILES.items() if path.suffix == ".msg"):
        store.register(get_types_from_msg(path.read_text(), f"vljepa_ros/msg/{stem}"))
    sent = a_value(getattr(msg, name)())
    received = store.deserialize_cdr(serialize_message(sent), f"vljepa_ros/msg/{name}")

    def compare(ours, theirs, where):
        for field in ours.get_fields_and_field_types():
            a, b = getattr(ours, field), getattr(theirs, field)
            if hasattr(a, "get_fields_and_field_types"):
                compare(a, b, f"{where}.{field}")
            else:
                assert np.array_equal(a, b), f"{where}.{field}: {a} was read as {b}"

    compare(sent, received, name)


def test_rosbags_knows_the_trigger_values():
    from rosbags.typesys import Stores, get_types_from_msg, get_typestore

    from vljepa_ros.msg import DecodedText

    store = get_typestore(Stores.ROS2_JAZZY)
    store.register(get_types_from_msg(FILES["DecodedText"].read_text(), "vljepa_ros/msg/DecodedText"))
    theirs = store.types["vljepa_ros/msg/DecodedText"]
    assert [getattr(theirs, name) for name in ("START", "CHANGE", "MAX_SILENCE", "REQUEST")] == [
        DecodedText.START,
        DecodedText.CHANGE,
        DecodedText.MAX_SILENCE,
        DecodedText.REQUEST,
    ]
