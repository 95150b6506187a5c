# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Rows that can be asked for in any order."""

from __future__ import annotations

import torch

from vljepa_training.sources.rows import Rows


def test_rows_give_the_same_batch_for_a_step_at_any_time():
    one = Rows(list(range(10)), lambda rows: {"rows": torch.tensor(rows)}, batch=4, seed=3)
    told = [one.batch(step)["rows"].tolist() for step in range(5)]
    assert one.batch(1)["rows"].tolist() == told[1] and sorted(k for batch in told for k in batch) == sorted(2 * list(range(10)))
    assert one.data_state(3) is None and "10 rows" in one.report()
