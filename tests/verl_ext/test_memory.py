"""The memory estimate against numbers that are known or worked out by hand."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir

import verl_ext.search_path  # noqa: F401
from verl_ext.memory import GIB, SMOLLM2_135M, ModelShape, UnknownModelError, estimate_memory, read_shape

CONFIGS = Path(__file__).resolve().parents[2] / "configs"


def test_parameters_are_counted_exactly(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(SMOLLM2_135M))
    # 134,515,008 is what transformers counts for SmolLM2-135M.
    assert read_shape(str(tmp_path)).num_parameters == 134_515_008


def test_lora_parameters_by_hand() -> None:
    shape = ModelShape(
        hidden_size=4,
        intermediate_size=6,
        num_layers=2,
        num_heads=2,
        num_key_value_heads=1,
        vocab_size=10,
        is_tied=True,
    )
    # One layer and rank 1: q, o 4+4 each; k, v 4+2 each; gate, up 4+6 each; down 6+4: 16 + 12 + 30.
    assert shape.num_linear_weights_per_rank == 2 * (16 + 12 + 30)


def test_the_parts_of_the_cpu_profile(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(SMOLLM2_135M))
    with initialize_config_dir(str(CONFIGS), version_base=None):
        config = compose("cpu_135m", overrides=[f"actor_rollout_ref.model.path={tmp_path}"])
    parts = estimate_memory(config).parts
    # float32 weights and gradients at 4 bytes, Adam's two moments at 8.
    assert parts["actor weights"] == parts["actor gradients"] == 4 * 134_515_008
    assert parts["actor optimizer"] == 8 * 134_515_008
    assert parts["engine weights"] == 2 * 134_515_008
    assert parts["margin"] == pytest.approx(sum(v for k, v in parts.items() if k != "margin") / 10)


def test_the_24_gib_profile_fits_24_gib() -> None:
    with initialize_config_dir(str(CONFIGS), version_base=None):
        estimate = estimate_memory(compose("rtx4090_3b"))
    # Qwen2.5-3B's model card: 3.09 billion parameters.
    assert estimate.num_parameters == pytest.approx(3.09e9, rel=0.01)
    assert 6 * GIB < estimate.total < 24 * GIB


def test_an_unknown_model_is_refused() -> None:
    with pytest.raises(UnknownModelError, match="no/such-model"):
        read_shape("no/such-model")
