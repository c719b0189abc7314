"""Adds up a finished episode: reward per turn, outcome, and every metric apart from the sum."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from kg_r1.llm_agent.episode import Episode, Turn
from kg_r1.llm_agent.observation import INFRASTRUCTURE_CODES
from kg_r1.llm_agent.protocol import TurnKind
from kg_r1.reward.evidence import coverage, grounded_evidence, predicted_answers
from kg_r1.reward.metrics import exact_match, f1, hit, hits_at_1

AnswerScore = Literal["em", "f1", "hits_at_1"]


@dataclass(frozen=True)
class RubricConfig:
    """Weights. The turn weights are zero until turns are given credit of their own."""

    w_format: float = 0.0
    """Per well-formed turn."""
    w_query: float = 0.0
    """Per search that succeeded and was not asked before in the episode."""
    cost_turn: float = 0.0
    """Taken from every turn."""
    cost_token: float = 0.0
    """Taken from a turn per token that it wrote."""
    w_answer: float = 1.0
    """Times the answer's score."""
    w_evidence: float = 1.0
    """Times the grounded evidence."""
    answer_score: AnswerScore = "em"
    """What the answer's score is."""

    def __post_init__(self) -> None:
        if self.answer_score not in ("em", "f1", "hits_at_1"):
            raise ValueError(f"answer_score must be one of em, f1, hits_at_1, not {self.answer_score!r}")


@dataclass(frozen=True)
class Reward:
    """What an episode earned.

    `total` is `outcome` plus the sum of `turn_rewards` ([num_turns]). `parts` splits `total` by origin,
    weights included, so that its values add up to it. `metrics` are unweighted and belong to no sum.
    """

    total: float
    outcome: float
    turn_rewards: list[float]
    parts: dict[str, float]
    metrics: dict[str, float]


class Rubric:
    """Scores finished episodes; a pure function of the episode and the weights."""

    def __init__(self, config: RubricConfig | None = None) -> None:
        self.config = config or RubricConfig()

    def score(self, episode: Episode) -> Reward:
        """Score an episode. Raises ValueError for one that has not ended."""
        if episode.status is None:
            raise ValueError(f"the episode of question {episode.question.question_id} has not ended")
        config = self.config
        metrics = episode_metrics(episode)
        turns = episode.turns
        by_turn = {
            "format": [config.w_format * turn.is_well_formed for turn in turns],
            "query": [config.w_query * _is_new_success(turn) for turn in turns],
            "turn_cost": [-config.cost_turn for _ in turns],
            "token_cost": [-config.cost_token * turn.num_tokens for turn in turns],
        }
        turn_rewards = [sum(earned) for earned in zip(*by_turn.values(), strict=True)]
        parts = {
            "answer": config.w_answer * metrics[config.answer_score],
            "evidence": config.w_evidence * metrics["evidence"],
            **{name: sum(column) for name, column in by_turn.items()},
        }
        outcome = parts["answer"] + parts["evidence"]
        return Reward(outcome + sum(turn_rewards), outcome, turn_rewards, parts, metrics)


def episode_metrics(episode: Episode) -> dict[str, float]:
    """Every unweighted measure of one episode, by name.

    `valid_query_rate` is the share of searches answered with results among all turns that were no answer,
    malformed ones included; 0 for an episode that never searched.
    """
    predicted, gold = predicted_answers(episode), episode.question.gold
    turns = episode.turns
    tries = [turn for turn in turns if turn.kind is not TurnKind.ANSWER]
    return {
        "hit": hit(predicted, gold),
        "hits_at_1": hits_at_1(predicted, gold),
        "em": exact_match(predicted, gold),
        "f1": f1(predicted, gold),
        "evidence": grounded_evidence(episode),
        "coverage": coverage(episode),
        "valid_query_rate": _share(sum(turn.has_succeeded for turn in tries), len(tries)),
        "well_formed_rate": _share(sum(turn.is_well_formed for turn in turns), len(turns)),
        "num_turns": float(len(turns)),
        "num_searches": float(sum(turn.kind is TurnKind.SEARCH for turn in turns)),
        "num_repeated": float(sum(turn.is_repeated for turn in turns)),
        "num_kg_failures": float(sum(map(_has_no_answer_of_the_kg, turns))),
        "tool_tokens": float(episode.num_tool_tokens),
        "generated_tokens": float(episode.num_generated_tokens),
        "total_tokens": float(
            episode.num_prompt_tokens + episode.num_generated_tokens + episode.num_tool_tokens
        ),
    }


def _is_new_success(turn: Turn) -> bool:
    return turn.has_succeeded and not turn.is_repeated


def _has_no_answer_of_the_kg(turn: Turn) -> bool:
    error = None if turn.retrieval is None else turn.retrieval.error
    return error is not None and error.code in INFRASTRUCTURE_CODES


def _share(count: int, total: int) -> float:
    return count / total if total else 0.0
