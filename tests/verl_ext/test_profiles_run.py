"""The GPU profiles take real steps on a processor: their own values except device, model and sizes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.verl_ext import tiny
from tests.verl_ext.gpu_profiles import ON_A_PROCESSOR, SIZES
from tests.verl_ext.running import World

pytestmark = pytest.mark.trainer


def run(
    world: World, model: Path, profile: str, estimator: str, *overrides: str
) -> dict[int, dict[str, float]]:
    """Two steps of a profile, and its metrics by step."""
    name = f"{profile}-{estimator}"
    models = [f"actor_rollout_ref.model.path={model}", f"critic.model.path={model}"]
    estimating = [f"algorithm.adv_estimator={estimator}", "algorithm.rollout_correction.bypass_mode=false"]
    world.run(name, *ON_A_PROCESSOR, *SIZES, *models, *estimating, *overrides, profile=profile)
    return tiny.read_metrics(world.folder / name / "metrics.jsonl")


@pytest.mark.parametrize("estimator", ["grpo", "gae"])
def test_the_card_of_24_gb(world: World, qwen2: Path, estimator: str) -> None:
    # A rate at which an engine that has not got the adapter is told from one that has.
    metrics = run(world, qwen2, "rtx4090_3b", estimator, "actor_rollout_ref.actor.optim.lr=1e-2")
    assert sorted(metrics) == [1, 2]
    assert all(metrics[step]["actor/grad_norm"] > 0 for step in (1, 2))
    assert "rollout_corr/rollout_is_mean" in metrics[1]
    assert metrics[2]["training/rollout_actor_probs_pearson_corr"] > 0.99
    assert metrics[2]["training/rollout_probs_diff_mean"] < 0.02
    if estimator == "gae":
        assert metrics[1]["critic/grad_norm"] > 0
        assert metrics[1]["critic/values/mean"] == pytest.approx(metrics[1]["episode/reward/total"], abs=0.01)


@pytest.mark.parametrize("estimator", ["grpo", "gae"])
def test_several_cards_with_two_ranks(world: World, qwen2: Path, estimator: str) -> None:
    metrics = run(world, qwen2, "h100x4_3b", estimator, "trainer.n_gpus_per_node=2")
    assert sorted(metrics) == [1, 2]
    assert metrics[1]["actor/grad_norm"] > 0
    assert "actor/kl_loss" in metrics[1]
    assert metrics[2]["training/rollout_actor_probs_pearson_corr"] > 0.99
    if estimator == "gae":
        assert metrics[1]["critic/grad_norm"] > 0


@pytest.mark.parametrize("estimator", ["gae", pytest.param("grpo", marks=pytest.mark.slow)])
def test_one_card_with_the_laptops_model(world: World, estimator: str) -> None:
    metrics = run(world, world.folder / "model", "gpu_135m", estimator)
    assert sorted(metrics) == [1, 2]
    assert metrics[1]["actor/grad_norm"] > 0
    assert metrics[2]["training/rollout_actor_probs_pearson_corr"] > 0.99
    if estimator == "gae":
        assert metrics[1]["critic/grad_norm"] > 0
