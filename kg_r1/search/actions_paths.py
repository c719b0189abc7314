"""`find_paths`: how two entities are connected, by the shortest paths between them.

Both ends come from the request, so neither may be listed by itself: a model could name its guess as the
target and have "retrieved" it. Whole paths equal no answer; the entities between the ends are a finding.
"""

from __future__ import annotations

from typing import Any, ClassVar

from kg_r1.kg.knowledge_graph import KnowledgeGraph
from kg_r1.kg.name_search import key_of
from kg_r1.kg.path_search import SearchBounds, shortest_paths
from kg_r1.search.actions_search import whole_number
from kg_r1.search.errors import InvalidField, NoResults, listed, quoted
from kg_r1.search.handlers import FoundEntities, GraphAction, first_seen, shown

DEFAULT_HOPS, MAX_HOPS = 3, 4
DEFAULT_PATHS, MAX_PATHS = 3, 10
ARTICLES = frozenset({"a", "an", "the"})


class FindPathsAction(GraphAction):
    """Lists the shortest paths of relations between two entities."""

    example = 'find_paths("France", "Seine")'
    argument_help: ClassVar[dict[str, str]] = {
        "target_id": "the name of the entity at the other end",
        "max_hops": f'longest path, in quotes, at most "{MAX_HOPS}" ("{DEFAULT_HOPS}" if left out)',
        "max_paths": f'how many, in quotes, at most "{MAX_PATHS}" ("{DEFAULT_PATHS}" if left out)',
    }
    bounds = SearchBounds()

    def execute(
        self,
        sample_id: str,
        dataset_name: str,
        entity_id: str | list[str],
        target_id: str | list[str],
        max_hops: int | str = DEFAULT_HOPS,
        max_paths: int | str = DEFAULT_PATHS,
        **kwargs: Any,
    ) -> dict[str, Any]:
        """Gives {"paths": [...], "between": [labels]}: paths as text, and who stands between their ends.

        Relations are walked in both directions; `shortest_paths` says in which order. Of several names, or
        of a name that several entities share, the nearest pair counts.

        Raises:
            InvalidField: a field of the wrong type or range, or one entity at both ends.
            UnknownEntity: a name means nobody.
            NoResults: no path is short enough.
            BoundReached: the search was broken off before it found a path.
        """
        hops = whole_number("max_hops", max_hops, 1, MAX_HOPS)
        most = whole_number("max_paths", max_paths, 1, MAX_PATHS)
        if (
            not isinstance(target_id, str | list)
            or not target_id
            or not all(isinstance(name, str) for name in target_id)
        ):
            raise InvalidField("field 'target_id' must be a name or a list of names")
        graph = self.graph(sample_id, dataset_name)
        start, end = self.find(graph, entity_id), self.find(graph, target_id)
        both = [entity for entity in start.entities if entity in set(end.entities)]
        if both:
            same = listed(map(quoted, graph.labels(both)), max_items=3)
            raise InvalidField(f"entity_id and target_id both mean {same}", "Name two different entities")
        paths = shortest_paths(graph, start.entities, end.entities, hops, most, self.bounds)
        if not paths:
            raise NoResults(
                f"no path of at most {hops} relations joins {shown(graph, start)} and {shown(graph, end)}",
                f"The most that max_hops may be is {MAX_HOPS}",
            )
        named = _named(graph, entity_id, start) | _named(graph, target_id, end)
        inner = first_seen(entity for path in paths for entity in path.inner())
        between = [entity for entity in inner if _plain(graph.name(entity)) not in named]
        return {
            "paths": [path.text(graph) for path in paths],
            "between": graph.labels(between),
            **_notes(start, end),
        }


def _named(graph: KnowledgeGraph, given: str | list[str], found: FoundEntities) -> set[str]:
    """What the request itself says, in a form as coarse as that in which answers are compared."""
    names = [given] if isinstance(given, str) else given
    return {*map(_plain, names), *(_plain(graph.name(entity)) for entity in found.entities)}


def _plain(name: str) -> str:
    folded = "".join(one for one in name.casefold() if one.isalnum() or one.isspace())
    words = [word for word in folded.split() if word not in ARTICLES]
    return key_of("".join(words)) or key_of(name)


def _notes(start: FoundEntities, end: FoundEntities) -> dict[str, list[str]]:
    notes: dict[str, list[str]] = {}
    for found in (start, end):
        for field, names in found.notes().items():
            notes[field] = first_seen([*notes.get(field, []), *names])
    return notes
