"""The facts of a synthetic world, one after the other, from a seed."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import date
from itertools import islice
from math import ceil

from kblampp.errors import ConfigError
from kblampp.offline.grammar import (
    COMPANY,
    COUNTRY,
    ENTITY_KINDS,
    PERSON,
    TOWN,
    Relation,
    Wording,
    filled,
)
from kblampp.offline.grammar_more import MORE
from kblampp.offline.grammar_people import PEOPLE
from kblampp.offline.grammar_places import COMPANIES, COUNTRIES, TOWNS
from kblampp.offline.grammar_words import Names, value_makers
from kblampp.quintuples import Quintuple
from kblampp.time_window import TIMELESS, TimeWindow

RELATIONS = {
    relation.name: relation.with_more(MORE.get(relation.name, Wording(())))
    for relation in (*PEOPLE, *COMPANIES, *TOWNS, *COUNTRIES)
}
MIN_FACTS, MAX_FACTS = 200, 1_000_000
SOURCE = "synth_world"
FIRST_YEAR, LAST_YEAR = 1950, 2024
"""What windows lie in; those without an end start in it."""
_PER_UNIT = {PERSON: 10, COMPANY: 4, TOWN: 4, COUNTRY: 1}
_MAX_VALUES = 3  # one after another, of a relation that changes with time
_SHARE_OPEN = 0.3  # of last values that hold to this day


def world_facts(num_facts: int, seed: int, is_confusable: bool = False) -> Iterator[Quintuple]:
    """Exactly `num_facts` facts with ids `f000000`, `f000001`, ...; the same ones for the same seed.

    Memory is bounded: a number per head is all that is held.

    Raises:
        ConfigError: fewer than `MIN_FACTS` or more than `MAX_FACTS`.
    """
    if not MIN_FACTS <= num_facts <= MAX_FACTS:
        raise ConfigError(f"pipeline.num_facts is {num_facts}; it can be {MIN_FACTS} to {MAX_FACTS:,}")
    return islice(_World(num_facts, seed, is_confusable).facts(), num_facts)


class _World:
    def __init__(self, num_facts: int, seed: int, is_confusable: bool) -> None:
        self._generator = random.Random(f"{SOURCE}:{seed}")
        facts_per_unit = sum(
            _PER_UNIT[relation.head_kind] * _num_facts_expected(relation) for relation in RELATIONS.values()
        )
        # A little more than it takes: the rest, cut off at the end, are entities that have no facts.
        self._num_units = ceil(num_facts / facts_per_unit * 1.05) + 2
        self._names = {
            kind: Names(kind, self._num(kind), is_confusable, self._generator) for kind in ENTITY_KINDS
        }
        self._values = value_makers(self._generator)

    def _num(self, kind: str) -> int:
        return self._num_units * _PER_UNIT[kind]

    def facts(self) -> Iterator[Quintuple]:
        heads = [(kind, index) for kind in ENTITY_KINDS for index in range(self._num(kind))]
        self._generator.shuffle(heads)
        number = 0
        for kind, index in heads:
            for relation in RELATIONS.values():
                if relation.head_kind == kind and self._generator.random() < relation.share:
                    for tail, window in self._tails(relation, index):
                        head = self._names[kind][index]
                        context = self._context(relation, head, tail, window)
                        yield Quintuple(f"f{number:06d}", head, relation.name, tail, context, window, SOURCE)
                        number += 1

    def _tails(self, relation: Relation, index: int) -> Iterator[tuple[str, TimeWindow]]:
        if relation.is_mutual:
            # Pairs of neighbours, stated of the first of the two.
            if index % 2 == 0:
                yield self._names[relation.tail_kind][index + 1], TIMELESS
            return
        if not relation.is_temporal:
            yield self._tail(relation, index), TIMELESS
            return
        taken: set[str] = set()
        for window in self._windows():
            tail = self._tail(relation, index)
            while tail in taken:
                tail = self._tail(relation, index)
            taken.add(tail)
            yield tail, window

    def _tail(self, relation: Relation, index: int) -> str:
        kind = relation.tail_kind
        if kind in self._values:
            return self._values[kind]()
        position = self._generator.randrange(self._num(kind))
        while relation.head_kind == kind and position == index:
            position = self._generator.randrange(self._num(kind))
        return self._names[kind][position]

    def _windows(self) -> list[TimeWindow]:
        """One to three windows of whole years, one after the other."""
        num = self._generator.randint(1, _MAX_VALUES)
        start = self._generator.randrange(FIRST_YEAR, LAST_YEAR - 20 * num + 5)
        windows = []
        for position in range(num):
            end = start + self._generator.randrange(2, 14)
            is_open = position == num - 1 and self._generator.random() < _SHARE_OPEN
            windows.append(TimeWindow(date(start, 1, 1), None if is_open else date(end, 12, 31)))
            start = end + self._generator.choice((1, 1, 1, 2, 4))
        return windows

    def _context(self, relation: Relation, head: str, tail: str, window: TimeWindow) -> str:
        slots: dict[str, object] = {"h": head, "t": tail}
        templates = relation.contexts
        if window.start is not None:
            slots["y"] = window.start.year
        if window.end is not None:
            slots["z"] = window.end.year
        elif relation.is_temporal:
            templates = relation.open_contexts
        return filled(self._generator.choice(templates), slots)


def _num_facts_expected(relation: Relation) -> float:
    """Of one head."""
    if relation.is_mutual:
        return relation.share / 2
    return relation.share * ((1 + _MAX_VALUES) / 2 if relation.is_temporal else 1)
