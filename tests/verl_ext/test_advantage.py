"""Turn-level credit against the exact policy gradient of a toy whose every group can be listed.

The toy: at each of three depths the policy stops rightly, stops wrongly or (but at the last) goes on, which
earns a little at once. So it decides itself how many turns there are, which is where estimators go wrong.
Expectations are sums over all groups of three episodes with their probabilities; nothing is sampled.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from verl.trainer.ppo.core_algos import get_adv_estimator_fn

from verl_ext.advantage import ESTIMATOR, leave_one_out_mean, rewards_to_go, turn_advantage, turn_numbers

NUM_DEPTHS, RIGHT, WRONG, ON = 3, 0, 1, 2
STOP_REWARD = {RIGHT: (0.2, 0.6, 1.0), WRONG: (0.0, 0.0, 0.0)}
ON_REWARD = 0.3
GROUP_SIZE = 3
Estimator = Callable[[torch.Tensor, torch.Tensor, np.ndarray], torch.Tensor]


def toy_logits() -> torch.Tensor:
    logits = torch.tensor([[0.3, -0.2, 0.9], [0.1, 0.4, 0.2], [-0.3, 0.5, 0.0]], dtype=torch.float64)
    logits[-1, ON] = -torch.inf
    return logits


def episodes() -> list[tuple[int, ...]]:
    """Every way to play: the actions taken at depths 0, 1, ..."""
    ways = []
    for num_on in range(NUM_DEPTHS):
        ways += [(ON,) * num_on + (stop,) for stop in (RIGHT, WRONG)]
    return ways


def turn_rewards(actions: tuple[int, ...]) -> list[float]:
    return [ON_REWARD] * (len(actions) - 1) + [STOP_REWARD[actions[-1]][len(actions) - 1]]


def tokens() -> tuple[torch.Tensor, torch.Tensor]:
    """Rewards and mask, [num_episodes, 3 * NUM_DEPTHS]: two sampled tokens a turn, then an observation."""
    ways = episodes()
    rewards = torch.zeros(len(ways), 3 * NUM_DEPTHS, dtype=torch.float64)
    mask = torch.zeros(len(ways), 3 * NUM_DEPTHS, dtype=torch.long)
    for row, actions in enumerate(ways):
        for turn, reward in enumerate(turn_rewards(actions)):
            mask[row, 3 * turn : 3 * turn + 2] = 1
            rewards[row, 3 * turn + 1] = reward
    return rewards, mask


def scores(logits: torch.Tensor) -> torch.Tensor:
    """Gradient of the log-probability of each turn's action, [num_episodes, NUM_DEPTHS, num_parameters]."""
    probabilities = logits.softmax(dim=1)
    table = torch.zeros(len(episodes()), NUM_DEPTHS, *logits.shape, dtype=torch.float64)
    for row, actions in enumerate(episodes()):
        for turn, action in enumerate(actions):
            table[row, turn, turn] = -probabilities[turn]
            table[row, turn, turn, action] += 1.0
    return table.flatten(2)


def episode_probabilities(logits: torch.Tensor) -> torch.Tensor:
    logs = logits.log_softmax(dim=1)
    return torch.stack(
        [sum(logs[turn, action] for turn, action in enumerate(way)) for way in episodes()]
    ).exp()


def exact_gradient() -> torch.Tensor:
    logits = toy_logits().requires_grad_()
    returns = torch.tensor([sum(turn_rewards(way)) for way in episodes()], dtype=torch.float64)
    (episode_probabilities(logits) @ returns).backward()
    return logits.grad.nan_to_num().flatten()


def estimates(estimator: Estimator) -> tuple[torch.Tensor, torch.Tensor]:
    """Each possible group's estimate, [num_groups, num_parameters], and its probability, [num_groups]."""
    rewards, mask = tokens()
    groups = torch.tensor(list(itertools.product(range(len(episodes())), repeat=GROUP_SIZE)))
    rows = groups.flatten()
    index = np.repeat(np.arange(len(groups)), GROUP_SIZE)
    advantages = estimator(rewards[rows], mask[rows], index)
    by_turn = advantages[:, ::3]  # the first token of each turn
    gradients = torch.einsum("bt,btp->bp", by_turn, scores(toy_logits())[rows])
    gradients = gradients.view(len(groups), GROUP_SIZE, -1).mean(dim=1)
    return gradients, episode_probabilities(toy_logits())[groups].prod(dim=1)


def expected(estimator: Estimator) -> torch.Tensor:
    gradients, probabilities = estimates(estimator)
    return probabilities @ gradients


def variance(estimator: Estimator) -> float:
    gradients, probabilities = estimates(estimator)
    deviations = gradients - probabilities @ gradients
    return float(probabilities @ deviations.square().sum(dim=1))


def ours(rewards: torch.Tensor, mask: torch.Tensor, index: np.ndarray) -> torch.Tensor:
    return turn_advantage(rewards, mask, index)[0]


def whole_episode(rewards: torch.Tensor, mask: torch.Tensor, index: np.ndarray) -> torch.Tensor:
    """One number an episode, leave-one-out: GRPO without its standard deviation, times n / (n - 1)."""
    total = rewards.sum(dim=1, keepdim=True)
    counts = torch.ones(len(total), dtype=torch.bool)
    return (total - leave_one_out_mean(total, index, counts)) * mask


def turn_table(rewards: torch.Tensor, mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Turn of each token; reward-to-go and whether it was reached for each turn."""
    turns = turn_numbers(mask)
    to_go = rewards_to_go(rewards, turns, 1.0)
    return turns, to_go, torch.arange(1, to_go.shape[1] + 1) <= turns.max(dim=1, keepdim=True).values


def per_turn_index(rewards: torch.Tensor, mask: torch.Tensor, index: np.ndarray) -> torch.Tensor:
    """Reward-to-go normalised among the group's episodes that reached the turn, this one included."""
    turns, to_go, reached = turn_table(rewards, mask)
    normalised = torch.zeros_like(to_go)
    for group in np.unique(index):
        rows = torch.as_tensor(index == group)
        for turn in range(to_go.shape[1]):
            members = rows & reached[:, turn]
            values = to_go[members, turn]
            if len(values) > 1:
                normalised[members, turn] = (values - values.mean()) / (values.std() + 1e-6)
    return normalised.gather(1, (turns - 1).clamp(min=0)) * mask


def all_turns(rewards: torch.Tensor, mask: torch.Tensor, index: np.ndarray) -> torch.Tensor:
    """Reward-to-go less the mean over all turns of the group, however many there are."""
    turns, to_go, reached = turn_table(rewards, mask)
    centred = torch.zeros_like(to_go)
    for group in np.unique(index):
        members = torch.as_tensor(index == group).unsqueeze(1) & reached
        centred[members] = to_go[members] - to_go[members].mean()
    return centred.gather(1, (turns - 1).clamp(min=0)) * mask


def test_turns_are_the_runs_of_the_mask() -> None:
    mask = torch.tensor([[1, 1, 0, 1, 0, 0], [0, 1, 1, 1, 0, 1], [0, 0, 0, 0, 0, 0]])
    assert turn_numbers(mask).tolist() == [[1, 1, 1, 2, 2, 2], [0, 1, 1, 1, 1, 2], [0] * 6]


def test_what_a_turn_is_worth_by_hand() -> None:
    """Two siblings: two turns earning 1 and 4, one turn earning 2; gamma one half."""
    rewards = torch.tensor([[0.0, 1.0, 0.0, 4.0], [0.0, 2.0, 0.0, 0.0]])
    mask = torch.tensor([[1, 1, 0, 1], [1, 1, 0, 0]])
    advantages, returns = turn_advantage(
        rewards, mask, np.array(["q", "q"]), config=SimpleNamespace(get=lambda name, default: 0.5)
    )
    assert returns.tolist() == [[3.0, 3.0, 0.0, 4.0], [2.0, 2.0, 0.0, 0.0]]
    assert advantages.tolist() == [[1.0, 1.0, 0.0, 4.0], [-1.0, -1.0, 0.0, 0.0]]


def test_groups_do_not_mix_and_a_lonely_episode_has_no_baseline() -> None:
    rewards = torch.tensor([[1.0], [3.0], [10.0]])
    advantages, _ = turn_advantage(rewards, torch.ones(3, 1), np.array(["a", "a", "b"], dtype=object))
    assert advantages.flatten().tolist() == [-2.0, 2.0, 10.0]


def test_an_episode_that_never_spoke_gets_nothing() -> None:
    advantages, returns = turn_advantage(torch.ones(2, 3), torch.zeros(2, 3), np.array(["q", "q"]))
    assert not advantages.any()
    assert not returns.any()


def test_an_episode_that_is_masked_out_is_no_sibling() -> None:
    mask = torch.tensor([[1], [1], [0]])
    advantages, _ = turn_advantage(torch.tensor([[1.0], [3.0], [8.0]]), mask, np.array(["q"] * 3))
    assert advantages.flatten().tolist() == [-2.0, 2.0, 0.0]


def test_verl_finds_it() -> None:
    assert get_adv_estimator_fn(ESTIMATOR) is turn_advantage


def test_its_expectation_is_the_policy_gradient() -> None:
    torch.testing.assert_close(expected(ours), exact_gradient(), rtol=0, atol=1e-12)
    torch.testing.assert_close(expected(whole_episode), exact_gradient(), rtol=0, atol=1e-12)


@pytest.mark.parametrize("biased", [per_turn_index, all_turns])
def test_the_usual_normalisations_point_elsewhere(biased: Estimator) -> None:
    """Beyond any positive factor, which a learning rate could make good."""
    exact, estimate = exact_gradient(), expected(biased)
    cosine = torch.nn.functional.cosine_similarity(exact, estimate, dim=0)
    assert cosine < 0.995


@pytest.mark.parametrize(
    ("estimator", "error", "cosine", "spread"),
    [
        (ours, 0.0, 1.0, 0.082),
        (whole_episode, 0.0, 1.0, 0.100),
        (per_turn_index, 0.77, 0.953, 0.155),
        (all_turns, 0.27, 0.993, 0.029),
    ],
)
def test_the_table_of_the_page(estimator: Estimator, error: float, cosine: float, spread: float) -> None:
    """The figures of docs/credit.md."""
    exact, estimate = exact_gradient(), expected(estimator)
    assert float((estimate - exact).norm() / exact.norm()) == pytest.approx(error, abs=0.005)
    assert float(torch.nn.functional.cosine_similarity(exact, estimate, dim=0)) == pytest.approx(
        cosine, abs=0.0005
    )
    assert variance(estimator) == pytest.approx(spread, abs=0.0005)


def test_credit_by_turn_varies_less_than_credit_by_episode() -> None:
    assert variance(ours) < variance(whole_episode)
