"""LoRA adapts exactly the modules of the table; what cannot be trained is refused by name."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from kblampp.encoders.adapting import adapted_modules, load_adapter, make_trainable, save_adapter
from kblampp.encoders.errors import EncoderError, FullFineTuningRefused
from kblampp.encoders.families import FAMILIES
from kblampp.encoders.text_encoder import TextEncoder
from tests.kblampp import tiny

Load = Callable[..., TextEncoder]
TEXTS = ["paris", "berlin borders lima", "the capital of france"]
DECODER = ("q_proj", "k_proj", "v_proj", "o_proj")


@pytest.mark.parametrize("model_type", tiny.CONFIGS)
def test_lora_adapts_exactly_the_listed_modules(load: Load, model_type: str) -> None:
    encoder = load(model_type, lora_rank=4, lora_alpha=8)
    before = encoder.encode(TEXTS)
    trained = make_trainable(encoder, "lora")
    adapted = adapted_modules(encoder)
    targets = FAMILIES[model_type].lora_targets
    assert len(adapted) == 2 * len(targets)  # two layers
    assert {name.rpartition(".")[2] for name in adapted} == set(targets)
    assert len(trained) == 2 * len(adapted)
    assert all(4 in parameter.shape for parameter in trained)
    np.testing.assert_allclose(encoder.encode(TEXTS), before, atol=1e-6)  # untrained, it changes nothing


def test_the_table_says_what_the_two_families_adapt() -> None:
    assert FAMILIES["bert"].lora_targets == FAMILIES["roberta"].lora_targets == ("query", "value")
    assert FAMILIES["qwen"].lora_targets == ("c_attn",)
    assert all(FAMILIES[name].lora_targets == DECODER for name in ("llama", "mistral", "qwen2", "qwen3"))


@pytest.mark.parametrize(("model_type", "checkpointing"), [("bert", False), ("bert", True), ("llama", True)])
def test_training_moves_the_adapter_alone_and_it_is_loaded_again(
    load: Load, tmp_path: Path, model_type: str, checkpointing: bool
) -> None:
    encoder = load(model_type, gradient_checkpointing=checkpointing, cache=tmp_path / "vectors.sqlite")
    before = encoder.encode(TEXTS)
    frozen = {name: value.clone() for name, value in encoder.model.state_dict().items()}
    trained = make_trainable(encoder, "lora")
    encoder.model.train()
    optimiser = torch.optim.AdamW(trained, lr=0.05)
    for _ in range(3):
        optimiser.zero_grad()
        encoder.forward(TEXTS).square().sum().backward()
        assert all(parameter.grad is not None for parameter in trained)
        optimiser.step()
    after = encoder.encode(TEXTS)
    assert abs(after - before).max() > 1e-3  # and nothing stale came from the cache
    state = encoder.model.state_dict()
    for name, value in frozen.items():
        kept = [key for key in state if key.replace(".base_layer", "") == name]
        assert len(kept) == 1
        assert torch.equal(state[kept[0]], value)
    save_adapter(encoder, tmp_path / "adapter")
    assert not list((tmp_path / "adapter").glob("*.bin"))
    again = load(model_type)
    load_adapter(again, tmp_path / "adapter")
    np.testing.assert_allclose(again.encode(TEXTS), after, atol=1e-5)


def test_an_encoder_may_be_trained_whole_and_a_decoder_not(load: Load) -> None:
    encoder = load("bert")
    assert len(make_trainable(encoder, "full")) == len(list(encoder.model.parameters()))
    with pytest.raises(FullFineTuningRefused, match=r"is a decoder \(qwen2\).*--lora-rank"):
        make_trainable(load("qwen2"), "full")


@pytest.mark.skipif(importlib.util.find_spec("bitsandbytes") is None, reason="bitsandbytes is not installed")
@pytest.mark.parametrize("flag", ["load_in_4bit", "load_in_8bit"])
@pytest.mark.parametrize("model_type", ["bert", "llama"])
def test_few_bits_are_near_full_precision_and_take_lora_only(load: Load, model_type: str, flag: str) -> None:
    full, quantised = load(model_type), load(model_type, **{flag: True})
    a, b = full.encode(TEXTS, normalise=True), quantised.encode(TEXTS, normalise=True)
    assert (a * b).sum(axis=1).min() > 0.9
    assert abs(a - b).max() > 1e-4
    with pytest.raises(FullFineTuningRefused):
        make_trainable(quantised, "full")
    make_trainable(quantised, "lora")
    quantised.model.eval()
    quantised.forward(TEXTS).sum().backward()
    gradients = {name: value.grad for name, value in quantised.model.named_parameters() if "lora_B" in name}
    assert all(gradient is not None and gradient.abs().sum() > 0 for gradient in gradients.values())
    assert len(adapted_modules(quantised)) == 2 * len(FAMILIES[model_type].lora_targets)


def test_an_adapter_that_is_none_or_does_not_fit_is_named(load: Load, tmp_path: Path) -> None:
    with pytest.raises(EncoderError, match=r"no adapter_model.safetensors"):
        load_adapter(load("bert"), tmp_path)
    encoder = load("bert")
    make_trainable(encoder, "lora")
    save_adapter(encoder, tmp_path / "adapter")
    with pytest.raises(EncoderError, match="does not fit"):
        load_adapter(load("llama"), tmp_path / "adapter")
