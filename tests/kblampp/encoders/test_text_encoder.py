"""A text's vector depends on the text alone: not on the padding side, its batch mates, or their number."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from kblampp.encoders.config import EncoderConfig
from kblampp.encoders.families import FAMILIES, POOLINGS
from kblampp.encoders.loading import load_encoder
from kblampp.encoders.text_encoder import TextEncoder
from tests.kblampp import tiny

Load = Callable[..., TextEncoder]
TEXTS = [
    "paris",
    "which river flows through the capital of france",
    "berlin borders lima",
    "the currency of the country in which the city is",
    "",
]


@pytest.mark.parametrize("model_type", tiny.CONFIGS)
def test_a_vector_does_not_depend_on_padding_or_on_batch_mates(load: Load, model_type: str) -> None:
    encoder = load(model_type)
    assert encoder.dim == tiny.HIDDEN
    alone = np.concatenate([encoder.encode([text]) for text in TEXTS])
    for side in ("left", "right"):
        encoder.model.tokenizer.padding_side = side
        together = encoder.encode(TEXTS)
        assert together.dtype == np.float32
        np.testing.assert_allclose(together, alone, atol=1e-4)
        np.testing.assert_allclose(encoder.encode(TEXTS[::-1])[::-1], alone, atol=1e-4)


@pytest.mark.parametrize("model_type", tiny.CONFIGS)
def test_different_texts_have_different_vectors(load: Load, model_type: str) -> None:
    """Pooling the first token of a causal model gives one vector for all; no family does that by default."""
    vectors = load(model_type).encode(TEXTS, normalise=True)
    similar = vectors @ vectors.T
    assert similar[~np.eye(len(TEXTS), dtype=bool)].max() < 0.999


@pytest.mark.parametrize("model_type", ["llama", "qwen2"])
def test_what_goes_wrong_when_a_causal_model_is_pooled_at_its_first_token(
    load: Load, model_type: str
) -> None:
    encoder = load(model_type, pooling="cls")
    texts = ["the capital of france", "the lake", "the euro is a currency"]
    vectors = encoder.encode(texts, normalise=True)
    np.testing.assert_allclose(vectors @ vectors.T, 1.0, atol=1e-5)


@pytest.mark.parametrize("model_type", ["bert", "llama"])
def test_a_decoder_pools_the_last_token_that_the_mask_shows(load: Load, model_type: str) -> None:
    """The padding has the id of the end of a text, so the id alone cannot say where the text ends."""
    encoder = load(model_type, pooling="lasttoken")
    if model_type == "llama":
        assert encoder.model.tokenizer.pad_token_id == encoder.model.tokenizer.eos_token_id
    features = encoder.model.preprocess([TEXTS[1]])
    transformer = encoder.model.transformers_model
    assert transformer is not None
    with torch.no_grad():
        hidden = transformer(
            input_ids=features["input_ids"], attention_mask=features["attention_mask"]
        ).last_hidden_state
    np.testing.assert_allclose(encoder.encode(TEXTS)[1], hidden[0, -1].numpy(), atol=1e-4)


@pytest.mark.parametrize(("model_type", "padding_side"), [("roberta", "right"), ("mistral", "left")])
def test_the_family_decides_pooling_and_padding(load: Load, model_type: str, padding_side: str) -> None:
    encoder = load(model_type)
    assert encoder.pooling == FAMILIES[model_type].pooling
    assert encoder.model.tokenizer.padding_side == padding_side
    for pooling in POOLINGS:
        assert load(model_type, pooling=pooling).pooling == pooling


@pytest.mark.parametrize(("mode", "pooling"), [("cls_token", "cls"), ("mean_tokens", "mean")])
def test_a_checkpoint_that_says_how_it_is_pooled_is_heard(tmp_path: Path, mode: str, pooling: str) -> None:
    folder = tiny.pooled_like_a_sentence_transformer(tiny.checkpoint(tmp_path / "m", "bert"), mode)
    encoder = load_encoder(EncoderConfig("bert", model_path=folder, device="cpu"))
    assert encoder.pooling == pooling
    assert encoder.model.max_seq_length == 64
    lengths = np.linalg.norm(encoder.encode(TEXTS), axis=1)
    assert abs(lengths - 1.0).max() > 0.1  # the checkpoint's own step to length 1 is asked for, not done
    np.testing.assert_allclose(np.linalg.norm(encoder.encode(TEXTS, normalise=True), axis=1), 1.0, rtol=1e-6)
    other = load_encoder(EncoderConfig("bert", model_path=folder, device="cpu", pooling="lasttoken"))
    assert other.pooling == "lasttoken"


def test_only_queries_get_the_instruction(load: Load) -> None:
    encoder = load("llama", instruction="Find a city")
    assert encoder.query_prefix == "Instruct: Find a city\nQuery: "
    written = ["Instruct: Find a city\nQuery: paris"]
    np.testing.assert_allclose(encoder.encode(["paris"], as_queries=True), encoder.encode(written), atol=1e-5)
    assert abs(encoder.encode(["paris"], as_queries=True) - encoder.encode(["paris"])).max() > 1e-3
    assert load("bert").query_prefix == ""


def test_no_text_is_an_empty_matrix_and_odd_text_is_encoded(load: Load) -> None:
    encoder = load("qwen3")
    assert encoder.encode([]).shape == (0, tiny.HIDDEN)
    odd = ["", "\x00", "a\ud800b", "\u202eabc", "x" * 100_000]
    vectors = encoder.encode(odd)
    assert vectors.shape == (5, tiny.HIDDEN)
    assert np.isfinite(vectors).all()


def test_half_precision_is_near_full_and_gives_float32(load: Load) -> None:
    full, half = load("llama"), load("llama", dtype="bfloat16")
    assert half.model.dtype == torch.bfloat16
    a, b = full.encode(TEXTS, normalise=True), half.encode(TEXTS, normalise=True)
    assert b.dtype == np.float32
    assert (a * b).sum(axis=1).min() > 0.95
    assert abs(a - b).max() > 1e-4


def test_a_long_text_is_cut_at_its_end(load: Load) -> None:
    encoder = load("bert", max_length=4)
    same = encoder.encode(["paris berlin lima", "paris berlin euro"])
    np.testing.assert_allclose(same[0], same[1], atol=1e-5)


@pytest.mark.parametrize("model_type", ["bert", "qwen2"])
def test_forward_gives_what_encode_does_and_has_gradients(load: Load, model_type: str) -> None:
    encoder = load(model_type)
    encoder.model.eval()
    vectors = encoder.forward(TEXTS)
    np.testing.assert_allclose(vectors.detach().numpy(), encoder.encode(TEXTS), atol=1e-4)
    vectors.sum().backward()
    assert any(parameter.grad is not None for parameter in encoder.model.parameters())
