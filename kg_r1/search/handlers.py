"""What an action is made from. Three bases, from the most to the least guided:

`GraphAction` finds the entities a request names and hands over the graph; the built-in actions use it.
`ActionHandler` is given the request's fields as keywords and may load the triples itself.
`BaseAction` is an instance that names its own request fields and is handed the whole request.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from kg_r1.kg.knowledge_graph import KnowledgeGraph, Triple
from kg_r1.kg.store import GraphStore
from kg_r1.search.errors import (
    InvalidField,
    NoResults,
    UnknownDataset,
    UnknownEntity,
    UnknownSample,
    listed,
    quoted,
)

if TYPE_CHECKING:
    from kg_r1.search.server import KnowledgeGraphRetriever

MAX_UNKNOWN_EXPLAINED = 3
T = TypeVar("T")


class ActionHandler(ABC):
    """An action as a class: the retriever makes one instance and calls `execute` per request.

    The parameters of `execute` without a default are the request's required fields. The class's docstring
    starts with the line that describes the action to people and to models.
    """

    example: ClassVar[str] = ""
    """A call in call form for the prompt; made up from the arguments when left empty."""

    argument_help: ClassVar[Mapping[str, str]] = {}
    """A line of help per argument, for arguments that are not entity_id, relation or concept."""

    def __init__(self, store: GraphStore) -> None:
        self.store = store

    @abstractmethod
    def execute(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Answers one request, given its fields as keywords; fields it has no parameter for go to **kwargs.

        Returns:
            The result, such as {"relations": [...]}, or {"error": "one line"} for a failure.

        Raises:
            KGError: the failure, with its code.
        """

    def graph(self, sample_id: str, dataset_name: str) -> KnowledgeGraph:
        """The graph of a request.

        Raises:
            UnknownDataset, UnknownSample, DataError: as `GraphStore.graph`.
        """
        return self.store.graph(dataset_name, sample_id)

    def load_subgraph(self, sample_id: str, dataset_name: str) -> dict[str, list[Triple]] | None:
        """The graph of a request as {"triples": [(head, relation, tail), ...]}; None when there is none.

        Entities stand as their labels: the names, or the ids where the data set has no names.

        Raises:
            DataError: the graph's file cannot be read.
        """
        return labelled_subgraph(self.store, sample_id, dataset_name)

    def prepare(self, fields: dict[str, Any]) -> dict[str, Any]:
        """The request's fields as `execute` gets them: an entity id or spelling turned into the label that
        `load_subgraph` shows, so that comparing the two is enough.

        Raises:
            UnknownDataset, UnknownSample, DataError: as `GraphStore.graph`.
        """
        entity = fields.get("entity_id")
        if entity is None or "dataset_name" not in fields:
            return fields
        graph = self.graph(fields.get("sample_id", ""), fields["dataset_name"])
        if isinstance(entity, str):
            return {**fields, "entity_id": _canonical(graph, entity)}
        return {**fields, "entity_id": [_canonical(graph, name) for name in entity]}


class BaseAction(ABC):
    """An action as an instance, registered under a name, with request fields of its own."""

    example: ClassVar[str] = ""
    argument_help: ClassVar[Mapping[str, str]] = {}

    @abstractmethod
    def get_required_fields(self) -> list[str]:
        """The fields a request must have, sample_id and dataset_name among them where they are needed."""

    def validate_request(self, request_data: dict[str, Any]) -> bool:
        """Whether a request that has every required field can be answered."""
        return all(request_data.get(field) is not None for field in self.get_required_fields())

    @abstractmethod
    def execute(self, retriever: KnowledgeGraphRetriever, request_data: dict[str, Any]) -> dict[str, Any]:
        """Answers one request.

        Args:
            retriever: gives graphs (`retriever.graph`, `retriever.load_subgraph`).
            request_data: the request's fields, `action_type` included.

        Returns:
            The result, or {"error": "one line"} for a failure.

        Raises:
            KGError: the failure, with its code.
        """


@dataclass(frozen=True)
class FoundEntities:
    """What the entity_id of a request means in one graph.

    Attributes:
        entities: distinct entity indices, in the order in which they were named.
        ambiguous: the labels of entities that share one of the names given.
        unknown: names given in a list that mean nobody.
    """

    entities: list[int]
    ambiguous: list[str]
    unknown: list[str]

    def notes(self) -> dict[str, list[str]]:
        """The fields that go beside a result to say how the names were understood."""
        notes = {"matched_entities": self.ambiguous, "unknown_entities": self.unknown}
        return {field: names for field, names in notes.items() if names}


class GraphAction(ActionHandler):
    """An action on entities of a graph, named one at a time or as a list."""

    def prepare(self, fields: dict[str, Any]) -> dict[str, Any]:
        """The fields as they are; `find` reads every spelling, shared names included."""
        return fields

    def find(self, graph: KnowledgeGraph, entity_id: str | list[str]) -> FoundEntities:
        """The entities that one name, or any name of a list, means.

        Raises:
            InvalidField: an empty list.
            UnknownEntity: no name means anybody.
        """
        names = [entity_id] if isinstance(entity_id, str) else list(dict.fromkeys(entity_id))
        if not names:
            raise InvalidField("field 'entity_id' is an empty list", "Name at least one entity")
        graph.prefetch_names(names)
        meant = {name: graph.resolve(name) for name in names}
        unknown = [name for name in names if not meant[name]]
        if len(unknown) == len(names):
            raise unknown_entities(graph, unknown)
        shared = first_seen(index for name in names if len(meant[name]) > 1 for index in meant[name])
        return FoundEntities(
            entities=first_seen(index for name in names for index in meant[name]),
            ambiguous=graph.labels(shared),
            unknown=unknown,
        )

    def listing(
        self,
        graph: KnowledgeGraph,
        found: FoundEntities,
        field: str,
        items: list[str],
        nothing: str,
        hint: str,
    ) -> dict[str, Any]:
        """The result {field: items} with its notes.

        Raises:
            NoResults: there are no items; its text is the entities shown, then `nothing`, then `hint`.
        """
        if not items:
            raise NoResults(f"{shown(graph, found)} {nothing}", hint)
        return {field: items, **found.notes()}


def unknown_entities(graph: KnowledgeGraph, names: list[str]) -> UnknownEntity:
    """The error for names that mean nobody, with the names spelt most like them."""
    hints = []
    for name in names[:MAX_UNKNOWN_EXPLAINED]:
        close = graph.close_labels(name)
        if graph.has_relation(name):
            hints.append(f"{quoted(name)} is a relation")
        elif close:
            hints.append(f"Close to {quoted(name)}: {listed(map(quoted, close))}")
    what = "entity" if len(names) == 1 else "entities"
    return UnknownEntity(f"unknown {what} {listed(map(quoted, names), max_items=5)}", "; ".join(hints))


def shown(graph: KnowledgeGraph, found: FoundEntities) -> str:
    """The entities of a request for a message, the unknown ones said to be so."""
    text = listed(map(quoted, graph.labels(found.entities)), max_items=3)
    return f"{text} (unknown: {listed(map(quoted, found.unknown), max_items=3)})" if found.unknown else text


def first_seen(items: Iterable[T]) -> list[T]:
    """The distinct items in the order in which they first come."""
    return list(dict.fromkeys(items))


def labelled_subgraph(
    store: GraphStore, sample_id: str | None, dataset_name: str
) -> dict[str, list[Triple]] | None:
    """A graph as {"triples": [(head label, relation, tail label), ...]}; None when there is no such graph.

    Raises:
        DataError: the graph's file cannot be read.
    """
    try:
        return {"triples": store.graph(dataset_name, sample_id).labelled_triples()}
    except (UnknownDataset, UnknownSample):  # the documented way to say so to an action that asks this way
        return None


def _canonical(graph: KnowledgeGraph, name: str) -> str:
    meant = graph.resolve(name)
    return graph.label(meant[0]) if len(meant) == 1 else name
