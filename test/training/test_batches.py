"""Where a task's batches come from: any order, or a stream that goes on from a state."""

from __future__ import annotations

import pytest
import torch

from vljepa_training.stages.batches import Rows, Streamed


class Counting:
    """A stream of numbers."""

    def __init__(self, step: int, state: dict | None) -> None:
        self.given, self.closed = state["given"] if state else 0, False

    def next(self) -> dict[str, torch.Tensor]:
        self.given += 1
        return {"number": torch.tensor([self.given])}

    def state_dict(self) -> dict:
        return {"given": self.given}

    def report(self) -> str:
        return f"{self.given} given"

    def close(self) -> None:
        self.closed = True


def test_the_state_is_that_of_the_step_asked_for_whatever_was_made_ahead():
    one = Streamed(Counting)
    first = [int(one.at(step)["number"]) for step in range(6)]
    state = one.state(2)
    for step in range(6, 8):
        one.at(step)
    again = Streamed(Counting)
    again.resume(2, state)
    assert first == [1, 2, 3, 4, 5, 6] and [int(again.at(step)["number"]) for step in range(2, 6)] == first[2:]
    assert one.state(2) == state, "asked for twice"
    assert one.state(5) == {"given": 5} and one.state(2) is None, "forgotten once a later one was asked for"


def test_a_new_start_closes_the_old_stream_and_an_order_is_kept():
    made = []
    one = Streamed(lambda step, state: made.append(Counting(step, state)) or made[-1])
    one.at(0)
    one.resume(7, {"given": 7})
    assert made[0].closed and not made[1].closed and one.state(7) == {"given": 7}
    with pytest.raises(RuntimeError, match="7 comes next, not 0"):
        one.at(0)
    one.close()
    assert made[1].closed and one.report() == ""


def test_rows_give_the_same_batch_for_a_step_at_any_time():
    one = Rows(list(range(10)), lambda rows: {"rows": torch.tensor(rows)}, batch=4, seed=3)
    told = [one.at(step)["rows"].tolist() for step in range(5)]
    assert one.at(1)["rows"].tolist() == told[1] and sorted(k for batch in told for k in batch) == sorted(2 * list(range(10)))
    assert one.state(3) is None
