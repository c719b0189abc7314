"""A knowledge graph behind any SPARQL 1.1 endpoint, asked what the actions ask of a graph in memory.

In: a data set's folder with `sparql.json` (docs/sparql.md). Out: a `SparqlGraph`, which gives the
answers that `Subgraph` gives over the same triples. Nothing is read before the first question, and what
was asked is kept in a bounded cache until the store's cache is cleared.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path

from kg_r1.kg.errors import EndpointError, EndpointUnavailable, TooManyResults, listed
from kg_r1.kg.knowledge_graph import Triple
from kg_r1.kg.names import NameIndex
from kg_r1.kg.sparql_cache import BoundedCache
from kg_r1.kg.sparql_client import SparqlClient
from kg_r1.kg.sparql_config import SparqlSettings, read_settings
from kg_r1.kg.sparql_names import AllNames, EntityNames
from kg_r1.kg.sparql_queries import Side
from kg_r1.kg.sparql_reader import EndpointReader

__all__ = [
    "EndpointError",
    "EndpointUnavailable",
    "SparqlGraph",
    "SparqlSource",
    "TooManyResults",
]


class SparqlSource:
    """A folder with `sparql.json`: one graph, shared by all samples. See `Source`.

    Raises:
        DataError: the settings cannot be read, or hold what they may not.
    """

    is_shared = True

    def __init__(self, folder: Path) -> None:
        self.settings, self._headers = read_settings(folder)

    def load(self, sample_id: str | None) -> SparqlGraph:
        """The graph, with an empty cache. The endpoint is not asked anything yet."""
        return SparqlGraph(self.settings, SparqlClient(self.settings, self._headers))


class SparqlGraph:
    """A `KnowledgeGraph` whose triples lie behind an endpoint. Thread-safe.

    Entities are integers in the order in which they were first seen. What is "ascending" in a graph in
    memory, such as the entities of a shared name, is in the order of ids here, which is the same order.

    Raises:
        EndpointUnavailable: any method, where the endpoint does not answer.
        EndpointError: any method, where it answers with something else than the documented reply.
        TooManyResults: any method, where an answer is larger than the settings allow.
    """

    def __init__(self, settings: SparqlSettings, client: SparqlClient) -> None:
        self.settings = settings
        self.client = client
        self._reader = EndpointReader(settings, client)
        self._cache = BoundedCache(settings.max_cached_items)
        self._everyone = AllNames(self._reader, settings.max_indexed_names)
        self._names = EntityNames(self._reader, self._cache, self._everyone, settings.case_folding)
        self._ids: list[str] = []
        self._indices: dict[str, int] = {}
        self._lock = threading.Lock()  # never held while the endpoint is asked
        # The store drops a graph without telling it so.
        weakref.finalize(self, client.close)

    @property
    def num_entities(self) -> int:
        """Entities that stand in at least one triple; counted by the endpoint, once."""
        return self._everyone.num_entities

    @cached_property
    def num_triples(self) -> int:
        """Distinct triples; counted by the endpoint, once."""
        return self._reader.num_triples()

    @property
    def num_relations(self) -> int:
        """Distinct relations."""
        return len(self.relations())

    def prefetch(self, entities: Sequence[int], side: Side, relation: str | None = None) -> None:
        """Asks about many entities at once, so that what is asked of each of them next is at hand.

        Args:
            entities: whose neighbours or relations will be asked for.
            side: "tails" before `tails` or `tail_relations`, "heads" before `heads` or `head_relations`.
            relation: by which relation; None when the relations themselves will be asked for.
        """
        ids = [self._ids[entity] for entity in entities]
        if relation is None:
            self._relations_of(ids, side)
        else:
            self._neighbours(ids, side, relation)

    def prefetch_names(self, names: Sequence[str]) -> None:
        """Asks what many names mean at once, so that `resolve` has it at hand."""
        self._names.meanings(names)

    def resolve(self, entity: str) -> list[int]:
        """The entities that a text means, in the order of their ids; [] when it means nobody.

        The first of these that matches decides: id, label, name, case-folded spelling of any of them as
        far as the settings `case_folding` and `max_indexed_names` go.
        """
        return self._interned(self._names.meanings([entity])[entity])

    def close_labels(self, entity: str, max_labels: int = 3) -> list[str]:
        """Up to `max_labels` labels spelt most like `entity`, best first; [] when nothing is near.

        SPARQL cannot say what is near, so every name is read once, on the first misspelt name, and only
        where `max_indexed_names` allows as many; else [].
        """
        indexed = self._everyone.index()
        return [] if indexed is None else indexed[1].close_labels(entity, max_labels)

    def entity_id(self, index: int) -> str:
        """The id of an entity. Raises IndexError for one that is none."""
        if index >= len(self._ids):  # callers may count from 0 to num_entities
            self._interned(self._everyone.read()[0])
        return self._ids[index]

    def name(self, index: int) -> str:
        """The name of an entity; its id when it has none."""
        entity = self.entity_id(index)
        return self._names.names([entity])[entity]

    def label(self, index: int) -> str:
        """What is shown for an entity: its name, or 'Name [id]' where the name is ambiguous here."""
        return self.labels([index])[0]

    def labels(self, indices: Iterable[int]) -> list[str]:
        """The labels of several entities, in the order given."""
        ids = [self.entity_id(index) for index in indices]
        labels = self._names.labels(ids)
        return [labels[one] for one in ids]

    def relations(self) -> list[str]:
        """Every relation of the graph, sorted. The endpoint reads every triple for it, once."""
        known = self._cache.get(("relations",))
        if known is None:
            known = tuple(self._reader.relations())
            self._cache.put(("relations",), known)
        return list(known)

    def has_relation(self, relation: str) -> bool:
        """Whether any triple has exactly this relation."""
        known = self._cache.get(("has relation", relation))
        if known is None:
            known = self._reader.has_relation(relation)
            self._cache.put(("has relation", relation), known)
        return bool(known)

    def tail_relations(self, entity: int) -> list[str]:
        """The relations of the triples whose head is `entity` (they lead to tails), sorted."""
        one = self.entity_id(entity)
        return list(self._relations_of([one], "tails")[one])

    def head_relations(self, entity: int) -> list[str]:
        """The relations of the triples whose tail is `entity` (they lead to heads), sorted."""
        one = self.entity_id(entity)
        return list(self._relations_of([one], "heads")[one])

    def tails(self, entity: int, relation: str) -> list[int]:
        """Every t with (entity, relation, t), sorted by label; [] when there is none."""
        one = self.entity_id(entity)
        return self._interned(self._neighbours([one], "tails", relation)[one])

    def heads(self, entity: int, relation: str) -> list[int]:
        """Every h with (h, relation, entity), sorted by label; [] when there is none."""
        one = self.entity_id(entity)
        return self._interned(self._neighbours([one], "heads", relation)[one])

    def triples(self) -> Iterator[Triple]:
        """Every triple once, as ids, sorted by head, relation and tail.

        All of them are read, page by page, before the first is given.

        Raises:
            TooManyResults: there are more than `max_triples`.
        """
        yield from self._reader.triples()

    def labelled_triples(self) -> list[Triple]:
        """Every triple once, with labels in place of ids, in the order of `triples`; raises as it."""
        triples = self._reader.triples()
        names = self._reader.entities()
        label_of = dict(zip(names, NameIndex(list(names), list(names.values())).labels, strict=True))
        try:
            return [(label_of[head], relation, label_of[tail]) for head, relation, tail in triples]
        except KeyError as error:
            problem = f"endpoint {self.settings.endpoint} changed while all of its triples were read"
            raise EndpointError(problem, f"Ask again; {listed([str(error)])} is new") from error

    def _interned(self, ids: Iterable[str]) -> list[int]:
        with self._lock:
            return [self._index(one) for one in ids]

    def _index(self, one: str) -> int:
        index = self._indices.setdefault(one, len(self._ids))
        if index == len(self._ids):
            self._ids.append(one)
        return index

    def _relations_of(self, ids: Sequence[str], side: Side) -> dict[str, tuple[str, ...]]:
        known = {one: self._cache.get((side, one)) for one in dict.fromkeys(ids)}
        missing = [one for one, relations in known.items() if relations is None]
        if missing:
            for one, relations in self._reader.relations_of(missing, side).items():
                known[one] = tuple(sorted(relations))
                self._cache.put((side, one), known[one])
        return known

    def _neighbours(self, ids: Sequence[str], side: Side, relation: str) -> dict[str, tuple[str, ...]]:
        known = {one: self._cache.get((side, one, relation)) for one in dict.fromkeys(ids)}
        missing = [one for one, neighbours in known.items() if neighbours is None]
        if missing:
            found = self._reader.neighbours(missing, side, relation)
            everyone = sorted(set().union(*found.by_entity.values()))
            self._names.remember(found.names, everyone)
            labels = self._names.labels(everyone)
            for one, others in found.by_entity.items():
                known[one] = tuple(sorted(others, key=labels.__getitem__))
                self._cache.put((side, one, relation), known[one])
        return known
