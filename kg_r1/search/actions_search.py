"""`search_entities`: which entities of the graph are called something like a text.

For questions whose topic entities nobody has linked to the graph. What it lists says how entities are
called and nothing about them, so it must not count as evidence (docs/more_actions.md).
"""

from __future__ import annotations

from typing import Any, ClassVar

from kg_r1.kg.name_search import MAX_QUERY_CHARS, TooManyNames, name_search_of
from kg_r1.search.errors import InvalidField, NoResults, quoted
from kg_r1.search.handlers import GraphAction, first_seen

DEFAULT_RESULTS = 5
MAX_RESULTS = 20


class SearchEntitiesAction(GraphAction):
    """Lists entities whose names are like a text, the likest first."""

    example = 'search_entities("Eifel Towr")'
    argument_help: ClassVar[dict[str, str]] = {
        "query": "a name, or what is known of it; slips, missing words and missing accents do not matter",
        "max_results": f'how many, in quotes, at most "{MAX_RESULTS}" ("{DEFAULT_RESULTS}" if left out)',
    }

    def execute(
        self,
        sample_id: str,
        dataset_name: str,
        query: str,
        max_results: int | str = DEFAULT_RESULTS,
        **kwargs: Any,
    ) -> dict[str, Any]:
        """Gives {"name_matches": [labels]}; see `NameSearch.search` for the order.

        Raises:
            InvalidField: `query` is no text, empty or too long, or `max_results` is out of range.
            NoResults: no name is anything like it.
            TooManyNames: the graph is too large, and the text is no entity's exact name.
        """
        most = whole_number("max_results", max_results, 1, MAX_RESULTS)
        if not isinstance(query, str):
            raise InvalidField("field 'query' must be text", "Give a name to look for")
        if not query.strip():
            raise InvalidField("field 'query' is empty", "Give a name to look for")
        if len(query) > MAX_QUERY_CHARS:
            raise InvalidField(
                f"field 'query' has {len(query)} characters", f"Give a name of at most {MAX_QUERY_CHARS}"
            )
        graph = self.graph(sample_id, dataset_name)
        # What every other action would take this text to mean comes first, ids included.
        meant = sorted(graph.resolve(query), key=graph.label)
        try:
            similar = name_search_of(graph).search(query, most)
        except TooManyNames:
            if not meant:
                raise
            similar = []
        found = first_seen([*meant, *similar])[:most]
        if not found:
            raise NoResults(
                f"no entity is called anything like {quoted(query)}", "Try fewer words or another spelling"
            )
        return {"name_matches": graph.labels(found)}


def whole_number(field: str, value: object, least: int, most: int) -> int:
    """A number that a request gives as a number or, as models do, as text.

    Raises:
        InvalidField: it is none, or is out of range.
    """
    if isinstance(value, str) and value.strip().isascii() and value.strip().isdigit():
        value = int(value.strip()[:9])
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise InvalidField(
            f"field {quoted(field)} is {quoted(repr(value))}",
            f"It takes a whole number from {least} to {most}",
        )
    return value
