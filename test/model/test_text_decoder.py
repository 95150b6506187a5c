# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""TextDecoder: causality, the cache against the whole sequence, padding, stopping, and that it learns to read its vector."""
from __future__ import annotations

import dataclasses
import itertools
import math

import pytest
import torch
import torch.nn.functional as F

from vljepa_ros.model import TextDecoder, tiny

CFG = dataclasses.replace(tiny(vocab_size=40).text_decoder, max_tokens=8)
DIM = 16


def decoder(seed: int = 0) -> TextDecoder:
    torch.manual_seed(seed)
    return TextDecoder(CFG, DIM).eval()


def vectors(count: int) -> torch.Tensor:
    return F.normalize(torch.randn(count, DIM, generator=torch.Generator().manual_seed(2)), dim=-1)


def ids(batch: int, length: int) -> torch.Tensor:
    body = torch.randint(3, 40, (batch, length), generator=torch.Generator().manual_seed(3))
    return torch.cat([torch.full((batch, 1), CFG.bos_id), body], dim=1)


def test_logits_line_up_with_the_ids_and_are_causal():
    model, v, tokens = decoder(), vectors(2), ids(2, 6)
    with torch.inference_mode():
        logits = model(v, tokens)
        changed = tokens.clone()
        changed[:, 4] = (changed[:, 4] + 1) % 40
        other = model(v, changed)
    assert logits.shape == (2, 7, 40) and logits.dtype == torch.float32
    torch.testing.assert_close(logits[:, :4], other[:, :4], rtol=0, atol=0)
    assert (logits[:, 4:] - other[:, 4:]).abs().amax(dim=(0, 2)).min() > 1e-4


def test_the_vector_reaches_every_position():
    model, tokens = decoder(), ids(1, 5)
    with torch.inference_mode():
        change = (model(vectors(2)[:1], tokens) - model(vectors(2)[1:], tokens)).abs().amax(dim=(0, 2))
    assert change.min() > 1e-3


def test_generate_with_cache_equals_greedy_without():
    model, v = decoder(), vectors(3)
    texts, logprob = model.generate(v)
    for row, vector in enumerate(v):
        tokens, total = [CFG.bos_id], []
        with torch.inference_mode():
            while len(tokens) <= CFG.max_tokens and (len(tokens) == 1 or tokens[-1] != CFG.eos_id):
                best, token = model(vector[None], torch.tensor([tokens]))[0, -1].log_softmax(-1).max(-1)
                tokens.append(int(token))
                total.append(float(best))
        assert texts[row] == [t for t in tokens[1:] if t != CFG.eos_id]
        assert abs(float(logprob[row]) - sum(total) / len(total)) < 1e-4


def test_generate_stops_at_eos_row_by_row_and_at_the_limit():
    """A decoder trained on two texts of different length says each, stops where it ends, and its logprob says that it is sure."""
    torch.manual_seed(0)
    model, v = TextDecoder(CFG, DIM), vectors(2)
    texts = [[5, 6, 7, 8, 9], [10, 5]]
    tokens = torch.zeros(2, 7, dtype=torch.int64)
    for row, text in enumerate(texts):
        tokens[row, : len(text) + 2] = torch.tensor([CFG.bos_id, *text, CFG.eos_id])
    mask = torch.arange(7) < torch.tensor([[7], [4]])
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for _ in range(60):
        logits = model(v, tokens[:, :-1], mask[:, :-1])
        loss = F.cross_entropy(logits[mask[:, 1:]], tokens[:, 1:][mask[:, 1:]])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    said, logprob = model.generate(v)
    assert said == texts
    assert logprob.exp().min() > 0.8
    cut, _ = model.generate(v, max_tokens=3)
    assert cut == [[5, 6, 7], [10, 5]]


def test_a_row_does_not_depend_on_its_batch():
    model, v = decoder(), vectors(4)
    together, logprob = model.generate(v)
    for row in range(4):
        alone, single = model.generate(v[row : row + 1])
        assert alone == together[row : row + 1]
        torch.testing.assert_close(single, logprob[row : row + 1], rtol=0, atol=1e-5)


def test_candidates_are_the_likeliest_texts_there_are():
    """A search as wide as there are texts is no search but a list: all texts of up to three tokens, by their probability."""
    cfg = dataclasses.replace(CFG, vocab_size=5, max_tokens=3)
    torch.manual_seed(4)
    model, v = TextDecoder(cfg, DIM).eval(), vectors(2)
    others = [t for t in range(5) if t != cfg.eos_id]
    texts = [(*body, cfg.eos_id) for n in range(3) for body in itertools.product(others, repeat=n)]
    texts += itertools.product(others, repeat=3)  # cut off
    for row, vector in enumerate(v):
        totals = {}
        with torch.inference_mode():
            for text in texts:
                logprob = model(vector[None], torch.tensor([[cfg.bos_id, *text]]))[0].log_softmax(-1)
                totals[text] = float(sum(logprob[i, token] for i, token in enumerate(text)))
        assert abs(sum(map(math.exp, totals.values())) - 1) < 1e-4, "every way to end"
        likeliest = sorted(totals, key=totals.get, reverse=True)
        found = model.candidates(v[row : row + 1], 64)[0]
        for one, text in zip(found, likeliest[:20]):
            assert one.ids == [t for t in text if t != cfg.eos_id]
            assert abs(one.logprob - totals[text]) < 1e-4 and abs(one.mean_logprob - totals[text] / len(text)) < 1e-4


def test_wider_searches_find_likelier_texts_and_all_differ():
    model, v = decoder(), vectors(6)

    narrow, wide = model.candidates(v, 1), model.candidates(v, 4)
    for one, four in zip(narrow, wide):
        assert len(four) == 4 and len({tuple(t.ids) for t in four}) == 4
        assert four[0].logprob >= one[0].logprob - 1e-4
        assert [t.logprob for t in four] == sorted((t.logprob for t in four), reverse=True)
    assert [row[0].ids for row in narrow] == model.generate(v)[0]
    assert model.candidates(v[2:3], 4)[0][0].ids == wide[2][0].ids, "whatever stands beside it"
    with pytest.raises(ValueError, match="width must be >= 1, got 0"):
        model.candidates(v, 0)


def test_nothing_to_say():
    model = decoder()
    assert model.generate(torch.zeros(0, DIM))[0] == []
    assert model.generate(vectors(2), max_tokens=0)[0] == [[], []]
