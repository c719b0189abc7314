"""Which rows of a batch have an advantage, and which are updated on."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf
from verl.trainer.ppo.core_algos import compute_grpo_outcome_advantage

from verl_ext.teaching import (
    are_equal,
    group_of,
    keys_without_advantage,
    lost_keys,
    mini_batches_of,
    plan_update,
)

KEYS = [f"q{question}_{rollout}_0" for question in range(4) for rollout in range(2)]


def rewards(*by_question: tuple[float, float]) -> dict[str, float]:
    return dict(zip(KEYS, [value for pair in by_question for value in pair], strict=True))


def grpo_advantages(group: list[float]) -> list[float]:
    """verl's own, of one question's rollouts with one token each."""
    scores = torch.tensor(group, dtype=torch.float32).unsqueeze(1)
    found, _ = compute_grpo_outcome_advantage(
        scores, torch.ones_like(scores), np.zeros(len(group), dtype=int)
    )
    return found.squeeze(1).tolist()


@pytest.mark.parametrize("reward", [2 / 3, 0.8, 1 / 3, 4 / 7, 0.1 + 0.2])
def test_equal_rewards_are_no_advantage_whatever_rounding_makes_of_them(reward: float) -> None:
    group = {f"q_{rollout}_0": reward for rollout in range(8)}
    assert keys_without_advantage(group, [], "grpo") == set(group)


def test_rounding_does_make_advantages_of_equal_rewards() -> None:
    """The reason for deciding from rewards: were verl's estimator exact, nothing here would be needed."""
    assert max(abs(value) for tenth in range(1, 10) for value in grpo_advantages([tenth / 10] * 8)) > 0.01


@given(st.floats(-2, 2), st.lists(st.floats(-1e-10, 1e-10), min_size=2, max_size=16))
def test_rewards_equal_but_for_rounding_are_one_reward(reward: float, noise: list[float]) -> None:
    assert are_equal([reward + change for change in noise])
    assert not are_equal([reward, reward + 1e-6])


def test_a_group_with_a_spread_keeps_its_advantages() -> None:
    found = keys_without_advantage(rewards((0, 1), (1, 1), (0, 0), (0.5, 0.25)), [], "grpo")
    assert {group_of(key) for key in found} == {"q1", "q2"}


@pytest.mark.parametrize("estimator", ["grpo", "rloo", "kg_turn", "reinforce_plus_plus_baseline"])
def test_a_lone_survivor_has_nothing_to_be_compared_with(estimator: str) -> None:
    found = keys_without_advantage(rewards((0, 1), (1, 0), (0, 1), (0, 1)), ["q0_0_0"], estimator)
    assert found == {"q0_0_0", "q0_1_0"}


def test_a_critic_judges_a_lone_survivor_and_equal_groups() -> None:
    assert keys_without_advantage(rewards((0, 1), (1, 1), (0, 0), (0, 1)), ["q0_0_0"], "gae") == {"q0_0_0"}


def test_turns_of_equal_episodes_may_differ() -> None:
    assert keys_without_advantage(rewards((1, 1), (0, 1), (0, 1), (0, 1)), [], "kg_turn") == set()
    assert (
        keys_without_advantage(rewards((1, 1), (0, 1), (0, 1), (0, 1)), [], "grpo", kl_in_reward=True)
        == set()
    )


def taught(*questions: int) -> list[bool]:
    return [int(group_of(key)[1:]) in questions for key in KEYS]


def plan(is_taught: list[bool], num_rows: int = 4, num_ranks: int = 1, num_tokens: list[int] | None = None):
    return plan_update(KEYS, is_taught, num_tokens or [10] * len(KEYS), num_rows, num_ranks)


def test_the_mini_batch_keeps_its_size_and_the_number_of_updates_shrinks() -> None:
    assert plan(taught(0, 1, 2, 3)).num_rows_per_mini_batch == 4  # two updates
    two = plan(taught(1, 3))
    assert (two.keys, two.num_rows_per_mini_batch) == (["q1_0_0", "q1_1_0", "q3_0_0", "q3_1_0"], 4)  # one
    three = plan(taught(0, 1, 3))
    assert (len(three.keys), three.num_rows_per_mini_batch) == (6, 6)  # one of six, not two of three
    one = plan(taught(2))
    assert (len(one.keys), one.num_rows_per_mini_batch) == (2, 2)
    assert plan(taught()).keys == []


def test_the_shortest_rows_fill_up_for_the_ranks() -> None:
    tokens = [50, 50, 50, 50, 50, 20, 50, 10]
    filled = plan([True] + [False] * 7, num_ranks=2, num_tokens=tokens)
    assert filled.keys == ["q0_0_0", "q3_1_0"]
    assert filled.num_rows_per_mini_batch == 2


@given(st.data())
def test_every_taught_row_is_updated_on_once_and_ranks_get_equal_shares(data: st.DataObject) -> None:
    num_ranks = data.draw(st.integers(1, 4))
    num_rows = num_ranks * data.draw(st.integers(1, 6))
    num_mini_batches = data.draw(st.integers(1, 4))
    keys = [f"q{number}_0_0" for number in range(num_rows * num_mini_batches)]
    is_taught = data.draw(st.lists(st.booleans(), min_size=len(keys), max_size=len(keys)))
    lengths = data.draw(st.lists(st.integers(1, 99), min_size=len(keys), max_size=len(keys)))
    found = plan_update(keys, is_taught, lengths, num_rows, num_ranks)
    wanted = [key for key, teaches in zip(keys, is_taught, strict=True) if teaches]
    assert [key for key in found.keys if key in set(wanted)] == wanted
    assert len(found.keys) % found.num_rows_per_mini_batch == 0
    assert found.num_rows_per_mini_batch % num_ranks == 0
    if wanted:
        assert found.num_rows_per_mini_batch >= min(num_rows, len(wanted))
        num_updates = len(found.keys) // found.num_rows_per_mini_batch
        assert num_updates <= max(1, len(wanted) // num_rows)
        assert len(found.keys) - len(wanted) < num_updates * num_ranks


def test_an_episode_is_lost_if_the_graph_was_ever_out_of_reach() -> None:
    episodes = [{"metric/num_kg_failures": 0.0}, {"metric/num_kg_failures": 1.0}, {}]
    assert lost_keys(["a_0_0", "b_0_0", "c_0_0"], episodes) == ["b_0_0"]


def test_the_mini_batches_are_put_back_even_after_a_failure() -> None:
    config = OmegaConf.create(
        {
            "actor_rollout_ref": {"actor": {"ppo_mini_batch_size": 6}, "rollout": {"n": 8}},
            "critic": {"ppo_mini_batch_size": 3},
        }
    )
    before = OmegaConf.to_container(config)
    OmegaConf.set_struct(config, True)
    with pytest.raises(RuntimeError), mini_batches_of(config, 20):
        assert config.actor_rollout_ref.actor.ppo_mini_batch_size == 20
        assert config.critic.ppo_mini_batch_size == 20
        assert config.actor_rollout_ref.rollout.n == 1
        raise RuntimeError
    assert OmegaConf.to_container(config) == before
