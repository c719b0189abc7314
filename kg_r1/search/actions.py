"""The search actions: the request they answer, the built-in ones, and the registry that lists them all.

Directions: the tails of (entity, relation, ?) are reached by `get_tail_entities`, and the relations that lead
to them are the entity's tail relations; the heads of (?, relation, entity) and its head relations likewise.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, StrictInt

from kg_r1.kg.knowledge_graph import KnowledgeGraph
from kg_r1.search import quick
from kg_r1.search.errors import InvalidField, NoResults, UnknownRelation, listed, quoted
from kg_r1.search.handlers import ActionHandler, BaseAction, FoundEntities, GraphAction, first_seen, shown
from kg_r1.search.quick import QuickAction
from kg_r1.search.registry import ActionRegistry
from kg_r1.search.specs import ActionSpec, ArgumentSpec

__all__ = [
    "ACTION_REGISTRY",
    "ActionHandler",
    "ActionRegistry",
    "ActionSpec",
    "ActionType",
    "ArgumentSpec",
    "BaseAction",
    "GetConditionalRelationsAction",
    "GetHeadEntitiesAction",
    "GetHeadRelationsAction",
    "GetRelationsAction",
    "GetTailEntitiesAction",
    "GetTailRelationsAction",
    "GraphAction",
    "SearchRequest",
    "action_registry",
]


class ActionType(str, Enum):  # noqa: UP042 -- users subclass and compare it as documented
    """The names of the built-in actions."""

    GET_RELATIONS = "get_relations"
    GET_HEAD_RELATIONS = "get_head_relations"
    GET_TAIL_RELATIONS = "get_tail_relations"
    GET_HEAD_ENTITIES = "get_head_entities"
    GET_TAIL_ENTITIES = "get_tail_entities"
    GET_CONDITIONAL_RELATIONS = "get_conditional_relations"


class SearchRequest(BaseModel):
    """One request to `/retrieve`. Which fields an action needs is listed at `/actions`.

    Fields that are not named here are kept: an action may ask for fields of its own.
    """

    model_config = ConfigDict(
        extra="allow",
        json_schema_extra={
            "example": {
                "action_type": "get_tail_entities",
                "dataset_name": "world",
                "entity_id": "France",
                "relation": "capital",
            }
        },
    )

    action_type: str
    dataset_name: str | None = None
    sample_id: str | None = None
    entity_id: str | list[str] | None = None
    relation: str | None = None
    concept: str | None = None
    limit: StrictInt | None = Field(default=None, ge=1)
    offset: StrictInt | None = Field(default=None, ge=0)


class GetRelationsAction(GraphAction):
    """Lists every relation of an entity, in both directions."""

    def execute(
        self, sample_id: str, dataset_name: str, entity_id: str | list[str], **kwargs: Any
    ) -> dict[str, Any]:
        """Gives {"relations": [...]}: tail and head relations in one sorted list per entity."""
        graph = self.graph(sample_id, dataset_name)
        found = self.find(graph, entity_id)
        return {"relations": _both_relations(graph, found), **found.notes()}


class GetHeadRelationsAction(GraphAction):
    """Lists the relations that lead from other entities to an entity."""

    def execute(
        self, sample_id: str, dataset_name: str, entity_id: str | list[str], **kwargs: Any
    ) -> dict[str, Any]:
        """Gives {"head_relations": [...]}: relations of triples whose tail is the entity."""
        graph = self.graph(sample_id, dataset_name)
        found = self.find(graph, entity_id)
        others = f"Tail relations: {listed(_tail_relations(graph, found))}"
        items = _head_relations(graph, found)
        return self.listing(graph, found, "head_relations", items, "has no head relations", others)


class GetTailRelationsAction(GraphAction):
    """Lists the relations that lead from an entity to other entities."""

    def execute(
        self, sample_id: str, dataset_name: str, entity_id: str | list[str], **kwargs: Any
    ) -> dict[str, Any]:
        """Gives {"tail_relations": [...]}: relations of triples whose head is the entity."""
        graph = self.graph(sample_id, dataset_name)
        found = self.find(graph, entity_id)
        others = f"Head relations: {listed(_head_relations(graph, found))}"
        items = _tail_relations(graph, found)
        return self.listing(graph, found, "tail_relations", items, "has no tail relations", others)


class GetHeadEntitiesAction(GraphAction):
    """Lists the entities that have a relation to an entity."""

    def execute(
        self, sample_id: str, dataset_name: str, entity_id: str | list[str], relation: str, **kwargs: Any
    ) -> dict[str, Any]:
        """Gives {"head_entities": [...]}: every ? of (?, relation, entity)."""
        graph = self.graph(sample_id, dataset_name)
        found = self.find(graph, entity_id)
        graph.prefetch(found.entities, "heads", relation)
        ends = first_seen(end for entity in found.entities for end in graph.heads(entity, relation))
        if not ends:
            raise _nothing_there(graph, found, relation, "head")
        return {"head_entities": graph.labels(ends), **found.notes()}


class GetTailEntitiesAction(GraphAction):
    """Lists the entities that an entity has a relation to."""

    def execute(
        self, sample_id: str, dataset_name: str, entity_id: str | list[str], relation: str, **kwargs: Any
    ) -> dict[str, Any]:
        """Gives {"tail_entities": [...]}: every ? of (entity, relation, ?)."""
        graph = self.graph(sample_id, dataset_name)
        found = self.find(graph, entity_id)
        graph.prefetch(found.entities, "tails", relation)
        ends = first_seen(end for entity in found.entities for end in graph.tails(entity, relation))
        if not ends:
            raise _nothing_there(graph, found, relation, "tail")
        return {"tail_entities": graph.labels(ends), **found.notes()}


class GetConditionalRelationsAction(GraphAction):
    """Lists the relations from an entity whose names contain a word."""

    def execute(
        self, sample_id: str, dataset_name: str, entity_id: str | list[str], concept: str, **kwargs: Any
    ) -> dict[str, Any]:
        """Gives {"relations": [...]}: tail relations whose name, dotted domain included, has the word."""
        if not concept.strip():
            raise InvalidField("field 'concept' is empty", "Give a word to look for")
        graph = self.graph(sample_id, dataset_name)
        found = self.find(graph, entity_id)
        everything = _tail_relations(graph, found)
        wanted = concept.strip().casefold()
        items = [relation for relation in everything if wanted in relation.casefold()]
        nothing = f"has no tail relation about {quoted(concept)}"
        return self.listing(
            graph, found, "relations", items, nothing, f"Tail relations: {listed(everything)}"
        )


def _tail_relations(graph: KnowledgeGraph, found: FoundEntities) -> list[str]:
    graph.prefetch(found.entities, "tails")
    return first_seen(one for entity in found.entities for one in graph.tail_relations(entity))


def _head_relations(graph: KnowledgeGraph, found: FoundEntities) -> list[str]:
    graph.prefetch(found.entities, "heads")
    return first_seen(one for entity in found.entities for one in graph.head_relations(entity))


def _both_relations(graph: KnowledgeGraph, found: FoundEntities) -> list[str]:
    graph.prefetch(found.entities, "tails")
    graph.prefetch(found.entities, "heads")
    return first_seen(
        one
        for entity in found.entities
        for one in sorted({*graph.tail_relations(entity), *graph.head_relations(entity)})
    )


def _nothing_there(
    graph: KnowledgeGraph, found: FoundEntities, relation: str, side: str
) -> UnknownRelation | NoResults:
    # Which way a relation leads says which of the two actions follows it.
    tails, heads = _tail_relations(graph, found), _head_relations(graph, found)
    if not graph.has_relation(relation):
        return UnknownRelation(
            f"unknown relation {quoted(relation)}",
            f"Tail relations of {shown(graph, found)}: {listed(tails)}; head relations: {listed(heads)}",
        )
    other, relations = ("head", heads) if side == "tail" else ("tail", tails)
    turned = f", but {other} entities" if relation in relations else ""
    return NoResults(
        f"{shown(graph, found)} has no {side} entities by {quoted(relation)}{turned}",
        f"Tail relations: {listed(tails)}; head relations: {listed(heads)}",
    )


ACTION_REGISTRY = ActionRegistry(
    {
        ActionType.GET_RELATIONS: GetRelationsAction,
        ActionType.GET_HEAD_RELATIONS: GetHeadRelationsAction,
        ActionType.GET_TAIL_RELATIONS: GetTailRelationsAction,
        ActionType.GET_HEAD_ENTITIES: GetHeadEntitiesAction,
        ActionType.GET_TAIL_ENTITIES: GetTailEntitiesAction,
        ActionType.GET_CONDITIONAL_RELATIONS: GetConditionalRelationsAction,
    }
)
action_registry = ACTION_REGISTRY

QUICK_ACTIONS: Mapping[str, QuickAction] = {
    "get_relations": QuickAction(GetRelationsAction, quick.all_relations, "relations", False),
    "get_head_relations": QuickAction(GetHeadRelationsAction, quick.head_relations, "head_relations", False),
    "get_tail_relations": QuickAction(GetTailRelationsAction, quick.tail_relations, "tail_relations", False),
    "get_head_entities": QuickAction(GetHeadEntitiesAction, quick.head_entities, "head_entities", True),
    "get_tail_entities": QuickAction(GetTailEntitiesAction, quick.tail_entities, "tail_entities", True),
}
"""How the built-in actions are answered straight from mapped files; see `kg_r1.search.quick`."""
