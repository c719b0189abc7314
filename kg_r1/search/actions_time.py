"""`get_facts_at`: what holds of an entity at a time, from a data set's `facts_timed.tsv`.

The entity comes from the request and is not listed by itself; those at the other ends of its facts are the
finding. What dates and windows mean: kg_r1/kg/timed_facts.py.
"""

from __future__ import annotations

from typing import Any, ClassVar

from kg_r1.kg.knowledge_graph import KnowledgeGraph
from kg_r1.kg.lines import data_error
from kg_r1.kg.timed_facts import (
    DATE_FORMS,
    FILE_NAME,
    PartialDate,
    TimedFact,
    TimedFactFiles,
    TimedFacts,
    span_of,
)
from kg_r1.search.errors import InvalidField, NoResults, UnknownRelation, listed, quoted
from kg_r1.search.handlers import FoundEntities, GraphAction, first_seen, shown

FILES = TimedFactFiles()
MOVING_TIMES = frozenset({"now", "today", "present", "current", "currently"})


class GetFactsAtAction(GraphAction):
    """Lists the facts of an entity that hold at a time."""

    example = 'get_facts_at("France", "1995", "head of state")'
    argument_help: ClassVar[dict[str, str]] = {"time": f"a year, a month or a day, as {DATE_FORMS}"}

    def execute(
        self,
        sample_id: str,
        dataset_name: str,
        entity_id: str | list[str],
        time: str,
        relation: str | None = None,
        **kwargs: Any,
    ) -> dict[str, Any]:
        """Gives {"facts": ["head | relation | tail | 1994 - 1998", ...], "other_ends": [labels]}, sorted.

        A fact is listed when a day of its window lies in `time`; `relation` keeps the facts of that one.

        Raises:
            InvalidField: `time` is no date.
            UnknownEntity: a name means nobody.
            UnknownRelation: neither the timed facts nor the graph have the relation.
            NoResults: the data set has no timed facts, or none of the entity holds then.
            DataError: the file cannot be read, or names an entity that the data set's graph lacks.
        """
        asked = _asked_time(time)
        graph = self.graph(sample_id, dataset_name)
        found = self.find(graph, entity_id)
        # The store has just found the data set by this name among its folders, so it is no path from outside.
        facts = FILES.of(self.store.base_data_path / dataset_name)
        if facts is None:
            raise NoResults(
                f"data set {quoted(dataset_name)} says of no fact when it holds", f"It has no {FILE_NAME}"
            )
        if relation is not None and relation not in facts.relations and not graph.has_relation(relation):
            raise _unknown_relation(graph, found, facts, relation)
        of_entity = self._facts(graph, found, facts, self.store.is_shared(dataset_name))
        then = [
            (fact, ends)
            for fact, ends in of_entity
            if fact.window.overlaps(asked) and relation in (None, fact.relation)
        ]
        if not then:
            about = "" if relation is None else f" by {quoted(relation)}"
            raise NoResults(
                f"no fact of {shown(graph, found)}{about} holds at {asked.text}",
                _what_there_is([fact for fact, _ in of_entity if relation in (None, fact.relation)]),
            )
        named = set(found.entities)
        others = first_seen(end for _, ends in then for end in ends if end not in named)
        return {
            "facts": sorted(_text(graph, fact, ends) for fact, ends in then),
            "other_ends": sorted(graph.labels(others)),
            **found.notes(),
        }

    def _facts(
        self, graph: KnowledgeGraph, found: FoundEntities, facts: TimedFacts, is_shared: bool
    ) -> list[tuple[TimedFact, tuple[int, int]]]:
        """The entities' timed facts, each once, with head and tail as indices.

        Raises:
            DataError: an end is not in a graph that all samples share. Where each sample has its part of the
                graph, what lies outside of it is left out.
        """
        kept = []
        ids = [graph.entity_id(entity) for entity in found.entities]
        for fact in first_seen(fact for entity_id in ids for fact in facts.of(entity_id)):
            ends = [_index(graph, end) for end in (fact.head, fact.tail)]
            if ends[0] is not None and ends[1] is not None:
                kept.append((fact, (ends[0], ends[1])))
            elif is_shared:
                missing = quoted(fact.head if ends[0] is None else fact.tail)
                raise data_error(facts.path, fact.line, f"{missing} stands in no triple of the data set")
        return kept


def _asked_time(time: object) -> PartialDate:
    if not isinstance(time, str):
        raise InvalidField("field 'time' must be text", f"Give {DATE_FORMS}")
    if time.strip().casefold() in MOVING_TIMES:
        # What holds "now" changes with the day of asking: the same run would give another answer tomorrow,
        # and the facts end at a day of their own anyway.
        raise InvalidField(
            f"field 'time' is {quoted(time)}, which is another day each day", f"Give a date: {DATE_FORMS}"
        )
    try:
        return PartialDate.parse(time.strip())
    except ValueError as error:
        raise InvalidField(f"field 'time': {error}") from error


def _index(graph: KnowledgeGraph, entity_id: str) -> int | None:
    """The entity of exactly this id; a name or label that reads the same is another entity."""
    meant = graph.resolve(entity_id)
    return meant[0] if len(meant) == 1 and graph.entity_id(meant[0]) == entity_id else None


def _text(graph: KnowledgeGraph, fact: TimedFact, ends: tuple[int, int]) -> str:
    head, tail = graph.labels(ends)
    return f"{head} | {fact.relation} | {tail} | {fact.window.text()}"


def _unknown_relation(
    graph: KnowledgeGraph, found: FoundEntities, facts: TimedFacts, relation: str
) -> UnknownRelation:
    ids = map(graph.entity_id, found.entities)
    known = listed(sorted({fact.relation for entity_id in ids for fact in facts.of(entity_id)}))
    return UnknownRelation(
        f"unknown relation {quoted(relation)}", f"Relations with a time of {shown(graph, found)}: {known}"
    )


def _what_there_is(facts: list[TimedFact]) -> str:
    if not facts:
        return "None of its facts says when it holds"
    span = span_of(facts)
    when = f", with dates from {span['from']} to {span['to']}" if span else ""
    return f"It has {len(facts)}{when}; relations: {listed(sorted({fact.relation for fact in facts}))}"
