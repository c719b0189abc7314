"""Predicted answers against gold answers: Hit, Hits@1, EM and F1, each a number from 0 to 1.

All compare normalised texts for equality; nothing here looks for one text inside another. A gold answer
counts once however many of its aliases are predicted. Without gold answers every metric is 0.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from kg_r1.reward.text import Gold, normalise


@dataclass(frozen=True)
class Match:
    """Predictions laid against gold: indices of gold answers that were named, and how many distinct
    predictions name none."""

    right: frozenset[int]
    num_wrong: int
    num_gold: int


def match(predicted: Iterable[str], gold: Gold) -> Match:
    """Lay the distinct normalised predictions against the gold answers."""
    texts = {normalise(text) for text in predicted}
    golds = [{normalise(alias) for alias in aliases} for aliases in gold]
    right = frozenset(index for index, aliases in enumerate(golds) if aliases & texts)
    return Match(right, len(texts - set().union(*golds)), len(golds))


def hit(predicted: Sequence[str], gold: Gold) -> float:
    """1 when some prediction equals a gold answer."""
    return float(bool(match(predicted, gold).right))


def hits_at_1(predicted: Sequence[str], gold: Gold) -> float:
    """1 when the first prediction equals a gold answer."""
    return hit(predicted[:1], gold)


def exact_match(predicted: Sequence[str], gold: Gold) -> float:
    """1 when the predictions are exactly the gold answers, order aside."""
    found = match(predicted, gold)
    return float(found.num_gold > 0 and len(found.right) == found.num_gold and found.num_wrong == 0)


def f1(predicted: Sequence[str], gold: Gold) -> float:
    """Harmonic mean of precision and recall over the two sets of answers."""
    found = match(predicted, gold)
    num_right = len(found.right)
    if num_right == 0:
        return 0.0
    precision = num_right / (num_right + found.num_wrong)
    recall = num_right / found.num_gold
    return 2 * precision * recall / (precision + recall)
