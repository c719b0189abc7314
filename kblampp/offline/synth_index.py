"""The facts of a synthetic world by head and by relation, as the maker of questions looks them up."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kblampp.errors import DataError
from kblampp.offline.grammar import Relation
from kblampp.offline.synth_world import RELATIONS
from kblampp.quintuples import Quintuple
from kblampp.records import read_jsonl
from kblampp.time_window import TimeWindow

SPLIT_SHARES = {"train": 0.6, "dev": 0.2, "test": 0.2}
"""Of the heads."""


@dataclass(frozen=True, slots=True)
class Edge:
    """A fact without its sentence."""

    id: str
    head: str
    relation: Relation
    tail: str
    window: TimeWindow


class WorldIndex:
    """What is asked of the facts.

    Args:
        path: the facts, made by the same grammar.
        seed: what the heads' splits are drawn from.

    Raises:
        DataError: the file is malformed, has no facts, or has a relation that the grammar has not.
    """

    def __init__(self, path: Path, seed: int) -> None:
        self._edges: dict[str, list[Edge]] = defaultdict(list)
        made_by = "python -m kblampp.offline.gen_synth_world makes it"
        names: dict[str, str] = {}
        for edge in read_jsonl(path, _edge, made_by):
            # Heads and tails of one name share one text in memory.
            head, tail = (names.setdefault(name, name) for name in (edge.head, edge.tail))
            self._edges[head].append(Edge(edge.id, head, edge.relation, tail, edge.window))
        if not self._edges:
            raise DataError(f"{path}: has no facts")
        self.names = frozenset(names)
        self._married = {edge.tail for edge in self._all() if edge.relation.is_mutual}
        self.split_of = self._split(random.Random(f"heads:{seed}"))
        self.heads: dict[tuple[str, str], list[str]] = defaultdict(list)
        """Heads of a split and kind."""
        self.by_relation: dict[tuple[str, str], list[Edge]] = defaultdict(list)
        """Facts whose head is of a split, of one relation."""
        for head, edges in self._edges.items():
            self.heads[self.split_of[head], edges[0].relation.head_kind].append(head)
            for edge in edges:
                self.by_relation[self.split_of[head], edge.relation.name].append(edge)

    def _all(self) -> Iterator[Edge]:
        return (edge for edges in self._edges.values() for edge in edges)

    def _split(self, generator: random.Random) -> dict[str, str]:
        """Each kind of head apart, so that small kinds are in every split."""
        kinds: dict[str, list[str]] = defaultdict(list)
        for head, edges in self._edges.items():
            kinds[edges[0].relation.head_kind].append(head)
        splits = {}
        for heads in kinds.values():
            generator.shuffle(heads)
            num_train = round(SPLIT_SHARES["train"] * len(heads))
            num_dev = round(SPLIT_SHARES["dev"] * len(heads))
            for position, head in enumerate(heads):
                is_held_out = position >= num_train
                held_out = "dev" if position < num_train + num_dev else "test"
                splits[head] = held_out if is_held_out else "train"
        return splits

    def edges_of(self, head: str, relation: Relation | None = None) -> list[Edge]:
        """The facts of a head, of one relation or of all."""
        edges = self._edges.get(head, [])
        return edges if relation is None else [edge for edge in edges if edge.relation is relation]

    def is_functional(self, edge: Edge) -> bool:
        """The head has one value of that relation at any time."""
        return len(self.edges_of(edge.head, edge.relation)) == 1

    def lacks(self, head: str, relation: Relation) -> bool:
        """No fact, read either way, says what the head stands in that relation to."""
        return not self.edges_of(head, relation) and not (relation.is_mutual and head in self._married)


def _edge(record: Mapping[str, Any]) -> Edge:
    fact = Quintuple.from_json(record)
    if fact.relation not in RELATIONS:
        raise DataError(f"the synthetic world has no relation {fact.relation!r}")
    return Edge(fact.id, fact.head, RELATIONS[fact.relation], fact.tail, fact.time_window)
