"""The relations of the synthetic world: what links what, and the sentences and questions that say so.

A template holds `{h}` for the head and `{t}` for the tail; of a relation that changes with time also `{y}`
and `{z}`, the first and the last year, and in questions `{w}`, words such as 'in 1995'.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

PERSON, COMPANY, TOWN, COUNTRY = ENTITY_KINDS = ("person", "company", "town", "country")
YEAR, NUMBER, CODE, ADDRESS, DISH, CURRENCY = ("year", "number", "code", "address", "dish", "currency")


@dataclass(frozen=True)
class Wording:
    """Ways to ask, of which a split of the questions has its own."""

    questions: tuple[str, ...]
    """With `{h}`; of a relation that changes with time also ' {w}', cut out when no time is named."""
    phrases: tuple[str, ...] = ()
    """Names for the tail by way of the head, such as 'the mentor of {h}', which stand in for a head."""


@dataclass(frozen=True)
class Relation:
    """One relation of the world."""

    name: str
    head_kind: str
    tail_kind: str
    contexts: tuple[str, ...]
    train: Wording
    held_out: Wording
    """Of the dev and test questions."""
    open_contexts: tuple[str, ...] = ()
    """Of facts that hold to this day; with `{y}`. Only relations that change with time have them."""
    share: float = 0.85
    """Of the heads of that kind that have it."""
    is_mutual: bool = False
    """The tail stands in the same relation to the head, though only one of the two facts is in the world."""

    def with_more(self, more: Wording) -> Relation:
        """The relation with more wordings of training questions."""
        questions, phrases = self.train.questions + more.questions, self.train.phrases + more.phrases
        return replace(self, train=Wording(questions, phrases))

    @property
    def is_temporal(self) -> bool:
        """A head has one value after another."""
        return bool(self.open_contexts)

    @property
    def leads_on(self) -> bool:
        """Its tails are heads of other facts."""
        return self.tail_kind in ENTITY_KINDS


UNSEEN_RELATIONS = frozenset({"mentor", "postal code"})
"""Relations that no train question is about."""


def filled(template: str, slots: Mapping[str, object]) -> str:
    """The template with its slots filled, its first letter a capital."""
    text = template.format(**slots)
    return text[0].upper() + text[1:]


def without_time(template: str) -> str:
    """A question's template with the words of time cut out."""
    return template.replace(" {w}", "")
