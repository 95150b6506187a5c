# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The bag once more, with our topics in it: what the nodes would have published, at the times at which the frames were recorded.

Messages are copied as bytes. A topic whose definition neither the bag nor ROS 2 has cannot be written so that others can read
it: it is left out and noted.
"""
from __future__ import annotations

import heapq
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from vljepa_ros.cli import interfaces
from vljepa_ros.cli.replay.session import Session
from vljepa_ros.evaluation.recorded.bag import RecordedBag, Topic

NAMESPACES = ("/vljepa", "/replay", *(f"/replay{k}" for k in range(2, 100)))
TYPES = {"predictor_node/space": "EmbeddingSpace", "predictor_node/embedding": "SemanticEmbedding",
         "predictor_node/distance": "WorldStateDistance", "predictor_node/transition": "WorldStateTransition",
         "decoder_node/text": "DecodedText"}  # fmt: skip


def write(bag: RecordedBag, sessions: Sequence[Session], model: Any, folder: Path, copy: bool = True) -> list[str]:
    """A new mcap bag at `folder`, in place of what an earlier replay left there; notes on what is not in it.

    `copy=False`: our topics alone.
    """
    from rosbags.rosbag2 import StoragePlugin, Writer

    beside = folder.with_name(folder.name + ".part")
    shutil.rmtree(beside, ignore_errors=True)
    notes: list[str] = []
    try:
        with Writer(beside, version=9, storage_plugin=StoragePlugin.MCAP) as out:
            ours = [_ours(out, session, model, namespace) for session, namespace in _namespaces(bag, sessions)]
            theirs = _theirs(out, bag, notes) if copy else iter(())
            for time_ns, connection, cdr in heapq.merge(theirs, *ours, key=lambda one: one[0]):
                out.write(connection, time_ns, cdr)
        data = next(beside.glob("*.mcap"))
        metadata = beside / "metadata.yaml"
        name = f"{folder.name}.mcap"
        metadata.write_text(metadata.read_text().replace(data.name, name))
        data.rename(beside / name)
        shutil.rmtree(folder, ignore_errors=True)
        beside.rename(folder)
    except BaseException:
        shutil.rmtree(beside, ignore_errors=True)
        raise
    return notes


def _namespaces(bag: RecordedBag, sessions: Sequence[Session]) -> list[tuple[Session, str]]:
    """One for each camera, that no topic of the bag lies in."""
    taken = [topic.name for topic in bag.counts]
    free = next(one for one in NAMESPACES if not any(name.startswith(f"{one}/") for name in taken))
    if len(sessions) == 1:
        return [(sessions[0], free)]
    return [(session, f"{free}{session.camera.topic.name.removesuffix('/compressed')}") for session in sessions]


def _ours(out: Any, session: Session, model: Any, namespace: str) -> Iterator[tuple[int, Any, bytes]]:
    """Connections are made at once, messages come when asked for."""
    store = interfaces.typestore()
    to = {
        name: out.add_connection(f"{namespace}/{name}", f"vljepa_ros/msg/{kind}", typestore=store) for name, kind in TYPES.items()
    }
    result, recorded_ns = session.result, session.camera.recorded_ns
    if not result.embeddings:
        return iter(())
    queries = [result.embeddings[0].query]
    first_ns = recorded_ns[result.embeddings[0].stamp_ns]
    items = [(first_ns, to["predictor_node/space"], interfaces.space_cdr(model.config, model.space_id, model.sha256, queries))]
    for name, cdr, things in (
        ("predictor_node/embedding", interfaces.embedding_cdr, result.embeddings),
        ("predictor_node/distance", interfaces.distance_cdr, result.measured),
        ("predictor_node/transition", interfaces.transition_cdr, result.transitions),
    ):
        items += [(recorded_ns[one.stamp_ns], to[name], cdr(one)) for one in things]
    texts = to["decoder_node/text"]
    items += [(recorded_ns.get(one.request.stamp_ns, first_ns), texts, interfaces.text_cdr(one)) for one in result.texts]
    return iter(sorted(items, key=lambda one: one[0]))


def _theirs(out: Any, bag: RecordedBag, notes: list[str]) -> Iterator[tuple[int, Any, bytes]]:
    connections: dict[Topic, Any] = {}
    for topic in bag.counts:
        try:
            connections[topic] = _connection(out, topic)
        except Exception as error:  # noqa: BLE001  whatever keeps a definition from being understood
            said = " ".join(str(error).split()) or type(error).__name__
            notes.append(f"{topic.name} ({topic.msgtype}) is not in the new bag: no definition that can be used ({said[:120]})")
    if not connections:
        return iter(())
    return ((one.time_ns, connections[one.topic], one.cdr) for one in bag.messages(list(connections)))


def _connection(out: Any, topic: Topic) -> Any:
    """With the recorded definition where there is one, else with ROS 2's. Its hash is made anew: readers check it."""
    from rosbags.typesys import Stores, get_types_from_idl, get_types_from_msg, get_typestore

    if not topic.definition:
        return out.add_connection(topic.name, topic.msgtype, typestore=interfaces.typestore())
    store = get_typestore(Stores.EMPTY)
    if topic.encoding == "ros2msg":
        store.register(get_types_from_msg(topic.definition, topic.msgtype))
    elif topic.encoding == "ros2idl":
        line = "=" * 80 + "\n"
        parts = topic.definition.split(line)[1:] if topic.definition.startswith(line) else ["\n" + topic.definition]
        for part in parts:
            store.register(get_types_from_idl(part.split("\n", 1)[1]))
    else:
        raise ValueError(f"its definition is {topic.encoding or 'of no known kind'}")
    return out.add_connection(
        topic.name, topic.msgtype, msgdef=topic.definition, rihs01=store.hash_rihs01(topic.msgtype)
    )
