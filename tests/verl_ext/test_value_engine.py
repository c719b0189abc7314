"""How a critic is loaded, what its new head says, and what of it is trained."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import verl.utils.model
from transformers import AutoConfig, LlamaForTokenClassification

from tests.verl_ext import tiny
from verl_ext.value_engine import CriticModelConfig, ValueEngine, load_value_model


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("critic")
    tiny.write_model(folder)
    return folder


def load(folder: Path, attention: str | None = None) -> torch.nn.Module:
    config = AutoConfig.from_pretrained(str(folder), attn_implementation=attention, num_labels=1)
    return load_value_model(str(folder), torch.float32, config, False)


@pytest.mark.parametrize(("asked", "loaded"), [("eager", "eager"), (None, "sdpa")])
def test_the_critic_has_the_attention_of_the_profile(folder: Path, asked: str | None, loaded: str) -> None:
    assert load(folder, asked).config._attn_implementation == loaded


def test_verl_loads_critics_by_it() -> None:
    assert verl.utils.model.load_valuehead_model is load_value_model


def test_a_new_head_says_nothing_yet_of_any_token(folder: Path) -> None:
    model = load(folder)
    assert model.has_new_head
    assert not model(input_ids=torch.arange(12).unsqueeze(0)).logits.any()


def test_a_head_that_the_checkpoint_has_is_kept(folder: Path, tmp_path: Path) -> None:
    trained = LlamaForTokenClassification.from_pretrained(str(folder), num_labels=1)
    with torch.no_grad():
        trained.score.weight.fill_(0.5)
    trained.save_pretrained(str(tmp_path))
    model = load(tmp_path)
    assert not model.has_new_head
    assert (model.score.weight == 0.5).all()


def engine(**settings: object) -> ValueEngine:
    """An engine without a process group, for what needs none."""
    made: ValueEngine = object.__new__(ValueEngine)
    made.model_config = SimpleNamespace(  # type: ignore[assignment]
        lora_rank=4,
        lora_alpha=8,
        target_modules="all-linear",
        lora_adapter_path=None,
        head_lr_factor=20.0,
        **{"exclude_modules": None, **settings},
    )
    made.optimizer_config = SimpleNamespace(  # type: ignore[assignment]
        lr=1e-3,
        weight_decay=0.0,
        betas=(0.9, 0.99),
        optimizer="AdamW",
        optimizer_impl="torch.optim",
        override_optimizer_config=None,
    )
    return made


@pytest.mark.parametrize("excluded", [None, ".*down_proj", ["down_proj"]])
def test_a_lora_critic_trains_its_head_and_its_matrices_in_float32(folder: Path, excluded: object) -> None:
    adapted = engine(exclude_modules=excluded)._build_lora_module(load(folder).to(torch.bfloat16))
    trained = {name: one for name, one in adapted.named_parameters() if one.requires_grad}
    assert any("lora_A" in name for name in trained)
    assert any("score" in name and name.endswith("bias") for name in trained)
    assert {one.dtype for one in trained.values()} == {torch.float32}
    assert {one.dtype for one in adapted.parameters() if not one.requires_grad} == {torch.bfloat16}
    assert any("down_proj" in name for name in trained) == (excluded is None)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert adapted(input_ids=torch.arange(12).unsqueeze(0)).logits.shape == (1, 12, 1)


def test_the_head_learns_faster_than_the_layers(folder: Path) -> None:
    layers, head = engine()._build_optimizer(load(folder)).param_groups
    assert layers["lr"] == pytest.approx(1e-3)
    assert head["lr"] == pytest.approx(2e-2)
    assert sorted(parameter.shape for parameter in head["params"]) == [(1,), (1, 64)]


def test_the_default_factor_is_the_configurations() -> None:
    assert CriticModelConfig.head_lr_factor == 20.0
