# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Tokenizer: lossless on any text, special tokens only where asked for, cutting, files."""
from __future__ import annotations

import pickle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vljepa_ros.model import Tokenizer, train_tokenizer


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory) -> Tokenizer:
    return train_tokenizer(["the lamp is on", "the lamp is off"] * 4, 300, tmp_path_factory.mktemp("tokenizer"))


@settings(max_examples=200, deadline=None)
@given(text=st.text())
def test_any_text_survives(tokenizer, text):
    ids, mask = tokenizer.encode([text], 10_000)
    assert tokenizer.decode(ids[0].tolist()) == text
    assert mask.all() and (len(text) == 0 or ids.min() > 2)


@pytest.mark.parametrize("text", ["  two  spaces ", "tab\tnewline\n", "é🙂漢字", "<eos> <pad> <bos>", "the lamp is on", "\u0000"])
def test_awkward_texts_survive(tokenizer, text):
    assert tokenizer.decode(tokenizer.encode([text], 100)[0][0]) == text


def test_lone_surrogate_is_no_crash(tokenizer):
    assert tokenizer.decode(tokenizer.encode(["a\ud800b"], 100)[0][0]) == "a?b"


def test_training_learnt_words(tokenizer):
    assert tokenizer.vocab_size <= 300
    assert tokenizer.encode(["the lamp is on"], 100)[0].shape[1] < 6


def test_counts_are_those_of_the_rows(tokenizer):
    texts = ["the lamp is on", "", "xyz xyz", "a\ud800b"]
    assert tokenizer.count(texts) == tokenizer.encode(texts, 100)[1].sum(1).tolist() and tokenizer.count([]) == []


def test_padding_is_at_the_right_and_masked(tokenizer):
    ids, mask = tokenizer.encode(["the", "xyz xyz", ""], 100)
    assert mask.sum(1).tolist()[2] == 0
    assert (ids[~mask] == tokenizer.pad_id).all()
    assert all((row[:-1] >= row[1:]).all() for row in mask.int())


def test_bos_and_eos_are_never_cut(tokenizer):
    ids, mask = tokenizer.encode(["xyz" * 20, ""], 5, bos=True, eos=True)
    assert ids.shape == (2, 5)
    assert ids[0, 0] == tokenizer.bos_id and ids[0, 4] == tokenizer.eos_id
    assert ids[1].tolist() == [tokenizer.bos_id, tokenizer.eos_id] + [tokenizer.pad_id] * 3
    assert mask.sum(1).tolist() == [5, 2]
    with pytest.raises(ValueError, match="got 1"):
        tokenizer.encode(["x"], 1, bos=True, eos=True)


def test_no_texts(tokenizer):
    ids, mask = tokenizer.encode([], 5)
    assert ids.shape == mask.shape == (0, 0)


def test_saved_and_loaded_is_the_same(tokenizer, tmp_path):
    tokenizer.save(tmp_path)
    assert Tokenizer(tmp_path).files == tokenizer.files


def test_another_process_spells_special_tokens_out_as_well(tokenizer):
    again, text = pickle.loads(pickle.dumps(tokenizer)), "a <eos> b"
    assert again.encode([text], 100)[0].tolist() == tokenizer.encode([text], 100)[0].tolist()
    assert tokenizer.eos_id not in again.encode([text], 100)[0]
    assert (again.vocab_size, again.pad_id, again.files) == (tokenizer.vocab_size, tokenizer.pad_id, tokenizer.files)


def test_damaged_files_are_named(tokenizer, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"tokenizer\.json"):
        Tokenizer(tmp_path)
    tokenizer.save(tmp_path)
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(ValueError, match=str(tmp_path)):
        Tokenizer(tmp_path)


def test_too_small_a_vocabulary_is_refused(tmp_path):
    with pytest.raises(ValueError, match="259, got 258"):
        train_tokenizer(["x"], 258, tmp_path)
