"""Which rows of a batch are updated on."""

from __future__ import annotations

import pytest
from omegaconf import OmegaConf

from verl_ext.teaching import group_of, lost_keys, mini_batch_of, question_multiple, taught_keys

KEYS = [f"q{question}_{rollout}_0" for question in range(4) for rollout in range(2)]


def taught(*questions: int) -> list[bool]:
    """One of the two rows of these questions has an advantage."""
    return [rollout == 1 and question in questions for question in range(4) for rollout in range(2)]


def test_a_question_is_kept_whole_or_not_at_all() -> None:
    assert taught_keys(KEYS, taught(1, 3), 2, 1) == ["q1_0_0", "q1_1_0", "q3_0_0", "q3_1_0"]
    assert taught_keys(KEYS, taught(0, 1, 2, 3), 2, 1) == KEYS
    assert taught_keys(KEYS, taught(), 2, 1) == []


def test_questions_that_teach_nothing_fill_up_to_whole_mini_batches() -> None:
    kept = taught_keys(KEYS, taught(2), 2, 2)
    assert kept is not None
    assert {group_of(key) for key in kept} == {"q0", "q2"}
    assert taught_keys(KEYS, taught(0, 1, 2), 2, 4) == KEYS
    assert taught_keys(KEYS[:6], taught(0, 1, 2)[:6], 2, 4) is None


def test_questions_of_unequal_size_are_left_to_verl() -> None:
    assert taught_keys(KEYS[:-1], taught(3)[:-1], 2, 1) == []
    assert taught_keys(KEYS[1:], [True, *taught(1)[2:]], 2, 1) is None


@pytest.mark.parametrize(
    ("num_mini_batches", "num_rollouts", "num_ranks", "multiple"),
    [(1, 8, 1, 1), (2, 8, 1, 2), (1, 8, 4, 1), (1, 8, 16, 2), (2, 6, 4, 4)],
)
def test_ranks_and_mini_batches_get_equal_shares(
    num_mini_batches: int, num_rollouts: int, num_ranks: int, multiple: int
) -> None:
    assert question_multiple(num_mini_batches, num_rollouts, num_ranks) == multiple
    assert multiple * num_rollouts % (num_mini_batches * num_ranks) == 0


def test_an_episode_is_lost_if_the_graph_was_ever_out_of_reach() -> None:
    episodes = [{"metric/num_kg_failures": 0.0}, {"metric/num_kg_failures": 1.0}, {}]
    assert lost_keys(["a_0_0", "b_0_0", "c_0_0"], episodes) == ["b_0_0"]


def test_the_mini_batch_is_put_back_even_after_a_failure() -> None:
    actor = OmegaConf.create({"ppo_mini_batch_size": 6})
    OmegaConf.set_struct(actor, True)
    with pytest.raises(RuntimeError), mini_batch_of(actor, 2):
        assert actor.ppo_mini_batch_size == 2
        raise RuntimeError
    assert actor.ppo_mini_batch_size == 6
