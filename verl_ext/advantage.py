"""Turn-level credit, registered with verl as ``algorithm.adv_estimator=kg_turn``.

Each turn is judged by what came after its beginning, against what its siblings (the other rollouts of the
same question) earned from the same turn on. The derivation, and what is wrong with the estimators that
normalise per turn index or over all turns of a group, is in docs/credit.md.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from verl.trainer.ppo.core_algos import register_adv_est

ESTIMATOR = "kg_turn"


def turn_numbers(response_mask: torch.Tensor) -> torch.Tensor:
    """For each token the turn it belongs to, from 1; an observation belongs to the turn before it.

    Turns are the runs of 1 in the mask, since an observation stands between any two of them.

    Args:
        response_mask: [batch, length], 1 on sampled tokens.

    Returns:
        [batch, length], int64; 0 before the first sampled token.
    """
    mask = response_mask.bool()
    before = torch.nn.functional.pad(mask[:, :-1], (1, 0), value=False)
    return (mask & ~before).long().cumsum(dim=1)


def rewards_to_go(rewards: torch.Tensor, turns: torch.Tensor, gamma: float) -> torch.Tensor:
    """What an episode earned from each of its turns on, ``G_t = r_t + gamma * G_{t+1}``.

    Args:
        rewards: [batch, length], every reward on a token of the turn that earned it.
        turns: [batch, length], as :func:`turn_numbers` gives them.
        gamma: discount per turn.

    Returns:
        [batch, most turns]; 0 from where an episode has stopped.
    """
    num_turns = int(turns.max()) if turns.numel() else 0
    by_turn = rewards.new_zeros(rewards.shape[0], num_turns + 1).scatter_add_(1, turns, rewards)[:, 1:]
    to_go = torch.zeros_like(by_turn)
    following = rewards.new_zeros(rewards.shape[0])
    for turn in reversed(range(num_turns)):
        following = by_turn[:, turn] + gamma * following
        to_go[:, turn] = following
    return to_go


def leave_one_out_mean(values: torch.Tensor, index: np.ndarray, counts: torch.Tensor) -> torch.Tensor:
    """For each row the mean of the other rows of its group, 0 for a row that is alone.

    Args:
        values: [batch, columns].
        index: [batch], rows of one group have equal values.
        counts: [batch], bool; the other rows are no siblings, and their own means say nothing.

    Returns:
        [batch, columns].
    """
    groups = torch.as_tensor(np.unique(index, return_inverse=True)[1], device=values.device)
    kept = values * counts.unsqueeze(1)
    sums = values.new_zeros(int(groups.max()) + 1, values.shape[1]).index_add_(0, groups, kept)
    sizes = torch.bincount(groups, weights=counts.to(values.dtype))[groups].unsqueeze(1)
    return (sums[groups] - kept) / (sizes - 1).clamp(min=1)


@register_adv_est(ESTIMATOR)
def turn_advantage(
    token_level_rewards: torch.Tensor,
    response_mask: torch.Tensor,
    index: np.ndarray,
    config: Any = None,
    **_: Any,
) -> tuple[torch.Tensor, torch.Tensor]:
    """``A_t = G_t - mean over siblings of G_t``, on every token of turn t.

    A sibling that had stopped before turn t counts as 0, so that the number of terms never depends on what
    this episode chose. An episode that is masked out altogether is no sibling. Nothing is divided by a
    standard deviation.

    Args:
        token_level_rewards: [batch, length].
        response_mask: [batch, length].
        index: [batch], the question of each row.
        config: verl's ``algorithm`` section; ``gamma`` is the discount per turn (1 without it).

    Returns:
        Advantages and rewards-to-go, each [batch, length], 0 where the mask is.
    """
    gamma = float(config.get("gamma", 1.0)) if config is not None else 1.0
    with torch.no_grad():
        turns = turn_numbers(response_mask)
        to_go = rewards_to_go(token_level_rewards, turns, gamma)
        if to_go.shape[1] == 0:
            return torch.zeros_like(token_level_rewards), torch.zeros_like(token_level_rewards)
        is_played = response_mask.bool().any(dim=1)
        advantages = to_go - leave_one_out_mean(to_go, index, is_played)
        place = (turns - 1).clamp(min=0)
        mask = response_mask.to(token_level_rewards.dtype)
        return advantages.gather(1, place) * mask, to_go.gather(1, place) * mask
