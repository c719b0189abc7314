"""Which episodes of a batch can teach the policy anything.

Three kinds cannot. A question all of whose rollouts earned the same has no advantage anywhere: its forward
and backward pass, a fifth to a half of an update in our runs (docs/log.md), adds nothing but zeros. An
episode that lost the knowledge graph was judged on what the policy is not to blame for. And an episode whose
siblings are all lost has nothing to be compared with.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from omegaconf import DictConfig, open_dict

# Estimators of verl and ours whose advantage compares an episode with the other rollouts of its question ...
COMPARING_ESTIMATORS = frozenset(
    {
        "grpo",
        "grpo_vectorized",
        "grpo_passk",
        "rloo",
        "rloo_vectorized",
        "opo",
        "gpg",
        "reinforce_plus_plus_baseline",
        "kg_turn",
    }
)
# ... and those of them that compare one number an episode, so that equal rewards mean no advantage.
SCALAR_ESTIMATORS = frozenset({"grpo", "grpo_vectorized", "rloo", "rloo_vectorized", "opo"})
REWARD_TOLERANCE = 1e-9


def group_of(key: str) -> str:
    """The question that a row belongs to; a key is verl's ``<question uid>_<rollout>_<output>``."""
    return key.rsplit("_", 2)[0]


def are_equal(rewards: Sequence[float]) -> bool:
    """Whether rewards, in double precision, are one reward.

    Decided here and not from advantages: a mean of eight equal rewards differs from them by rounding, and
    divided by a standard deviation that is rounding too it becomes an advantage of .03 to .19.
    """
    return max(rewards) - min(rewards) <= REWARD_TOLERANCE


def lost_keys(keys: Sequence[str], episodes: Sequence[Mapping[str, float]]) -> list[str]:
    """The rows whose episode met a knowledge graph that did not answer, even if it answered later."""
    return [
        key for key, episode in zip(keys, episodes, strict=True) if episode.get("metric/num_kg_failures", 0.0)
    ]


def keys_without_advantage(
    rewards: Mapping[str, float], lost: Sequence[str], adv_estimator: str, *, kl_in_reward: bool = False
) -> set[str]:
    """The rows whose advantage is 0 whatever the estimator made of it.

    Args:
        rewards: what each row's episode earned, by key.
        lost: the rows that lost the knowledge graph; they are no siblings either.
        adv_estimator: as ``algorithm.adv_estimator``.
        kl_in_reward: the estimator sees other rewards than these, so equal ones say nothing.
    """
    survivors: dict[str, list[str]] = defaultdict(list)
    for key in rewards.keys() - set(lost):
        survivors[group_of(key)].append(key)
    silent = set(lost)
    for members in survivors.values():
        is_alone = adv_estimator in COMPARING_ESTIMATORS and len(members) < 2
        compares_totals = adv_estimator in SCALAR_ESTIMATORS and not kl_in_reward
        if is_alone or (compares_totals and are_equal([rewards[key] for key in members])):
            silent.update(members)
    return silent


@dataclass(frozen=True)
class UpdatePlan:
    """The rows to update on, and how many of them make one mini-batch."""

    keys: list[str]
    num_rows_per_mini_batch: int


def plan_update(
    keys: Sequence[str],
    is_taught: Sequence[bool],
    num_tokens: Sequence[int],
    num_rows_per_mini_batch: int,
    num_ranks: int,
) -> UpdatePlan:
    """Keep the rows that teach, in mini-batches of at least the size that was asked for.

    What shrinks with the number of rows is the number of updates: two of eight questions make one update of
    two, not two updates of one. Where the rows do not divide among mini-batches and ranks, the shortest rows
    without an advantage fill up.

    Args:
        keys: rows of the batch; their number is a multiple of `num_ranks`.
        is_taught: for each row whether anything is learned from it.
        num_tokens: of each row.
        num_rows_per_mini_batch: of a batch that is taught from whole.
        num_ranks: data-parallel workers.

    Returns:
        The plan; without keys when nothing teaches.
    """
    taught = {key for key, teaches in zip(keys, is_taught, strict=True) if teaches}
    if not taught:
        return UpdatePlan([], num_rows_per_mini_batch)
    lengths = dict(zip(keys, num_tokens, strict=True))
    spare = sorted((key for key in keys if key not in taught), key=lengths.__getitem__)
    for num_updates in range(max(1, len(taught) // num_rows_per_mini_batch), 0, -1):
        num_rows = math.ceil(len(taught) / (num_updates * num_ranks)) * num_updates * num_ranks
        if num_rows <= len(keys):
            kept = taught | set(spare[: num_rows - len(taught)])
            return UpdatePlan([key for key in keys if key in kept], num_rows // num_updates)
    raise ValueError(f"{len(keys)} rows do not divide among {num_ranks} ranks")


@contextmanager
def mini_batches_of(config: DictConfig, num_rows: int) -> Iterator[None]:
    """The configuration with mini-batches of `num_rows` rows, for one update of the actor or the critic.

    verl counts mini-batches in questions and multiplies by the rollouts of each; here a row is a question.
    """
    rollout, sections = config.actor_rollout_ref.rollout, (config.actor_rollout_ref.actor, config.critic)
    before = rollout.n, [section.ppo_mini_batch_size for section in sections]

    def put(num_rollouts: int, sizes: Sequence[int]) -> None:
        with open_dict(config):
            rollout.n = num_rollouts
            for section, size in zip(sections, sizes, strict=True):
                section.ppo_mini_batch_size = size

    try:
        put(1, [num_rows] * len(sections))
        yield
    finally:
        put(*before)
