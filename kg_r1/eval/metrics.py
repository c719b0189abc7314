"""Scored episodes to one row of numbers, and the ceiling that a KG sets."""

from __future__ import annotations

from collections.abc import Sequence

from kg_r1.kg.knowledge_graph import KnowledgeGraph
from kg_r1.llm_agent.episode import Episode, EpisodeStatus
from kg_r1.llm_agent.question import Question
from kg_r1.reward.rubric import Reward


def aggregate(episodes: Sequence[Episode], rewards: Sequence[Reward]) -> dict[str, float]:
    """Means over episodes and their rewards, which stand in the same order.

    Returns `num_episodes`, the mean `reward`, the mean of every metric of the rewards under its own name,
    the mean of every reward part as ``part/<name>``, and the share of episodes per status as
    ``status/<name>`` (all statuses, so that rows of different runs have the same columns). Without episodes
    there is nothing to average: ValueError.
    """
    if len(episodes) != len(rewards):
        raise ValueError(f"{len(episodes)} episodes but {len(rewards)} rewards")
    if not episodes:
        raise ValueError("there are no episodes to aggregate")
    row = {"num_episodes": float(len(episodes)), "reward": _mean([reward.total for reward in rewards])}
    for name in rewards[0].metrics:
        row[name] = _mean([reward.metrics[name] for reward in rewards])
    for name in rewards[0].parts:
        row[f"part/{name}"] = _mean([reward.parts[name] for reward in rewards])
    for status in EpisodeStatus:
        row[f"status/{status.value}"] = _mean([float(episode.status is status) for episode in episodes])
    return row


def reachable(graph: KnowledgeGraph, question: Question) -> bool:
    """Whether at least one gold answer, by any alias, is an entity of the graph."""
    return any(graph.resolve(alias) for aliases in question.gold for alias in aliases)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
