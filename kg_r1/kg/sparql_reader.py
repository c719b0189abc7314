"""Questions to an endpoint in terms of ids, names and relations: the layer between graph and queries.

In: ids and texts, as many as are wanted. Out: plain Python values. Many are asked about in one query,
split only where a query would hold more than `max_values` terms or its answer more than `max_rows` rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from kg_r1.kg.errors import EndpointError, TooManyResults, quoted
from kg_r1.kg.knowledge_graph import Triple
from kg_r1.kg.sparql_client import Cell, Row, SparqlClient
from kg_r1.kg.sparql_config import SparqlSettings
from kg_r1.kg.sparql_queries import Queries, Side
from kg_r1.kg.sparql_terms import Term, Terms, askable


@dataclass
class Meanings:
    """What texts mean: which of them are ids of entities, and who bears them as a label."""

    ids: set[str] = field(default_factory=set)
    bearers: dict[str, set[str]] = field(default_factory=dict)


@dataclass
class Census:
    """How often texts are used: which of them are ids of entities, and how many bear them as a label."""

    ids: set[str] = field(default_factory=set)
    num_bearers: dict[str, int] = field(default_factory=dict)


@dataclass
class Neighbours:
    """Neighbour ids by entity id, and the name of every neighbour that has one."""

    by_entity: dict[str, set[str]] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)


class EndpointReader:
    """Asks an endpoint about entities. Thread-safe. Every method raises as `SparqlClient.select`.

    Raises:
        TooManyResults: what is asked about one entity or text alone has more than `max_rows` rows.
    """

    def __init__(self, settings: SparqlSettings, client: SparqlClient) -> None:
        self.client = client
        self.terms = Terms(settings)
        self._settings = settings
        self._queries = Queries(settings)

    def neighbours(self, ids: Sequence[str], side: Side, relation: str) -> Neighbours:
        """The neighbours of each of `ids` by `relation`, on the side wanted."""
        found = Neighbours({one: set() for one in ids})
        ranked: dict[str, list[Cell]] = {}
        iris = self.terms.iris_of_relation(relation)
        if not iris:
            return found

        def ask(part: Sequence[str], max_rows: int) -> list[Row]:
            terms = self._terms(part, as_head=side == "tails")
            return self.client.select(self._queries.neighbours(terms, side, iris, max_rows))

        for row in self._split(ids, ask, f"neighbours by {quoted(relation)}", side == "tails"):
            entity, other = self._id(row, "entity"), self._id(row, "other")
            if entity in found.by_entity and other is not None:
                found.by_entity[entity].add(other)
                if "name" in row:
                    ranked.setdefault(other, []).append(row["name"])
        found.names = self._best_names(ranked)
        return found

    def relations_of(self, ids: Sequence[str], side: Side) -> dict[str, set[str]]:
        """The relations that lead from each of `ids` to neighbours on the side wanted."""
        found: dict[str, set[str]] = {one: set() for one in ids}

        def ask(part: Sequence[str], max_rows: int) -> list[Row]:
            terms = self._terms(part, as_head=side == "tails")
            return self.client.select(self._queries.relations_of(terms, side, max_rows))

        for row in self._split(ids, ask, "relations", side == "tails"):
            entity = self._id(row, "entity")
            relation = self.terms.relation_name(row["relation"]) if "relation" in row else None
            if entity in found and relation is not None:
                found[entity].add(relation)
        return found

    def names(self, ids: Sequence[str]) -> dict[str, str]:
        """The name of each of `ids` that has one."""
        ranked: dict[str, list[Cell]] = {}

        def ask(part: Sequence[str], max_rows: int) -> list[Row]:
            return self.client.select(self._queries.names(self._terms(part, as_head=True), max_rows))

        for row in self._split(ids, ask, "labels", True):
            entity = self._id(row, "entity")
            if entity is not None and "name" in row:
                ranked.setdefault(entity, []).append(row["name"])
        return self._best_names(ranked)

    def meanings(self, texts: Sequence[str]) -> Meanings:
        """Which entities have one of `texts` as id, and which as a label."""
        found = Meanings()

        def ask(part: Sequence[str], max_rows: int) -> list[Row]:
            labels = [label for text in part for label in self.terms.labels_of(text)]
            return self.client.select(self._queries.meanings(self._terms(part), labels, max_rows))

        for row in self._split(texts, ask, "entities called so"):
            self._add_meaning(found, row)
        return found

    def census(self, texts: Sequence[str]) -> Census:
        """How many entities have each of `texts` as a label, and whether one has it as id."""
        found = Census()
        for part in self._chunks(texts):
            labels = [label for text in part for label in self.terms.labels_of(text)]
            for row in self.client.select(self._queries.census(self._terms(part), labels)):
                entity = self._id(row, "entity")
                if "text" in row:
                    found.num_bearers[row["text"].value] = self._number(row)
                elif entity is not None:
                    found.ids.add(entity)
        return found

    def folded(self, lower: Sequence[str], upper: Sequence[str]) -> Meanings:
        """Ids and labels whose lower or upper case is among those given. Scans labels and triples."""
        lower_iris = [self.terms.entities.prefixed(text).lower() for text in lower]
        upper_iris = [self.terms.entities.prefixed(text).upper() for text in upper]
        found, max_rows = Meanings(), self._settings.max_rows
        all_lower, all_upper = sorted({*lower, *lower_iris}), sorted({*upper, *upper_iris})
        rows = self.client.select(self._queries.folded(all_lower, all_upper, max_rows + 1))
        if len(rows) > max_rows:
            raise self._too_many("entities spelt so but for case", quoted(lower[0]))
        for row in rows:
            self._add_meaning(found, row)
        return found

    def _add_meaning(self, found: Meanings, row: Row) -> None:
        entity = self._id(row, "entity")
        if entity is not None and "text" in row:
            found.bearers.setdefault(row["text"].value, set()).add(entity)
        elif entity is not None:
            found.ids.add(entity)

    def has_relation(self, relation: str) -> bool:
        """Whether any triple has this relation."""
        iris = self.terms.iris_of_relation(relation)
        return bool(iris) and self.client.ask(self._queries.has_relation(iris))

    def relations(self) -> list[str]:
        """Every relation, sorted."""
        max_rows = self._settings.max_rows
        rows = self.client.select(self._queries.relations(max_rows + 1))
        if len(rows) > max_rows:
            raise self._too_many("relations", "the graph")
        names = {self.terms.relation_name(row["relation"]) for row in rows if "relation" in row}
        return sorted(name for name in names if name is not None)

    def num_triples(self) -> int:
        """How many triples count."""
        return self._number(*self.client.select(self._queries.num_triples()))

    def num_entities(self) -> int:
        """How many entities stand in them."""
        return self._number(*self.client.select(self._queries.num_entities()))

    def triples(self) -> list[Triple]:
        """Every triple once, as ids, sorted.

        Raises:
            TooManyResults: there are more than `max_triples`.
        """
        found: set[Triple] = set()
        for row in self._pages(self._queries.triples):
            head, tail = self._id(row, "head"), self._id(row, "tail")
            relation = self.terms.relation_name(row["relation"]) if "relation" in row else None
            if head is not None and relation is not None and tail is not None:
                found.add((head, relation, tail))
        return sorted(found)

    def entities(self) -> dict[str, str]:
        """Every entity's id and name (its id where it has none), sorted by id. Raises as `triples`."""
        ids: set[str] = set()
        ranked: dict[str, list[Cell]] = {}
        for row in self._pages(self._queries.entities):
            entity = self._id(row, "entity")
            if entity is not None:
                ids.add(entity)
                if "name" in row:
                    ranked.setdefault(entity, []).append(row["name"])
        names = self._best_names(ranked)
        return {one: names.get(one, one) for one in sorted(ids)}

    def _pages(self, query: Callable[[int, int], str]) -> Iterator[Row]:
        offset, max_rows = 0, self._settings.max_rows
        while rows := self.client.select(query(offset, max_rows)):
            if len(rows) > max_rows:
                problem = f"{self._settings.endpoint} gave {len(rows)} rows for LIMIT {max_rows}"
                raise EndpointError(problem, "It cannot be read page by page")
            # On to an empty page: an endpoint may give fewer rows a page than it is asked for.
            offset += len(rows)
            if offset > self._settings.max_triples:
                raise TooManyResults(
                    f"endpoint {self._settings.endpoint} gave more than max_triples rows ({offset})",
                    "Ask about entities instead of the whole graph, or raise max_triples in sparql.json",
                )
            yield from rows

    def _split(
        self,
        keys: Sequence[str],
        ask: Callable[[Sequence[str], int], list[Row]],
        what: str,
        as_head: bool = False,
    ) -> Iterator[Row]:
        """The rows of `ask` for all of `keys`, in as few queries as the limits allow."""
        max_rows = self._settings.max_rows
        waiting = list(self._chunks(keys, as_head))
        while waiting:
            part = waiting.pop()
            rows = ask(part, max_rows + 1)
            if len(rows) <= max_rows:
                yield from rows
            elif len(part) == 1:
                raise self._too_many(what, quoted(part[0]))
            else:
                waiting += [part[: len(part) // 2], part[len(part) // 2 :]]

    def _chunks(self, keys: Sequence[str], as_head: bool = False) -> Iterator[list[str]]:
        chunk: list[str] = []
        num_terms = 0
        for key in keys:
            if not askable(key):
                continue
            num_own = max(1, len(self.terms.terms_of_entity(key, as_head=as_head)))
            if chunk and num_terms + num_own > self._settings.max_values:
                yield chunk
                chunk, num_terms = [], 0
            chunk.append(key)
            num_terms += num_own
        if chunk:
            yield chunk

    def _terms(self, ids: Sequence[str], as_head: bool = False) -> list[Term]:
        return [term for one in ids for term in self.terms.terms_of_entity(one, as_head=as_head)]

    def _id(self, row: Row, variable: str) -> str | None:
        cell = row.get(variable)
        return None if cell is None else self.terms.entity_id(cell)

    def _best_names(self, ranked: dict[str, list[Cell]]) -> dict[str, str]:
        return {one: min(cells, key=self.terms.name_rank).value for one, cells in ranked.items()}

    def _number(self, *rows: Row) -> int:
        text = rows[0]["number"].value if rows and "number" in rows[0] else ""
        if not text.isdecimal():
            problem = f"endpoint {self._settings.endpoint} answered {quoted(text)} where a count belongs"
            raise EndpointError(problem, "It may not speak SPARQL 1.1")
        return int(text)

    def _too_many(self, what: str, whose: str) -> TooManyResults:
        return TooManyResults(
            f"{self._settings.endpoint} has more than {self._settings.max_rows} {what} for {whose}",
            "Ask about something narrower, or raise max_rows in sparql.json",
        )
