# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The Python face on a tiny random checkpoint: norms, shapes, batches against single calls, refusals, engines."""
from __future__ import annotations

import dataclasses
import math
import subprocess
import sys

import numpy as np
import pytest
import torch

from vljepa_ros.model import VLJEPA
from vljepa_ros.model.random_checkpoint import make_tiny
from vljepa_ros.model.text_decoder import Candidate

QUERIES = ["", "Is the lamp on?", "What is the state of the scene? And of the drawer?", "?"]


@pytest.fixture(scope="module")
def model(tiny_checkpoint) -> VLJEPA:
    return VLJEPA.from_pretrained(tiny_checkpoint, device="cpu", engine="torch")


def frames(count: int = 4, height: int = 32, width: int = 32) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, height, width, 3), dtype=np.uint8)


def assert_unit(vectors: np.ndarray) -> None:
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=-1), 1.0, atol=1e-5)


def test_every_vector_has_norm_1(model):
    assert_unit(model.embed(frames()))
    assert_unit(model.embed_queries(frames(), QUERIES))
    assert_unit(model.encode_text(["the lamp is on", "x"]))
    assert model.embed(frames()).shape == (model.dim,)


def test_queries_in_one_batch_equal_single_embeds(model):
    together = model.embed_queries(frames(), QUERIES)
    assert together.shape == (4, model.dim)
    for vector, query in zip(together, QUERIES):
        np.testing.assert_allclose(model.embed(frames(), query), vector, atol=1e-6)
    assert min(np.abs(a - b).max() for i, a in enumerate(together) for b in together[:i]) > 1e-4


def test_tokens_serve_later_queries(model):
    tokens = model.encode_frames(frames())
    assert tokens.shape == (1, model.config.vision.tokens, model.config.vision.hidden_size)
    np.testing.assert_array_equal(model.predict(tokens, [QUERIES[1]])[0], model.embed(frames(), QUERIES[1]))


def test_texts_in_one_batch_equal_single_ones(model):
    texts = ["the lamp is on", "x", "push the red cube to the left"]
    for vector, text in zip(model.encode_text(texts), texts):
        np.testing.assert_allclose(model.encode_text([text])[0], vector, atol=1e-5)


def test_frames_of_any_size_and_a_single_image(model):
    camera = frames(4, 48, 60)
    assert_unit(model.embed(camera))
    image = frames(1)[0]
    alone = model.embed(image)
    np.testing.assert_array_equal(alone, model.embed(np.repeat(image[None], 4, axis=0)))
    np.testing.assert_array_equal(alone, model.embed(image[None]))


def test_equal_frames_give_bit_equal_vectors(model):
    assert np.array_equal(model.embed(frames()), model.embed(frames().copy()))


@pytest.mark.parametrize("wrong", [frames(3), frames()[..., :2], frames().astype(np.float32), frames()[0, :, :, 0]])
def test_wrong_frames_are_refused(model, wrong):
    with pytest.raises(ValueError, match="must be"):
        model.embed(wrong)


def test_wrong_texts_are_refused(model):
    with pytest.raises(ValueError, match=r"texts\[1\] is empty"):
        model.encode_text(["a", ""])
    with pytest.raises(TypeError, match="list of texts"):
        model.encode_text("the lamp is on")
    with pytest.raises(TypeError, match="list of texts"):
        model.embed_queries(frames(), "Is the lamp on?")


def test_nothing_in_nothing_out(model):
    assert model.encode_text([]).shape == (0, model.dim)
    assert model.embed_queries(frames(), []).shape == (0, model.dim)
    assert model.decode(np.zeros((0, model.dim), np.float32)) == []


def test_long_queries_and_texts_are_cut(model):
    long = "the drawer is open and " * 50
    assert_unit(model.embed(frames(), long)[None])
    assert_unit(model.encode_text([long]))


def test_whoever_wants_nothing_cut_can_ask_before(model):
    """Exactly where the model begins to cut: one token more moves nothing any more."""
    fits, cut = "x" * 16, "x" * 17  # a token each
    model.check_queries(["", fits])
    np.testing.assert_array_equal(model.embed(frames(), fits), model.embed(frames(), cut))
    with pytest.raises(ValueError, match=r"queries\[1\] has 17 tokens where this checkpoint reads 16, shorten it"):
        model.check_queries([fits, cut])
    fits, cut = "x" * 32, "x" * 33
    model.check_texts([fits])
    np.testing.assert_array_equal(model.encode_text([fits]), model.encode_text([cut]))
    with pytest.raises(ValueError, match=r"texts\[0\] has 33 tokens where this checkpoint reads 32, shorten it"):
        model.check_texts([cut])
    with pytest.raises(ValueError, match=r"texts\[1\] is empty"):
        model.check_texts(["a", ""])


def test_looking_keeps_the_tokens(model):
    vectors_QD, novelty, tokens_1ND = model.look(frames(), QUERIES)
    np.testing.assert_array_equal(vectors_QD, model.watch(frames(), QUERIES)[0])
    assert novelty == model.watch(frames(), [])[1]
    np.testing.assert_array_equal(model.predict(tokens_1ND, ["x"]), model.embed_queries(frames(), ["x"]))


def test_decoding(model):
    vectors = model.encode_text(["a", "the lamp is on"])
    full = model.decode_full(vectors)
    assert [d.text for d in full] == model.decode(vectors)
    assert model.decode(vectors[1]) == [full[1].text]
    assert model.decode(3.0 * vectors) == [d.text for d in full]  # means of embeddings are shorter than 1
    for decoded in full:
        assert decoded.familiar and decoded.confidence == pytest.approx(math.exp(decoded.logprob))


def test_the_y_encoder_has_the_last_word(model, tiny_checkpoint, monkeypatch):
    tokenizer, asked = model.tokenizers["decoder"], []

    def said(*texts: tuple[str, float]):
        def candidates(vectors_BD, width):
            asked.append(width)
            ids = [(tokenizer.encode([text], 32)[0][0].tolist() if text else [], logprob) for text, logprob in texts]
            return [[Candidate(row, logprob, logprob / 4) for row, logprob in ids]] * len(vectors_BD)

        return candidates

    vector = model.encode_text(["the lamp is on"])
    several = said(("", -0.1), ("a drawer", -1.0), ("the lamp is on", -4.0))
    monkeypatch.setattr(model.modules["text_decoder"], "candidates", several)
    assert model.decode_full(vector)[0].text == "the lamp is on" and model.decode_full(vector)[0].logprob == -1.0
    for logprob, text in ((-4.9, "the lamp is on"), (-5.1, "a drawer")):  # what is far less likely is not said for lying near
        monkeypatch.setattr(model.modules["text_decoder"], "candidates", said(("a drawer", -1.0), ("the lamp is on", logprob)))
        assert model.decode(vector) == [text]
    behind_nothing = said(("", -0.1), ("a drawer", -5.0), ("the lamp is on", -8.0))
    monkeypatch.setattr(model.modules["text_decoder"], "candidates", behind_nothing)
    assert model.decode(vector) == ["the lamp is on"], "an empty text is no measure of how likely another must be"
    monkeypatch.setattr(model.modules["text_decoder"], "candidates", said(("", -0.1)))
    assert model.decode_full(vector, beams=7)[0].text == "" and asked[-1] == 7 and asked[0] > 1

    alone = VLJEPA.from_pretrained(tiny_checkpoint, device="cpu", engine="torch", parts=["text_decoder"])
    monkeypatch.setattr(alone.modules["text_decoder"], "candidates", said(("a drawer", -1.0), ("the lamp is on", -4.0)))
    assert alone.decode(vector) == ["a drawer"] and asked[-1] == 1, "nobody to ask: the likeliest"


@pytest.mark.parametrize("wrong", [np.zeros(16), np.full(16, np.nan), np.ones(15), np.ones((2, 2, 16))])
def test_wrong_vectors_are_refused(model, wrong):
    with pytest.raises(ValueError, match="vectors must be"):
        model.decode(wrong)


def test_calibration_decides_confidence_and_familiarity(model, tiny_checkpoint):
    vector = model.encode_text(["a"])
    logprob = model.decode_full(vector)[0].logprob
    judged = VLJEPA.from_pretrained(tiny_checkpoint, device="cpu", engine="torch")
    facts = {"familiar_logprob": logprob + 0.01, "confidence_scale": 2.0, "confidence_bias": 1.0}
    judged.config = dataclasses.replace(judged.config, calibration=facts)
    decoded = judged.decode_full(vector)[0]
    assert not decoded.familiar
    assert decoded.confidence == pytest.approx(1 / (1 + math.exp(-(2 * logprob + 1))))
    judged.config = dataclasses.replace(judged.config, calibration=facts | {"familiar_logprob": logprob - 0.01})
    assert judged.decode_full(vector)[0].familiar


def test_bf16_says_nearly_the_same(model, tiny_checkpoint):
    rounded = VLJEPA.from_pretrained(tiny_checkpoint, device="cpu", engine="torch-bf16")
    assert rounded.space_id == model.space_id and rounded.engine.name == "torch-bf16"
    pairs = (
        (model.embed_queries(frames(), QUERIES), rounded.embed_queries(frames(), QUERIES)),
        (model.encode_text(["a", "the lamp is on"]), rounded.encode_text(["a", "the lamp is on"])),
    )
    for exact, near in pairs:
        assert_unit(near)
        assert (exact * near).sum(-1).min() > 0.999
    assert len(rounded.decode(pairs[0][0])) == 4


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
@pytest.mark.parametrize(("engine", "least"), [("torch", 0.9999), ("torch-bf16", 0.999)])
def test_cuda_says_the_same(model, tiny_checkpoint, engine, least):
    other = VLJEPA.from_pretrained(tiny_checkpoint, device="cuda", engine=engine)
    near = other.embed_queries(frames(), QUERIES)
    assert_unit(near)
    assert (model.embed_queries(frames(), QUERIES) * near).sum(-1).min() > least
    assert len(other.decode(other.encode_text(["a", "the lamp is on"]))) == 2


def test_unknown_engine_is_refused(tiny_checkpoint):
    with pytest.raises(ValueError, match="'tensorrt'"):
        VLJEPA.from_pretrained(tiny_checkpoint, engine="tensorrt")


def test_a_model_does_not_touch_the_thread_count(tiny_checkpoint):
    before = torch.get_num_threads()
    VLJEPA.from_pretrained(tiny_checkpoint).embed(frames())
    assert torch.get_num_threads() == before


def test_parts_at_hand_are_used_as_they_are(model):
    """A trainer looks at its own modules: same answers, still trainable afterwards."""
    parts = {name: module.train() for name, module in model.modules.items()}
    mine = VLJEPA(model.config, **parts, tokenizers=model.tokenizers)
    np.testing.assert_array_equal(mine.embed(frames()), model.embed(frames()))
    assert mine.space_id == model.space_id
    assert all(module.training for module in mine.modules.values())
    for module in parts.values():
        module.eval()


def test_tokenizers_must_fit(model):
    with pytest.raises(ValueError, match="needs the tokenizer 'query'"):
        VLJEPA(model.config, predictor=model.modules["predictor"])
    small = dataclasses.replace(model.config, predictor=dataclasses.replace(model.config.predictor, vocab_size=100))
    with pytest.raises(ValueError, match=r"predictor\.vocab_size is 100"):
        VLJEPA(small, predictor=model.modules["predictor"], tokenizers=model.tokenizers)
    other = dataclasses.replace(model.config, text_decoder=dataclasses.replace(model.config.text_decoder, eos_id=7))
    with pytest.raises(ValueError, match=r"\(0, 1, 2\), got \(0, 1, 7\)"):
        VLJEPA(other, text_decoder=model.modules["text_decoder"], tokenizers=model.tokenizers)


def test_make_tiny_repeats_itself_and_draws_nothing_from_the_callers_numbers(tmp_path):
    state = torch.get_rng_state()
    a, b, c = make_tiny(tmp_path / "a", 1), make_tiny(tmp_path / "b", 1), make_tiny(tmp_path / "c", 2)
    assert a.sha256 == b.sha256 != c.sha256
    assert torch.equal(torch.get_rng_state(), state)


def test_damaged_numbers_are_reported(model, tiny_checkpoint):
    broken = VLJEPA.from_pretrained(tiny_checkpoint, device="cpu", engine="torch")
    with torch.no_grad():
        broken.modules["predictor"].out_proj.bias[0] = float("nan")
    with pytest.raises(FloatingPointError, match="not finite"):
        broken.embed(frames())


def test_importing_and_seeing_need_no_transformers(tiny_checkpoint):
    """Seconds of start-up that a predictor node must not pay, and packages that a robot does not have."""
    code = (
        "import sys, numpy as np\n"
        "from vljepa_ros.model import VLJEPA\n"
        f"model = VLJEPA.from_pretrained({str(tiny_checkpoint)!r}, parts=['vision', 'predictor', 'text_decoder'])\n"
        "model.decode(model.embed(np.zeros((32, 32, 3), np.uint8)))\n"
        "assert not {'transformers', 'rclpy', 'mujoco', 'onnxruntime'} & set(sys.modules), sys.modules.keys()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
