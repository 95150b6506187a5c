# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Which sentences of a text count as right."""

from __future__ import annotations

from vljepa_training.calibrate import sentences_right


def test_each_sentence_is_held_against_the_true_ones():
    true = "The lamp is on. The drawer is open. The red cube is on the left."
    assert sentences_right(true, true) == [True] * 3
    assert sentences_right("The lamp is off. The red cube is on the left.", true) == [False, True]
    assert sentences_right("", true) == []
