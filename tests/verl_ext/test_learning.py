"""Six steps of the shipped path teach: its temperature, the engine's own log-probabilities, handles."""

from __future__ import annotations

import pytest

from tests.verl_ext import tiny
from tests.verl_ext.running import World

pytestmark = pytest.mark.trainer

NUM_STEPS = 6
OVERRIDES = (
    f"trainer.total_training_steps={NUM_STEPS}",
    "trainer.total_epochs=6",
    "trainer.test_freq=-1",
    "trainer.val_before_train=false",
    "trainer.save_freq=-1",
    "trainer.logger=[console,file]",
    "data.train_batch_size=8",
    "actor_rollout_ref.actor.ppo_mini_batch_size=8",
    "actor_rollout_ref.actor.optim.lr=5e-4",
    "actor_rollout_ref.actor.optim.lr_warmup_steps=0",
    # As shipped, where the other runs here say otherwise.
    "actor_rollout_ref.rollout.temperature=0.8",
    "algorithm.rollout_correction.bypass_mode=true",
)


def rewards(world: World, name: str, *overrides: str) -> list[float]:
    """The mean reward that was sampled in each step."""
    world.run(name, *OVERRIDES, *overrides)
    metrics = tiny.read_metrics(world.folder / name / "metrics.jsonl")
    return [metrics[step]["episode/reward/total"] for step in range(1, NUM_STEPS + 1)]


def test_the_sampled_reward_rises(world: World) -> None:
    found = rewards(world, "learns")
    assert sum(found[-2:]) / 2 - found[0] > 0.3, found
    metrics = tiny.read_metrics(world.folder / "learns" / "metrics.jsonl")
    # The actor is looked at in the first step, though its old log-probabilities are the engine's.
    assert metrics[1]["actor/entropy"] > 0
    assert metrics[1]["training/rollout_actor_probs_pearson_corr"] > 0.99
    assert "actor/entropy" not in metrics[2]
