"""Which episodes of a batch can teach the policy anything.

Two kinds cannot. A question all of whose rollouts earned the same has no advantage anywhere: its forward and
backward pass, a fifth to a half of an update in our runs (docs/log.md), adds nothing but zeros. And an
episode that lost the knowledge graph was judged on what the policy is not to blame for.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from omegaconf import DictConfig, open_dict


def group_of(key: str) -> str:
    """The question that a row belongs to; a key is verl's ``<question uid>_<rollout>_<output>``."""
    return key.rsplit("_", 2)[0]


def taught_keys(
    keys: Sequence[str], is_taught: Sequence[bool], num_rollouts: int, multiple: int
) -> list[str] | None:
    """The rows of the questions from which something is learned, in their order.

    Args:
        keys: of the rows of a batch.
        is_taught: for each row whether its advantage is anything but zero.
        num_rollouts: rows of a whole question.
        multiple: the number of questions kept is rounded up to one of these, where there are enough; the
            rows are then divided evenly among workers and mini-batches.

    Returns:
        The rows to keep, [] when nothing teaches; None when questions differ in their number of rows, so
        that no part of the batch can stand for the whole.
    """
    rows: dict[str, list[str]] = defaultdict(list)
    taught: dict[str, None] = {}
    for key, teaches in zip(keys, is_taught, strict=True):
        rows[group_of(key)].append(key)
        if teaches:
            taught[group_of(key)] = None
    if not taught:
        return []
    spare = [group for group in rows if group not in taught and len(rows[group]) == num_rollouts]
    kept = [*taught, *spare[: -len(taught) % multiple]]
    if len(kept) % multiple or any(len(rows[group]) != num_rollouts for group in kept):
        return None
    wanted = set(kept)
    return [key for key in keys if group_of(key) in wanted]


def lost_keys(keys: Sequence[str], episodes: Sequence[Mapping[str, float]]) -> list[str]:
    """The rows whose episode met a knowledge graph that did not answer, even if it answered later."""
    return [
        key for key, episode in zip(keys, episodes, strict=True) if episode.get("metric/num_kg_failures", 0.0)
    ]


def question_multiple(num_mini_batches: int, num_rollouts: int, num_ranks: int) -> int:
    """How many questions divide evenly into mini-batches, and each of those among the ranks."""
    return num_mini_batches * (num_ranks // math.gcd(num_ranks, num_rollouts))


@contextmanager
def mini_batch_of(actor: DictConfig, num_questions: int) -> Iterator[None]:
    """The actor's configuration with mini-batches of another size, for one update."""
    before: Any = actor.ppo_mini_batch_size
    with open_dict(actor):
        actor.ppo_mini_batch_size = num_questions
    try:
        yield
    finally:
        with open_dict(actor):
            actor.ppo_mini_batch_size = before
