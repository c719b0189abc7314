"""Whether what an episode answered, or should have, stood in what it retrieved.

Judged on the structured items of successful retrievals alone. Observation text, error messages, names that
a result only repeats from the query or looks up for it, thoughts and the prompt are never looked at.
"""

from __future__ import annotations

from kg_r1.llm_agent.episode import Episode
from kg_r1.reward.metrics import match
from kg_r1.reward.text import split_answers


def predicted_answers(episode: Episode) -> list[str]:
    """The answers that the episode's last answer text lists; none without an answer."""
    return [] if episode.answer is None else split_answers(episode.answer, episode.question.gold)


def grounded_evidence(episode: Episode) -> float:
    """Of the gold answers that the episode named, the share it had retrieved before; 0 if it named none."""
    named = match(predicted_answers(episode), episode.question.gold).right
    return len(named & _retrieved_gold(episode)) / len(named) if named else 0.0


def coverage(episode: Episode) -> float:
    """The share of all gold answers that the episode retrieved, whatever it answered; 0 without gold."""
    num_gold = len(episode.question.gold)
    return len(_retrieved_gold(episode)) / num_gold if num_gold else 0.0


def _retrieved_gold(episode: Episode) -> frozenset[int]:
    items = [item for retrieval in episode.retrievals() for item in retrieval.findings()]
    return match(items, episode.question.gold).right
