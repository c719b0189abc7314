"""Answers put together from slices of mapped graphs, in microseconds: the common requests of training.

In: a decoded request. Out: its item as JSON, or None for everything that is not a plain success of a built-in
action on one name in a graph that is open already: lists, other spellings, `limit`, errors. For those the
general way (`KnowledgeGraphRetriever.retrieve`) is asked, so that there is one place for every rule, and a
test that the two agree.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import chain
from time import perf_counter_ns
from typing import NamedTuple

from kg_r1.kg.compiled.graph import BETWEEN, MappedGraph
from kg_r1.kg.store import GraphStore
from kg_r1.search.answer_cache import Answer, AnswerCache, Key
from kg_r1.search.registry import Action, ActionRegistry

Listing = tuple[bytes, int]  # items as the insides of JSON strings, joined by `","`, and how many they are
Finder = Callable[[MappedGraph, list[int], str], Listing]  # of a graph, entities in it and a relation

MAX_TIMED_US = 10_000
# Writing a number takes as long as finding the answer.
TIMES = [b"%g" % (microseconds / 1e6) for microseconds in range(MAX_TIMED_US)]


def tail_entities(graph: MappedGraph, entities: list[int], relation: str) -> Listing:
    """The labels of the tails."""
    return _neighbours(graph, "tail", entities, relation)


def head_entities(graph: MappedGraph, entities: list[int], relation: str) -> Listing:
    """The labels of the heads."""
    return _neighbours(graph, "head", entities, relation)


def tail_relations(graph: MappedGraph, entities: list[int], _: str) -> Listing:
    """The tail relations."""
    return _texts(graph, [graph.relation_numbers("tail", entity) for entity in entities])


def head_relations(graph: MappedGraph, entities: list[int], _: str) -> Listing:
    """The head relations."""
    return _texts(graph, [graph.relation_numbers("head", entity) for entity in entities])


def all_relations(graph: MappedGraph, entities: list[int], _: str) -> Listing:
    """The relations in both directions, entity by entity."""
    numbers = graph.relation_numbers
    return _texts(graph, [sorted({*numbers("tail", one), *numbers("head", one)}) for one in entities])


def _neighbours(graph: MappedGraph, side: str, entities: list[int], relation: str) -> Listing:
    if len(entities) == 1:
        return graph.encoded_neighbours(side, entities[0], relation)
    found = dict.fromkeys(end for entity in entities for end in graph.neighbours(side, entity, relation))
    return BETWEEN.join(graph.encoded_labels(found)), len(found)


def _texts(graph: MappedGraph, numbers: list[list[int]]) -> Listing:
    """The relations of some entities, given by number for each; first seen first, each once."""
    texts = graph.dataset.relations
    distinct = numbers[0] if len(numbers) == 1 else list(dict.fromkeys(chain.from_iterable(numbers)))
    return BETWEEN.join([texts[number] for number in distinct]), len(distinct)


class QuickAction(NamedTuple):
    """How one action is answered: only while the registry has `action` under its name."""

    action: Action
    finder: Finder
    field: str
    takes_relation: bool


class QuickAnswers:
    """Answers of the actions named, for as long as the registry has those very actions under their names.

    Args:
        store: where the graphs come from.
        registry: what it has is looked at again whenever it was changed: a replaced action is never answered
            for.
        actions: the actions that are answered here, by name.
    """

    def __init__(
        self, store: GraphStore, registry: ActionRegistry, actions: Mapping[str, QuickAction]
    ) -> None:
        self._store = store
        self._registry = registry
        self._actions = actions
        self._cache = AnswerCache()
        self._generation = store.generation
        self._registry_version = -1
        self._offered: dict[str, QuickAction] = {}

    def item(self, request: object) -> bytes | None:
        """The item of one request, or None; never raises and never reads a file that is not mapped."""
        start = perf_counter_ns()
        if type(request) is not dict:
            return None
        get = request.get
        name, dataset_name, entity_id = get("action_type"), get("dataset_name"), get("entity_id")
        if not (type(name) is str and type(dataset_name) is str and type(entity_id) is str):
            return None
        if self._registry_version != self._registry.version:
            self._look_at_registry()
        action = self._offered.get(name)
        if action is None:
            return None
        sample_id = get("sample_id")
        relation = get("relation") if action.takes_relation else None
        # Exactly the fields that the action needs: anything else is for the general way to judge.
        if len(request) != 3 + (sample_id is not None) + action.takes_relation:
            return None
        if not (type(sample_id) is str or sample_id is None):
            return None
        if action.takes_relation and type(relation) is not str:
            return None
        try:
            answer = self._answer((name, dataset_name, sample_id, entity_id, relation), action)
        except IndexError:  # an inconsistent store: the general way says so in this item alone
            return None
        if answer is None:
            return None
        microseconds = (perf_counter_ns() - start) // 1000
        seconds = TIMES[microseconds] if microseconds < MAX_TIMED_US else b"%g" % (microseconds / 1e6)
        return answer[0] + seconds + answer[1]

    def _answer(self, key: Key, action: QuickAction) -> Answer | None:
        generation = self._store.generation
        if generation != self._generation:
            self._generation = generation
            self._cache.clear()
        answer = self._cache.get(key)
        if answer is not None:
            return answer
        graph = self._store.at_hand(key[1], key[2])
        if graph is None:
            return None
        entities = graph.find_spelt(key[3])
        joined, num_items = action.finder(graph, entities, key[4] or "") if entities else (b"", 0)
        if not num_items:
            return None
        if len(entities) > 1:
            # The note that says whom a shared name means; see `FoundEntities.notes`.
            joined += b'"],"matched_entities":["' + BETWEEN.join(graph.encoded_labels(entities))
        opening = b'{"results":[{"%b":["%b"]}],"query_time":' % (action.field.encode("ascii"), joined)
        answer = opening, b',"total_results":%d}' % num_items
        if generation == self._store.generation:
            self._cache.offer(key, answer)
        return answer

    def _look_at_registry(self) -> None:
        version = self._registry.version
        self._offered = {
            name: quick for name, quick in self._actions.items() if self._registry.get(name) is quick.action
        }
        self._registry_version = version
