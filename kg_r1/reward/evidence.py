"""Whether what an episode answered, or should have, stood in what it retrieved.

Judged on the structured items of successful retrievals alone. Observation text, error messages, names that
a result only repeats from the query or looks up for it, thoughts and the prompt are never looked at.
"""

from __future__ import annotations

from kg_r1.llm_agent.episode import Episode
from kg_r1.reward.metrics import match
from kg_r1.reward.text import split_answers

DEFINITION = "F1 of the grounded answers"
"""What `grounded_evidence` computes, for files that must not mix values of two definitions."""


def predicted_answers(episode: Episode) -> list[str]:
    """The answers that the episode's last answer text lists; none without an answer."""
    return [] if episode.answer is None else split_answers(episode.answer, episode.question.gold)


def grounded_evidence(episode: Episode) -> float:
    """F1 of the grounded answers: those that are right and were retrieved before the answer turn.

    Precision is their share of the answers given, recall their share of the gold answers; answers are counted
    as in `kg_r1.reward.metrics.f1`. Without the precision, naming all that was retrieved would earn as much
    as naming the right answers alone. 0 without a grounded answer.
    """
    answered = match(predicted_answers(episode), episode.question.gold)
    num_grounded = len(answered.right & _retrieved_gold(episode))
    num_answers = len(answered.right) + answered.num_wrong
    # 2PR / (P + R) with P = grounded / answers and R = grounded / gold.
    return 2 * num_grounded / (num_answers + answered.num_gold) if num_grounded else 0.0


def is_grounded(episode: Episode) -> bool:
    """Whether the episode gave a right answer, and retrieved every right answer it gave before."""
    right = match(predicted_answers(episode), episode.question.gold).right
    return bool(right) and right <= _retrieved_gold(episode)


def coverage(episode: Episode) -> float:
    """The share of all gold answers that the episode retrieved, whatever it answered; 0 without gold."""
    num_gold = len(episode.question.gold)
    return len(_retrieved_gold(episode)) / num_gold if num_gold else 0.0


def _retrieved_gold(episode: Episode) -> frozenset[int]:
    items = [item for retrieval in episode.retrievals() for item in retrieval.findings()]
    return match(items, episode.question.gold).right
