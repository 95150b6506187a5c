# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Texts by length are the same texts."""

from __future__ import annotations

import torch

from vljepa_ros.model import TextEncoder
from vljepa_ros.model.presets import tiny
from vljepa_training.stages.tokens import encode_by_length


def test_encoding_by_length_changes_nothing_but_the_work():
    torch.manual_seed(0)
    config = tiny()
    encoder = TextEncoder(config.text_encoder, config.dim).eval()
    lengths = torch.tensor([3, 9, 1, 9, 5, 2, 7])
    ids, mask = torch.randint(3, 300, (7, 9)), torch.arange(9) < lengths[:, None]
    seen = []
    encoder.register_forward_pre_hook(lambda _, given: seen.append(given[0].shape))
    whole = encoder(ids, mask)
    torch.testing.assert_close(encode_by_length(encoder, ids, mask, 3), whole, atol=1e-6, rtol=1e-5)
    assert [shape[1] for shape in seen[1:]] == [3, 7, 9]
    torch.testing.assert_close(encode_by_length(encoder, ids[:2], mask[:2]), whole[:2], atol=1e-6, rtol=1e-5)
