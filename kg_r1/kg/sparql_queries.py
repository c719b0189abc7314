"""The queries themselves, as SPARQL 1.1 text.

In: terms from `sparql_terms` and numbers. Out: queries whose shape depends on the settings and on how
many terms are asked about, never on what a text holds: pyoxigraph writes every term, quoted and escaped.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal as OneOf

from pyoxigraph import Literal, NamedNode

from kg_r1.kg.sparql_config import RDFS_LABEL, SparqlSettings
from kg_r1.kg.sparql_terms import Term

Side = OneOf["tails", "heads"]  # where the neighbours stand: 'tails' are asked for with heads given
LABEL = "?label"
NOT_BLANK = Literal(r"[^ \t\r\n]")


class Queries:
    """Builds the queries of one data set.

    Variables of the answers: ?entity, ?other (its neighbour), ?relation, ?name (a label of ?other or
    ?entity), ?text (a label asked about), ?number.
    """

    def __init__(self, settings: SparqlSettings) -> None:
        self._from = f" FROM {NamedNode(settings.graph)}" if settings.graph is not None else ""
        self._label = str(NamedNode(settings.labels.property or RDFS_LABEL))
        self._languages = _listed(Literal(one) for one in settings.labels.languages)
        self._entity_prefixes = settings.entities.within
        self._relation_prefixes = settings.relations.within
        left_out = dict.fromkeys((settings.labels.property, *settings.relations.leave_out))
        self._left_out = _listed(NamedNode(one) for one in left_out)
        self._datatypes = _listed(NamedNode(one) for one in settings.literals.datatypes)
        self._tags = _listed(Literal(one) for one in settings.literals.languages if one)

    def neighbours(self, terms: Iterable[Term], side: Side, iris: list[NamedNode], max_rows: int) -> str:
        """?entity ?other ?name: the neighbours of many entities by one relation, with their labels."""
        path = "|".join(map(str, iris))
        if side == "tails":
            edge = f"?entity {path} ?other . FILTER({self._is_tail('?other')})"
        else:
            edge = f"?other {path} ?entity . FILTER({self._is_head('?other')})"
        body = f"{_values('?entity', terms)} {edge} OPTIONAL {{ {self._named('?other', '?name')} }}"
        return f"SELECT ?entity ?other ?name{self._from} WHERE {{ {body} }} LIMIT {max_rows}"

    def relations_of(self, terms: Iterable[Term], side: Side, max_rows: int) -> str:
        """?entity ?relation: the relations that lead from many entities to their neighbours."""
        edge = self._edge("?entity", "?other") if side == "tails" else self._edge("?other", "?entity")
        body = f"{_values('?entity', terms)} {edge}"
        return f"SELECT DISTINCT ?entity ?relation{self._from} WHERE {{ {body} }} LIMIT {max_rows}"

    def names(self, terms: Iterable[Term], max_rows: int) -> str:
        """?entity ?name: the labels of many entities."""
        body = f"{_values('?entity', terms)} {self._named('?entity', '?name')}"
        return f"SELECT ?entity ?name{self._from} WHERE {{ {body} }} LIMIT {max_rows}"

    def meanings(self, terms: Iterable[Term], labels: Iterable[Literal], max_rows: int) -> str:
        """?entity for each of `terms` that is in a triple; ?entity ?text for each bearer of a label."""
        by_id = f"{{ {_values('?entity', terms)} {self._stands('?entity')} }}"
        by_label = f"{{ {_values('?text', labels)} {self._bearer('?text')} }}"
        return f"SELECT ?entity ?text{self._from} WHERE {{ {by_id} UNION {by_label} }} LIMIT {max_rows}"

    def census(self, terms: Iterable[Term], labels: Iterable[Literal]) -> str:
        """?entity as in `meanings`; ?text ?number: how many entities bear a label, in any language."""
        by_id = f"{{ {_values('?entity', terms)} {self._stands('?entity')} }}"
        bearers = f"{_values(LABEL, labels)} {self._bearer(LABEL)} BIND(STR({LABEL}) AS ?text)"
        number = "(COUNT(DISTINCT ?entity) AS ?number)"
        counted = f"SELECT ?text {number} WHERE {{ {bearers} }} GROUP BY ?text"
        return f"SELECT ?entity ?text ?number{self._from} WHERE {{ {by_id} UNION {{ {counted} }} }}"

    def folded(self, lower: Iterable[str], upper: Iterable[str], max_rows: int) -> str:
        """?entity, and ?entity ?text for labels, whose lower or upper case is among those given."""
        lower_list, upper_list = _listed(map(Literal, lower)), _listed(map(Literal, upper))

        def is_wanted(variable: str) -> str:
            text = f"STR({variable})"
            return f"FILTER(LCASE({text}) IN ({lower_list}) || UCASE({text}) IN ({upper_list}))"

        by_id = f"{{ {self._every_entity()} {is_wanted('?entity')} }}"
        labelled = f"{self._named('?entity', '?text')} {is_wanted('?text')}"
        body = f"{by_id} UNION {{ {labelled} {self._stands('?entity')} }}"
        return f"SELECT DISTINCT ?entity ?text{self._from} WHERE {{ {body} }} LIMIT {max_rows}"

    def has_relation(self, iris: list[NamedNode]) -> str:
        """Whether any triple has one of the predicates."""
        filters = f"{self._is_head('?head')} && {self._is_tail('?tail')}"
        return f"ASK{self._from} {{ ?head {'|'.join(map(str, iris))} ?tail . FILTER({filters}) }}"

    def relations(self, max_rows: int) -> str:
        """?relation: every predicate that counts."""
        body = self._edge("?head", "?tail")
        return f"SELECT DISTINCT ?relation{self._from} WHERE {{ {body} }} LIMIT {max_rows}"

    def num_triples(self) -> str:
        """?number: the triples that count, literals told apart by their lexical form only."""
        body = f"{self._edge('?head', '?tail')} BIND(STR(?tail) AS ?form)"
        inner = f"SELECT DISTINCT ?head ?relation ?form WHERE {{ {body} }}"
        return f"SELECT (COUNT(*) AS ?number){self._from} WHERE {{ {{ {inner} }} }}"

    def num_entities(self) -> str:
        """?number: the entities that stand in a triple that counts, as in `num_triples`."""
        body = f"{self._every_entity()} BIND(STR(?entity) AS ?form)"
        return f"SELECT (COUNT(DISTINCT ?form) AS ?number){self._from} WHERE {{ {body} }}"

    def triples(self, offset: int, max_rows: int) -> str:
        """?head ?relation ?tail: a page of all triples, in an order that is the same every time."""
        body = self._edge("?head", "?tail")
        order = f"STR(?head) STR(?relation) {_order('?tail')} {_page(offset, max_rows)}"
        return f"SELECT ?head ?relation ?tail{self._from} WHERE {{ {body} }} ORDER BY {order}"

    def entities(self, offset: int, max_rows: int) -> str:
        """?entity ?name: a page of all entities with their labels, in an order as in `triples`."""
        every = f"{{ SELECT DISTINCT ?entity WHERE {{ {self._every_entity()} }} }}"
        body = f"{every} OPTIONAL {{ {self._named('?entity', '?name')} }}"
        order = f"{_order('?entity')} LANG(?name) STR(?name) {_page(offset, max_rows)}"
        return f"SELECT ?entity ?name{self._from} WHERE {{ {body} }} ORDER BY {order}"

    def _edge(self, head: str, tail: str, relation: str = "?relation") -> str:
        filters = f"{self._is_relation(relation)} && {self._is_head(head)} && {self._is_tail(tail)}"
        return f"{head} {relation} {tail} . FILTER({filters})"

    def _every_entity(self) -> str:
        head, tail = (
            self._edge("?entity", "?tail1", "?relation1"),
            self._edge("?head2", "?entity", "?relation2"),
        )
        return f"{{ {head} }} UNION {{ {tail} }}"

    def _stands(self, entity: str) -> str:
        head = self._edge(entity, "?tail3", "?relation3")
        tail = self._edge("?head4", entity, "?relation4")
        return f"FILTER(EXISTS {{ {head} }} || EXISTS {{ {tail} }})"

    def _bearer(self, label: str) -> str:
        return f"?entity {self._label} {label} . {self._stands('?entity')}"

    def _named(self, entity: str, name: str) -> str:
        return f"{entity} {self._label} {name} . FILTER(LCASE(LANG({name})) IN ({self._languages}))"

    def _is_head(self, variable: str) -> str:
        return _is_within(variable, self._entity_prefixes)

    def _is_tail(self, variable: str) -> str:
        kinds = []
        if self._datatypes:
            kinds.append(f"DATATYPE({variable}) IN ({self._datatypes})")
        if self._tags:
            kinds.append(f"LCASE(LANG({variable})) IN ({self._tags})")
        is_iri = _is_within(variable, self._entity_prefixes)
        if not kinds:
            return is_iri
        return f"({is_iri} || (({' || '.join(kinds)}) && REGEX(STR({variable}), {NOT_BLANK})))"

    def _is_relation(self, variable: str) -> str:
        return f"{_is_within(variable, self._relation_prefixes)} && {variable} NOT IN ({self._left_out})"


def _is_within(variable: str, prefixes: Iterable[str]) -> str:
    starts = [f"STRSTARTS(STR({variable}), {Literal(prefix)})" for prefix in prefixes]
    return f"(isIRI({variable}) && ({' || '.join(starts)}))" if starts else f"isIRI({variable})"


def _order(variable: str) -> str:
    # The order of literals of unlike datatypes is open in SPARQL, and pages need one that is not. It
    # must stand beside LIMIT: the order of a subquery may be lost around it, and a page would miss rows.
    return f"STR({variable}) LANG({variable}) STR(DATATYPE({variable}))"


def _page(offset: int, max_rows: int) -> str:
    return f"OFFSET {offset} LIMIT {max_rows}"


def _values(variable: str, terms: Iterable[Term]) -> str:
    return f"VALUES {variable} {{ {' '.join(map(str, terms))} }}"


def _listed(terms: Iterable[Term]) -> str:
    return ", ".join(map(str, terms))
