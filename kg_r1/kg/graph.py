"""One knowledge graph, or one question's part of it, in memory.

In: triples of strings and, optionally, a name per entity id. Out: an immutable `Subgraph` that answers by
integer index, from the head's side and from the tail's side alike. Indices depend on the set of triples
only, not on their order, so every listing is reproducible.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence

from kg_r1.kg.knowledge_graph import Side, Triple
from kg_r1.kg.names import NameIndex

Adjacency = list[dict[int, list[int]]]  # [num_entities]: relation index -> neighbours, sorted by label


class Subgraph:
    """A set of triples with interned ids and both adjacencies. Build one with `from_triples`.

    Entities are integers 0 .. num_entities - 1 in the order of their ids. Safe to read from many threads.

    Args:
        ids: entity ids, sorted, no two alike.
        names: one name per entity.
        relations: relation names, sorted, no two alike.
        edges: (head index, relation index, tail index), no two alike.
    """

    def __init__(
        self,
        ids: Sequence[str],
        names: Sequence[str],
        relations: Sequence[str],
        edges: Sequence[tuple[int, int, int]],
    ) -> None:
        self.num_entities = len(ids)
        self.num_relations = len(relations)
        self.num_triples = len(edges)
        self._ids = list(ids)
        self._names = list(names)
        self._relations = list(relations)
        self._relation_index = {relation: index for index, relation in enumerate(relations)}
        self._name_index = NameIndex(ids, names)
        self._tails: Adjacency = [{} for _ in ids]
        self._heads: Adjacency = [{} for _ in ids]
        for head, relation, tail in edges:
            self._tails[head].setdefault(relation, []).append(tail)
            self._heads[tail].setdefault(relation, []).append(head)
        for adjacency in (self._tails, self._heads):
            for neighbours in adjacency:
                for entities in neighbours.values():
                    entities.sort(key=self._name_index.labels.__getitem__)
        self._labelled_triples: list[Triple] | None = None
        self._lock = threading.Lock()

    @classmethod
    def from_triples(cls, triples: Iterable[Triple], names: Mapping[str, str] | None = None) -> Subgraph:
        """The graph of `triples`, each counted once.

        Args:
            triples: (head id, relation, tail id), in any order, repeats allowed.
            names: entity id -> name; ids that are not in `triples` and blank names are left aside.
        """
        distinct = {(head, relation, tail) for head, relation, tail in triples}
        ids = sorted({entity for head, _, tail in distinct for entity in (head, tail)})
        relations = sorted({relation for _, relation, _ in distinct})
        entity_index = {entity: index for index, entity in enumerate(ids)}
        relation_index = {relation: index for index, relation in enumerate(relations)}
        edges = sorted(
            (entity_index[head], relation_index[relation], entity_index[tail])
            for head, relation, tail in distinct
        )
        known = {entity: name for entity, name in (names or {}).items() if name.strip()}
        return cls(ids, [known.get(entity, entity) for entity in ids], relations, edges)

    def resolve(self, entity: str) -> list[int]:
        """The entities that a text means, ascending; several when a name is shared, [] when unknown.

        The first of these that matches decides: id, label, name, case-folded spelling of any of them (white
        space at the ends and Unicode composition set aside).
        """
        return self._name_index.resolve(entity)

    def close_labels(self, entity: str, max_labels: int = 3) -> list[str]:
        """Up to `max_labels` labels spelt most like `entity`, best first; [] when nothing is near."""
        return self._name_index.close_labels(entity, max_labels)

    def prefetch_names(self, names: Sequence[str]) -> None:
        """Nothing: everything is at hand."""

    def prefetch(self, entities: Sequence[int], side: Side, relation: str | None = None) -> None:
        """Nothing: everything is at hand."""

    def entity_id(self, index: int) -> str:
        """The id of an entity, as it stands in the triples."""
        return self._ids[index]

    def name(self, index: int) -> str:
        """The name of an entity; its id when it has none."""
        return self._names[index]

    def label(self, index: int) -> str:
        """What is shown for an entity: its name, or 'Name [id]' where the name alone is ambiguous here."""
        return self._name_index.labels[index]

    def labels(self, indices: Iterable[int]) -> list[str]:
        """The labels of several entities, in the order given."""
        return [self._name_index.labels[index] for index in indices]

    def relations(self) -> list[str]:
        """Every relation of the graph, sorted."""
        return list(self._relations)

    def has_relation(self, relation: str) -> bool:
        """Whether any triple has exactly this relation."""
        return relation in self._relation_index

    def tail_relations(self, entity: int) -> list[str]:
        """The relations of the triples whose head is `entity` (they lead to tails), sorted."""
        return [self._relations[index] for index in sorted(self._tails[entity])]

    def head_relations(self, entity: int) -> list[str]:
        """The relations of the triples whose tail is `entity` (they lead to heads), sorted."""
        return [self._relations[index] for index in sorted(self._heads[entity])]

    def tails(self, entity: int, relation: str) -> list[int]:
        """Every t with (entity, relation, t), sorted by label; [] when there is none."""
        return self._neighbours(self._tails, entity, relation)

    def heads(self, entity: int, relation: str) -> list[int]:
        """Every h with (h, relation, entity), sorted by label; [] when there is none."""
        return self._neighbours(self._heads, entity, relation)

    def triples(self) -> Iterator[Triple]:
        """Every triple once, as ids, sorted by head, relation and tail."""
        for head, neighbours in enumerate(self._tails):
            for relation in sorted(neighbours):
                for tail in sorted(neighbours[relation]):
                    yield self._ids[head], self._relations[relation], self._ids[tail]

    def labelled_triples(self) -> list[Triple]:
        """Every triple once, with labels in place of ids, in the order of `triples`. A fresh list."""
        with self._lock:
            if self._labelled_triples is None:
                label_of = dict(zip(self._ids, self._name_index.labels, strict=True))
                self._labelled_triples = [(label_of[h], r, label_of[t]) for h, r, t in self.triples()]
            return list(self._labelled_triples)

    def _neighbours(self, adjacency: Adjacency, entity: int, relation: str) -> list[int]:
        index = self._relation_index.get(relation)
        return [] if index is None else list(adjacency[entity].get(index, ()))
