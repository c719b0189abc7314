"""A search action in a package of its own: what two entities have in common by one relation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from kg_r1.search.actions import GraphAction
from kg_r1.search.errors import listed, quoted


class GetSharedTailEntitiesAction(GraphAction):
    """Lists the entities that two entities both have a relation to."""

    example: ClassVar[str] = 'get_shared_tail_entities("France", "Belgium", "language")'
    argument_help: ClassVar[Mapping[str, str]] = {"other_entity": "the name of the second entity"}

    def execute(
        self,
        sample_id: str,
        dataset_name: str,
        entity_id: str | list[str],
        other_entity: str,
        relation: str,
        **kwargs: Any,
    ) -> dict[str, Any]:
        """Gives {"shared_tail_entities": [...]}, in the order of the first entity's tails."""
        graph = self.graph(sample_id, dataset_name)
        found = self.find(graph, entity_id)
        others = {
            tail
            for entity in self.find(graph, other_entity).entities
            for tail in graph.tails(entity, relation)
        }
        tails = [tail for entity in found.entities for tail in graph.tails(entity, relation)]
        shared = [tail for tail in dict.fromkeys(tails) if tail in others]
        hint = f"Tails of the first: {listed(graph.labels(tails))}"
        nothing = f"shares no tail by {quoted(relation)} with {quoted(other_entity)}"
        return self.listing(graph, found, "shared_tail_entities", graph.labels(shared), nothing, hint)
