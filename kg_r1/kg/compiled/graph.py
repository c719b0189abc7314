"""One graph of a compiled data set: the same answers as `Subgraph`, straight from the mapped files.

Nothing is built when a graph is opened but a few integers, so that opening one costs microseconds. Methods
named `encoded_*` give slices of JSON for replies; the others are those of `KnowledgeGraph`.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from zlib import crc32

from kg_r1.kg.compiled.dataset import Adjacency, MappedDataset
from kg_r1.kg.compiled.spelling import CloseLabels
from kg_r1.kg.compiled.texts import escaped, quick_fold, unescaped
from kg_r1.kg.knowledge_graph import Side, Triple
from kg_r1.kg.names import fold

NOBODY = -1
MAX_FEW = 16  # places of a bucket of names that are looked at one by one
BETWEEN = b'","'


class MappedGraph:
    """The graph of one sample; see `KnowledgeGraph`. Entities are numbered in the order of their ids.

    Args:
        dataset: the compiled data set.
        sample: number of the sample.
    """

    # Thousands of views are made in a second: slots, one read of the extents, and no lock of its own.
    __slots__ = (
        "_end_edge",
        "_end_node",
        "_end_qualified",
        "_end_relation",
        "_first_edge",
        "_first_node",
        "_first_qualified",
        "_first_relation",
        "_heads",
        "_labelled_triples",
        "_nodes",
        "_tails",
        "dataset",
    )

    def __init__(self, dataset: MappedDataset, sample: int) -> None:
        self.dataset = dataset
        self._nodes = dataset.nodes
        start, end = dataset.extent(sample)
        self._first_node, first_tails, first_heads, *_ = start
        self._first_edge, self._first_relation, self._first_qualified = start[3:]
        self._end_node = end[0]
        self._end_edge, self._end_relation, self._end_qualified = end[3:]
        self._tails = (dataset.tails, first_tails)
        self._heads = (dataset.heads, first_heads)
        self._labelled_triples: list[Triple] | None = None

    @property
    def num_entities(self) -> int:
        """See `KnowledgeGraph.num_entities`."""
        return self._end_node - self._first_node

    @property
    def num_relations(self) -> int:
        """See `KnowledgeGraph.num_relations`."""
        return self._end_relation - self._first_relation

    @property
    def num_triples(self) -> int:
        """See `KnowledgeGraph.num_triples`."""
        return self._end_edge - self._first_edge

    # -- names

    def find_spelt(self, text: str) -> list[int]:
        """What `resolve` gives, if one spelling decides without a look at case; [] where it does not."""
        key = escaped(text)
        if key is None:
            return []
        folded = text.strip().lower() if text.isascii() else fold(text)
        checksum = crc32(folded.encode())
        found = self._found(key, checksum)
        if isinstance(found, int):
            return [found]
        exact = self._node_of_qualified_label(key) if key.endswith(b"]") else NOBODY
        return [exact] if exact != NOBODY else found

    def resolve(self, entity: str) -> list[int]:
        """See `KnowledgeGraph.resolve`."""
        key = escaped(entity)
        if key is None:
            return []
        folded = fold(entity)
        checksum = crc32(folded.encode())
        candidates = self._spelt(checksum)
        exact = self._exact(key, candidates)
        if exact == NOBODY:
            exact = self._node_of_qualified_label(key)
        if exact != NOBODY:
            return [exact]
        named = self._named(key, candidates)
        if named:
            return named
        first = self._first_node
        alike = {place - first for number, place in candidates if folded in self._foldings(number)}
        alike.update(self._nodes_of_folded_label(folded, checksum))
        return sorted(alike)

    def close_labels(self, entity: str, max_labels: int = 3) -> list[str]:
        """See `KnowledgeGraph.close_labels`."""
        return CloseLabels(self, self.dataset.trigrams).find(entity, max_labels)

    def prefetch_names(self, names: Sequence[str]) -> None:
        """Nothing: everything is at hand."""

    def prefetch(self, entities: Sequence[int], side: Side, relation: str | None = None) -> None:
        """Nothing: everything is at hand."""

    def entity_id(self, index: int) -> str:
        """See `KnowledgeGraph.entity_id`."""
        number = self._number(index)
        return self.dataset.ids.text(number) or self.dataset.names.text(number)

    def name(self, index: int) -> str:
        """See `KnowledgeGraph.name`."""
        return self.dataset.names.text(self._number(index))

    def label(self, index: int) -> str:
        """See `KnowledgeGraph.label`."""
        return unescaped(self.encoded_labels((index,))[0])

    def labels(self, indices: Iterable[int]) -> list[str]:
        """See `KnowledgeGraph.labels`."""
        return [unescaped(one) for one in self.encoded_labels(indices)]

    def encoded_labels(self, indices: Iterable[int]) -> list[bytes]:
        """The labels of several entities as the insides of JSON strings."""
        first, nodes = self._first_node, self._nodes
        names, starts = self.dataset.names.data, self.dataset.names.starts
        return [
            names[starts[node >> 1] : starts[(node >> 1) + 1]]
            if not (node := nodes[first + index]) & 1
            else self._qualified_label(index)
            for index in indices
        ]

    # -- relations

    def relations(self) -> list[str]:
        """See `KnowledgeGraph.relations`."""
        numbers = self.dataset.sample_relations[self._first_relation : self._end_relation]
        return [self._relation_text(number) for number in numbers]

    def has_relation(self, relation: str) -> bool:
        """See `KnowledgeGraph.has_relation`."""
        number = self.dataset.relation_numbers.get(relation)
        if number is None:
            return False
        numbers, end = self.dataset.sample_relations, self._end_relation
        place = bisect_left(numbers, number, self._first_relation, end)
        return place < end and numbers[place] == number

    def tail_relations(self, entity: int) -> list[str]:
        """See `KnowledgeGraph.tail_relations`."""
        return [self._relation_text(number) for number in self.relation_numbers("tail", entity)]

    def head_relations(self, entity: int) -> list[str]:
        """See `KnowledgeGraph.head_relations`."""
        return [self._relation_text(number) for number in self.relation_numbers("head", entity)]

    def relation_numbers(self, side: str, entity: int) -> list[int]:
        """The relations that lead from an entity to tails or heads, as numbers of the data set, ascending."""
        adjacency, first = self._tails if side == "tail" else self._heads
        start, end = self._groups(adjacency, entity)
        return adjacency.relations[first + start : first + end].tolist()

    # -- edges

    def tails(self, entity: int, relation: str) -> list[int]:
        """See `KnowledgeGraph.tails`."""
        return self.neighbours("tail", entity, relation)

    def heads(self, entity: int, relation: str) -> list[int]:
        """See `KnowledgeGraph.heads`."""
        return self.neighbours("head", entity, relation)

    def neighbours(self, side: str, entity: int, relation: str) -> list[int]:
        """`tails` or `heads`, as `side` says."""
        adjacency, first = self._tails if side == "tail" else self._heads
        group = self._group(adjacency, first, entity, relation)
        return [] if group == NOBODY else self._members(adjacency, first, group)

    def encoded_neighbours(self, side: str, entity: int, relation: str) -> tuple[bytes, int]:
        """The labels of `neighbours` as the insides of JSON strings, joined by `","`, and their number."""
        number = self.dataset.relation_numbers.get(relation)
        if number is None:
            return b"", 0
        adjacency, first = self._tails if side == "tail" else self._heads
        lookup = self.dataset.lookup
        if lookup is not None:
            labels = (self._first_qualified, self._end_qualified)
            graph = (self._first_node, first, self._first_edge, *labels)
            return lookup.neighbours(side == "head", graph, entity, number)
        group = self._group(adjacency, first, entity, relation)
        if group == NOBODY:
            return b"", 0
        start, end = self._edges_of(adjacency, first, group)
        return BETWEEN.join(self.encoded_labels(adjacency.nodes[start:end])), end - start

    def triples(self) -> Iterator[Triple]:
        """See `KnowledgeGraph.triples`."""
        for head, relation, tail in self._edges():
            yield self.entity_id(head), self._relation_text(relation), self.entity_id(tail)

    def labelled_triples(self) -> list[Triple]:
        """See `KnowledgeGraph.labelled_triples`."""
        with self.dataset.lock:
            if self._labelled_triples is None:
                labels = self.labels(range(self.num_entities))
                self._labelled_triples = [
                    (labels[head], self._relation_text(relation), labels[tail])
                    for head, relation, tail in self._edges()
                ]
            return list(self._labelled_triples)

    def _edges(self) -> Iterator[tuple[int, int, int]]:
        adjacency, first = self._tails
        for head in range(self.num_entities):
            start, end = self._groups(adjacency, head)
            for group in range(first + start, first + end):
                for tail in sorted(self._members(adjacency, first, group)):
                    yield head, adjacency.relations[group], tail

    def _group(self, adjacency: Adjacency, first: int, entity: int, relation: str) -> int:
        number = self.dataset.relation_numbers.get(relation)
        if number is None:
            return NOBODY
        start, end = self._groups(adjacency, entity)
        group = bisect_left(adjacency.relations, number, first + start, first + end)
        return group if group < first + end and adjacency.relations[group] == number else NOBODY

    def _groups(self, adjacency: Adjacency, entity: int) -> tuple[int, int]:
        place = self._first_node + entity
        return adjacency.rows[place - 1] if entity else 0, adjacency.rows[place]

    def _members(self, adjacency: Adjacency, first: int, group: int) -> list[int]:
        start, end = self._edges_of(adjacency, first, group)
        return adjacency.nodes[start:end].tolist()

    def _edges_of(self, adjacency: Adjacency, first: int, group: int) -> tuple[int, int]:
        ends, edges = adjacency.ends, self._first_edge
        return edges + (ends[group - 1] if group > first else 0), edges + ends[group]

    def _number(self, index: int) -> int:
        if not 0 <= index < self.num_entities:
            raise IndexError(f"entity {index} of {self.num_entities}")
        return self._nodes[self._first_node + index] >> 1

    def _relation_text(self, number: int) -> str:
        return unescaped(self.dataset.relations[number])

    def _found(self, key: bytes, checksum: int) -> int | list[int]:
        """The entity whose id or plain label is `key`, else all that share it as their name."""
        lookup = self.dataset.lookup
        if lookup is not None:
            return lookup.find(key, checksum, self._first_node, self._end_node)
        candidates = self._spelt(checksum)
        exact = self._exact(key, candidates)
        return exact if exact != NOBODY else self._named(key, candidates)

    def _exact(self, key: bytes, candidates: list[tuple[int, int]]) -> int:
        # `TextTable.slice` written out: names are looked up in every request.
        _, _, _, _, ids, id_starts, names, name_starts = self.dataset.spelling_parts
        found = NOBODY
        for entity, place in candidates:
            start, end = id_starts[entity], id_starts[entity + 1]
            if start < end and ids[start:end] == key:
                return place - self._first_node
            if names[name_starts[entity] : name_starts[entity + 1]] == key:
                if start == end:
                    return place - self._first_node
                if not self._nodes[place] & 1:
                    found = place - self._first_node
        return found

    def _named(self, key: bytes, candidates: list[tuple[int, int]]) -> list[int]:
        names, first = self.dataset.names, self._first_node
        return [place - first for number, place in candidates if names.slice(number) == key]

    def _spelt(self, checksum: int) -> list[tuple[int, int]]:
        """(entity, place among all nodes) of this graph's entities with a spelling that has the checksum."""
        buckets, hashes, entities, shift, *_ = self.dataset.spelling_parts
        bucket = checksum >> shift
        start, end = buckets[bucket], buckets[bucket + 1]
        if end - start > MAX_FEW:
            start = bisect_left(hashes, checksum, start, end)
            end = bisect_right(hashes, checksum, start, end)
            return self._present(entities[start:end].tolist())
        first, last, nodes = self._first_node, self._end_node, self._nodes
        found = []
        for candidate in range(start, end):
            if hashes[candidate] == checksum:
                entity = entities[candidate]
                place = bisect_left(nodes, entity << 1, first, last)
                if place < last and nodes[place] >> 1 == entity:
                    found.append((entity, place))
        return found

    def _present(self, entities: list[int]) -> list[tuple[int, int]]:
        """Those of many entities that stand in this graph, with their places; `entities` ascend."""
        if self.dataset.is_shared:
            return [(entity, entity) for entity in entities]
        first, last, nodes = self._first_node, self._end_node, self._nodes
        # A name that hundreds share in the data set: one pass over this graph instead of a search for each.
        own = {node >> 1 for node in nodes[first:last].tolist()}
        present = [entity for entity in entities if entity in own]
        return [(entity, bisect_left(nodes, entity << 1, first, last)) for entity in present]

    def _foldings(self, number: int) -> set[str]:
        return {quick_fold(self.dataset.ids.text(number)), quick_fold(self.dataset.names.text(number))} - {""}

    # -- labels that are not names

    def _qualified_label(self, index: int) -> bytes:
        qualified = self.dataset.qualified
        place = bisect_left(qualified.nodes, index, self._first_qualified, self._end_qualified)
        return qualified.labels.slice(place)

    def _node_of_qualified_label(self, key: bytes) -> int:
        qualified, start, end = self.dataset.qualified, self._first_qualified, self._end_qualified
        order = qualified.by_label
        while start < end:
            middle = (start + end) // 2
            label = qualified.labels.slice(self._first_qualified + order[middle])
            if label == key:
                return qualified.nodes[self._first_qualified + order[middle]]
            start, end = (middle + 1, end) if label < key else (start, middle)
        return NOBODY

    def _nodes_of_folded_label(self, folded: str, key: int) -> Iterator[int]:
        qualified, start, end = self.dataset.qualified, self._first_qualified, self._end_qualified
        place = bisect_left(qualified.folded, key, start, end)
        while place < end and qualified.folded[place] == key:
            entry = start + qualified.by_folded[place]
            if quick_fold(qualified.labels.text(entry)) == folded:
                yield qualified.nodes[entry]
            place += 1
