# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The predictor's topics, as other nodes hear them: embeddings, transitions, distances, checked against the node's own space."""
from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import Callable
from typing import Any

from rclpy.lifecycle import LifecycleNode

from vljepa_ros.msg import SemanticEmbedding, WorldStateDistance, WorldStateTransition
from vljepa_ros.nodes import qos
from vljepa_ros.nodes.clocks import stream_clock
from vljepa_ros.nodes.conversions import BadVector, distance_from_message, embedding_from_message, transition_from_message
from vljepa_ros.nodes.diagnostics import Status
from vljepa_ros.nodes.statistics import Rate, Recent
from vljepa_ros.nodes.topics import Input
from vljepa_ros.streaming import Distance, Embedding, Transition

log = logging.getLogger(__name__)

SILENCE_S = 3.0  # seconds without embeddings after which the predictor counts as silent


class PredictorTopics:
    """Hands on what belongs to the space. Drops are counted by cause: wrong_space, bad_vector, unexpected."""

    def __init__(
        self, node: LifecycleNode, space_id: str, dim: int, query: str, on_embedding: Callable[[Embedding], None],
        on_transition: Callable[[Transition], None], on_distance: Callable[[Distance], None] | None = None,
        consequence: str = "nothing is decoded",
    ) -> None:
        """`query`: the one that is waited for. Without `on_distance` nobody has to measure. `consequence`: what is not done where
        embeddings are of no use, for people.
        """
        self._space_id, self._dim, self._query = space_id, dim, query
        self._on_embedding, self._on_transition, self._on_distance = on_embedding, on_transition, on_distance
        self._consequence = consequence
        self._inputs = (
            Input(node, SemanticEmbedding, "predictor_node/embedding", self._on_embedding_message, qos.RESULTS),
            Input(node, WorldStateTransition, "predictor_node/transition", self._on_transition_message, qos.RESULTS),
        )
        if on_distance is not None:
            distances = Input(node, WorldStateDistance, "predictor_node/distance", self._on_distance_message, qos.RESULTS)
            self._inputs = (*self._inputs, distances)
        self._clock = stream_clock(node)
        self._rate = Rate(clock=self._clock)
        self._transitions = 0  # that came, good or bad
        self._restarts = 0
        self._drops: Counter[str] = Counter(wrong_space=0, bad_vector=0, unexpected=0)
        self._recent = Recent()
        self._last_error = ""
        self._foreign_space = ""
        self._sequence = -1  # of the newest embedding
        self._answered: dict[str, float] = {}  # query -> time of its latest embedding

    @property
    def heard(self) -> int:
        """Messages that came, good or bad, over the node's life."""
        return self._rate.total + self._transitions

    def start(self) -> None:
        self._sequence = -1
        self._answered.clear()
        self._rate.restart()
        for one in self._inputs:
            one.start()

    def stop(self) -> None:
        for one in self._inputs:
            one.stop()

    def _on_embedding_message(self, message: SemanticEmbedding) -> None:
        self._rate.tick()
        self._guarded(message, embedding_from_message, self._take_embedding)

    def _on_transition_message(self, message: WorldStateTransition) -> None:
        self._transitions += 1
        self._guarded(message, transition_from_message, self._on_transition)

    def _on_distance_message(self, message: WorldStateDistance) -> None:
        try:
            self._on_distance(distance_from_message(message))
        except Exception as error:
            self._drop("unexpected", f"{type(error).__name__}: {error}")

    def _guarded(self, message: Any, convert: Callable[[Any], Any], take: Callable[[Any], None]) -> None:
        """A message may cost itself, never the node."""
        if message.space_id != self._space_id:
            self._foreign_space = message.space_id or "(none)"
            self._drop("wrong_space", f"space {self._foreign_space} is not this checkpoint's, {self._space_id}")
            return
        try:
            one = convert(message)
            size = len(one.vector_D if isinstance(one, Embedding) else one.after_D)
            if size != self._dim:
                raise BadVector(f"vector of {size} numbers in a space of {self._dim}")
            take(one)
        except BadVector as error:
            self._drop("bad_vector", str(error))
        except Exception as error:
            self._drop("unexpected", f"{type(error).__name__}: {error}")

    def _take_embedding(self, embedding: Embedding) -> None:
        self._answered[embedding.query] = self._clock()
        self._restarts += embedding.sequence < self._sequence  # counted to tell of it; the policy finds out by itself
        self._sequence = embedding.sequence
        self._on_embedding(embedding)

    def _drop(self, cause: str, problem: str) -> None:
        self._drops[cause] += 1
        self._last_error = " ".join(problem.split())
        if self._drops[cause] == 1:
            log.error("%s: %s. More of this kind are counted in /diagnostics", cause, self._last_error)

    def report(self, status: Status) -> None:
        """Embeddings in, and why they are of no use."""
        per_s, started = self._rate.per_second, self._inputs[0].started
        status.hardware_id = self._inputs[0].topic
        status.summary = f"{per_s:.1f} embeddings/s on {self._inputs[0].topic}" if started else "not active"
        for key, value in (
            ("embeddings", self._rate.total), ("embeddings_per_s", per_s), ("transitions", self._transitions),
            ("query", self._query), ("predictor_restarts", self._restarts),
            ("qos_incompatible", sum(one.counts["qos_incompatible"] for one in self._inputs)), ("last_error", self._last_error),
        ):
            status.value(key, value)
        status.counts("drops", self._drops)
        recent = self._recent.look({**self._drops, "restarts": self._restarts})
        if "wrong_space" in recent:
            status.error(
                f"embeddings are of space {self._foreign_space}, this node's checkpoint is of {self._space_id}: "
                f"{self._consequence}; give all nodes the same checkpoint"
            )
        for cause in (cause for cause in ("bad_vector", "unexpected") if cause in recent):
            status.warn(f"{self._drops[cause]} messages dropped ({cause}); the last: {self._last_error}")
        if "restarts" in recent:
            status.warn(f"the predictor began anew ({self._restarts} times so far); if this goes on, two of them use one topic")
        if started:
            self._report_silence(status)

    def _report_silence(self, status: Status) -> None:
        silent_s = self._rate.silent_s
        if silent_s >= SILENCE_S:
            why = self._inputs[0].why_silent() or "though a predictor is there; see its own diagnostics"
            status.warn(f"no embedding on {self._inputs[0].topic} for {silent_s:.0f} s: {why}")
        elif (transitions := self._inputs[1]).counts["qos_incompatible"]:
            status.error(f"transitions on {transitions.topic}: {transitions.why_silent()}")
        elif self._rate.settled and self._clock() - self._answered.get(self._query, -math.inf) >= SILENCE_S:
            heard = ", ".join(map(repr, self._answered)) or "nothing of use"
            status.error(f"no embedding answers {self._query!r}, so {self._consequence}; what comes answers {heard}: set query")
