"""Causal-delta: what the removal of a fact from the store does to an answer's log-probability."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kblampp.answering import Query, QuestionAnswerer


@dataclass(frozen=True)
class CausalDelta:
    """One fact removed."""

    row: int
    delta: float
    """log p without the fact minus log p with it, in nats; below 0 when the fact speaks for the answer."""


@dataclass(frozen=True)
class Causal:
    """One answer of one question."""

    text: str
    log_probability: float
    """With all facts, in nats, the token that ends the answer included."""
    deltas: tuple[CausalDelta, ...]


def causal_deltas(answerer: QuestionAnswerer, query: Query, text: str, rows: Sequence[int]) -> Causal:
    """Removes facts one at a time.

    All in one batch, so that padding and rounding are the same with and without.

    Args:
        answerer: who is asked.
        query: the question.
        text: the answer whose log-probability is looked at, such as the gold one.
        rows: rows of the store, each removed once; no row twice.
    """
    removed = list(dict.fromkeys(rows))
    number = len(removed) + 1
    before, *after = answerer.log_probability(
        [query] * number, [text] * number, without=[[], *([row] for row in removed)]
    )
    deltas = (CausalDelta(row, value - before) for row, value in zip(removed, after, strict=True))
    return Causal(text, before, tuple(deltas))
