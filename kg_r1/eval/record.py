"""One finished episode as a line of a log: the shape that validation logs and evaluations share."""

from __future__ import annotations

from typing import Any

from kg_r1.llm_agent.episode import Episode
from kg_r1.reward.rubric import Reward


def episode_record(episode: Episode, reward: Reward) -> dict[str, Any]:
    """An episode with its reward and metrics, as plain JSON types.

    Returns:
        The keys of `Episode.to_dict`, `reward` (`total`, `outcome`, `turns` [num_turns], `parts`) and
        `metrics` (unweighted, by name). Who played it, and when, is the caller's to add.
    """
    return {
        **episode.to_dict(),
        "reward": {
            "total": reward.total,
            "outcome": reward.outcome,
            "turns": reward.turn_rewards,
            "parts": reward.parts,
        },
        "metrics": reward.metrics,
    }
