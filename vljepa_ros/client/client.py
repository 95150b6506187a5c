# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a planner does with the two nodes: look, wait for a change or for a goal, ask."""
from __future__ import annotations

import time
from array import array
from collections import deque
from collections.abc import Callable, Sequence

import numpy as np
from rclpy.node import Node
from rclpy.qos import QoSDurabilityPolicy, QoSProfile

from vljepa_ros.msg import EmbeddingSpace, SemanticEmbedding, WorldStateTransition
from vljepa_ros.srv import DecodeText, EncodeText, Predict

from .answers import Answer, Match, Seen, Words
from .errors import LAUNCH, NoAnswer, NotStanding, NotThere, SpaceMismatch
from .link import Link

RESULTS = QoSProfile(depth=50)
LATCHED = QoSProfile(depth=10, durability=QoSDurabilityPolicy.TRANSIENT_LOCAL)
NORM_TOLERANCE = 1e-2
TEXTS_PER_REQUEST = 64  # what the decoder takes at once
CACHED_TEXTS = 10_000  # a kilobyte each at 256 numbers; beyond, the cache begins anew
KEPT_TRANSITIONS = 64
STALE_S = 2.0  # an older embedding says nothing of now: the stream stands still


class VLJEPAClient:
    """Blocking calls, from any thread, to a predictor_node and a decoder_node.

    The client has a node of its own and a thread that spins it, so that no call depends on who spins `node`: a script need not
    spin at all, a node's callback may call it and cannot deadlock. A call holds up the executor whose callback makes it, as any
    slow callback does (a question takes about as long as a clip and a half); where that matters, call it from a thread or from a
    callback of a MultiThreadedExecutor. Only where that single-threaded executor runs the predictor or the decoder as well, in
    one process, a callback would wait for itself: NoAnswer. Callbacks of `on_transition` run one after the other in another
    thread of the client's, and may block and ask, too.

        with VLJEPAClient(node) as vljepa:
            vljepa.ask("Is the drawer open?", ["The drawer is open.", "The drawer is closed."]).best

    Timeouts are seconds. What goes wrong is a ClientError of one line with the remedy (`vljepa_ros.client.errors`). Two vectors
    are compared only where their spaces are equal.
    """

    def __init__(self, node: Node, predictor: str = "predictor_node", decoder: str = "decoder_node") -> None:
        """`predictor`, `decoder`: their names, in `node`'s namespace unless they begin with a slash."""
        self._predictor, self._decoder = predictor, decoder
        self._logger = node.get_logger()
        self._space: EmbeddingSpace | None = None
        self._latest: dict[str, Seen] = {}  # by query
        self._heard: Seen | None = None  # the newest of any query
        self._transitions: deque[WorldStateTransition] = deque(maxlen=KEPT_TRANSITIONS)
        self._transition_count = 0
        self._callbacks: list[Callable[[WorldStateTransition], None]] = []
        self._texts: dict[tuple[str, str], np.ndarray] = {}  # (space, text) -> where it lies
        self._bad_vectors = 0
        self._link = Link(node)
        self._link.subscribe(SemanticEmbedding, f"{predictor}/embedding", RESULTS, self._take_embedding)
        self._link.subscribe(WorldStateTransition, f"{predictor}/transition", RESULTS, self._take_transition)
        self._link.subscribe(EmbeddingSpace, f"{predictor}/space", LATCHED, self._take_space)
        self._predict_client = self._link.client(Predict, f"{predictor}/predict")
        self._encode_client = self._link.client(EncodeText, f"{decoder}/encode_text")
        self._decode_client = self._link.client(DecodeText, f"{decoder}/decode_text")
        self._link.start()

    def close(self) -> None:
        """Before `node` is destroyed. Calls under way raise Ended."""
        self._link.close()

    def __enter__(self) -> VLJEPAClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # look

    @property
    def space(self) -> EmbeddingSpace | None:
        """The predictor's space and standing queries; None before it was heard."""
        return self._space

    def latest(self, query: str | None = None) -> Seen | None:
        """The newest embedding, None before the first. `query`: a standing query; None: the one that drives the transitions."""
        if query is None:
            query = self._driving()
        return self._latest.get(query) if query is not None else None

    def wait_for_embedding(self, timeout: float | None = 10.0, query: str | None = None) -> Seen:
        """The next embedding from now on. Raises NotThere, NoAnswer, NotStanding, Ended."""
        return self._next(self.latest(query), timeout, query)

    # wait

    def on_transition(self, callback: Callable[[WorldStateTransition], None]) -> Callable[[], None]:
        """Call it with every transition; what is returned ends that."""
        self._callbacks.append(callback)
        return lambda: self._callbacks.remove(callback) if callback in self._callbacks else None

    def wait_for_transition(self, timeout: float | None = None) -> WorldStateTransition | None:
        """The next transition from now on, None where none came in time. Two calls may miss one between them; `on_transition`
        misses none. Raises NotThere where there was no predictor to tell of one, Ended."""
        before = self._transition_count

        def look() -> WorldStateTransition | None:
            new = min(self._transition_count - before, len(self._transitions))
            return self._transitions[-new] if new else None

        transition = self._link.wait(look, timeout)
        if transition is None:
            self._check_predictor("transition")
        return transition

    def wait_for_similarity(
        self, text: str, threshold: float, timeout: float | None = None, query: str | None = None, foreign: bool = False
    ) -> Match | None:
        """The first embedding whose cosine with `text` is at least `threshold`, one that is there already included; None: none in
        time.

        Embeddings of foreign clips (novelty above 1) do not count, unless `foreign`. Raises NotThere, NoAnswer (no embedding came
        at all), NotStanding, SpaceMismatch, Refused, Ended.
        """
        if not -1 <= threshold <= 1:
            raise ValueError(f"threshold is a cosine, from -1 to 1, got {threshold}")
        deadline = None if timeout is None else time.monotonic() + timeout
        seen = self.latest(query)
        if seen is not None and seen.age_s > STALE_S:
            seen = None
        came = seen is not None
        while True:
            if seen is not None:
                score = float(self.encode([text], seen.space_id)[0] @ seen.vector_D)
                if score >= threshold and (foreign or seen.familiar):
                    return Match(score, seen)
            left = None if deadline is None else max(deadline - time.monotonic(), 0.0)
            try:
                seen, came = self._next(seen, left, query), True
            except NoAnswer:
                if came:
                    return None
                raise

    # ask

    def ask(self, question: str, candidates: Sequence[str], timeout: float = 10.0) -> Answer:
        """Which of the candidates, whole sentences best, answers a question about what the camera sees now.

        The predictor's vector for the question, the candidates' vectors (kept for the next time), a dot product. Raises NotThere,
        NoAnswer, Refused, SpaceMismatch, Ended; ValueError for no candidates or equal ones.
        """
        if isinstance(candidates, str) or not candidates or len(set(candidates)) < len(candidates):
            raise ValueError(f"candidates must be a list of texts that differ, got {candidates!r}")
        deadline = time.monotonic() + timeout
        seen = self.predict(question, timeout)
        vectors_ND = self.encode(candidates, seen.space_id, max(deadline - time.monotonic(), 0.0))
        scores = dict(sorted(zip(candidates, (vectors_ND @ seen.vector_D).tolist()), key=lambda one: -one[1]))
        return Answer(next(iter(scores)), scores, seen)

    def predict(self, query: str, timeout: float = 10.0) -> Seen:
        """What the predictor answers to any query about its latest clip. Raises NotThere, NoAnswer, Refused, Ended."""
        response = self._link.call(self._predict_client, Predict.Request(query=query), self._predictor, timeout)
        return Seen.of(response.embedding)

    def encode(self, texts: Sequence[str], space_id: str = "", timeout: float = 10.0) -> np.ndarray:
        """(N, D) float32 of norm 1: where texts lie, in the space `space_id` ("": the decoder's, whichever it is).

        Texts of a named space are asked for once. Raises SpaceMismatch where the decoder's space is another one, NotThere,
        NoAnswer, Refused, Ended.
        """
        texts, deadline = list(texts), time.monotonic() + timeout
        found = {text: self._texts.get((space_id, text)) for text in texts}
        known = {text: vector_D for text, vector_D in found.items() if vector_D is not None}
        missing = [text for text in found if text not in known]
        for first in range(0, len(missing), TEXTS_PER_REQUEST):
            some = missing[first : first + TEXTS_PER_REQUEST]
            left = max(deadline - time.monotonic(), 0.0)
            response = self._link.call(self._encode_client, EncodeText.Request(texts=some), self._decoder, left)
            if space_id and response.space_id != space_id:
                raise SpaceMismatch(
                    f"{self._predictor}'s vectors are of space {space_id}, {self._decoder}'s of {response.space_id}; give both "
                    "nodes the same checkpoint"
                )
            vectors_ND = np.array(response.vectors, np.float32).reshape(len(some), response.dim)
            known |= zip(some, vectors_ND)
            self._keep(response.space_id, some, vectors_ND)
        return np.stack([known[text] for text in texts]) if texts else np.zeros((0, 0), np.float32)

    def decode(self, vectors_ND: np.ndarray, space_id: str, timeout: float = 10.0) -> list[Words]:
        """Words for vectors (N, D) of norm 1, 64 at the most. Raises Refused (a wrong space or vector, too), NotThere, NoAnswer,
        Ended."""
        vectors_ND = np.atleast_2d(np.asarray(vectors_ND, np.float32))
        request = DecodeText.Request(space_id=space_id, dim=vectors_ND.shape[1], vectors=array("f", vectors_ND.ravel().tolist()))
        response = self._link.call(self._decode_client, request, self._decoder, timeout)
        return [Words(*one) for one in zip(response.texts, response.confidences, response.familiar)]

    # inside; the three of `_take` run in the client's thread

    def _take_embedding(self, message: SemanticEmbedding) -> None:
        seen = Seen.of(message)
        if not abs(float(np.linalg.norm(seen.vector_D)) - 1) <= NORM_TOLERANCE:  # written so that a NaN fails
            self._bad_vectors += 1
            if self._bad_vectors == 1:
                self._logger.error(f"vljepa client: embedding {seen.sequence} has no vector of norm 1; such are left out")
            return
        self._latest[seen.query] = self._heard = seen

    def _take_transition(self, message: WorldStateTransition) -> None:
        self._transitions.append(message)
        self._transition_count += 1
        for callback in list(self._callbacks):
            self._link.later(lambda callback=callback: callback(message))

    def _take_space(self, message: EmbeddingSpace) -> None:
        self._space = message
        for query in self._latest.keys() - set(message.queries):  # nobody asks them any more
            del self._latest[query]

    def _driving(self) -> str | None:
        if self._space is not None and self._space.queries:
            return self._space.queries[0]
        return self._heard.query if self._heard is not None else None

    def _next(self, before: Seen | None, timeout: float | None, query: str | None) -> Seen:
        def look() -> Seen | None:
            seen = self.latest(query)
            return seen if seen is not None and seen is not before else None

        seen = self._link.wait(look, timeout)
        if seen is None:
            self._check_predictor("embedding")
            if query is not None and self._space is not None and query not in self._space.queries:
                standing = ", ".join(map(repr, self._space.queries))
                raise NotStanding(f"the stream answers {standing}, not {query!r}; add it to {self._predictor}'s queries")
            raise NoAnswer(
                f"{self._predictor} sent no embedding for {timeout:g} s; is it active, and does the camera run? /diagnostics says"
            )
        return seen

    def _check_predictor(self, topic: str) -> None:
        name = f"{self._predictor}/{topic}"
        if not self._link.publishers(name):
            raise NotThere(f"nobody publishes {self._link.topic(name)}; start {self._predictor}: {LAUNCH}")

    def _keep(self, space_id: str, texts: Sequence[str], vectors_ND: np.ndarray) -> None:
        if len(self._texts) + len(texts) > CACHED_TEXTS:
            self._texts.clear()
        self._texts |= {(space_id, text): vector_D for text, vector_D in zip(texts, vectors_ND)}
