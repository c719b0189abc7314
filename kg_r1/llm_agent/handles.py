"""Handles: "#1" stands for everything that the first successful search of the episode listed, and
"#1 except Cuba" for all of that but Cuba.

The server knows nothing of them. The environment numbers the results, shows the number before each, and
puts the items in the handle's place before a query is sent, those included that the observation had no room
to show. So a walk over sets of any size costs a few tokens, and no name is copied wrongly.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from kg_r1.llm_agent.query import Argument, Query, QueryProblem
from kg_r1.search.specs import ActionSpec

MAX_HANDLE_ITEMS = 5000

_HANDLE = re.compile(r"#\s*(\d{1,6})(?:\s+except\s+(.+))?", re.DOTALL)


class ResultSets:
    """The results of one episode by number, from 1."""

    def __init__(self) -> None:
        self._results: list[list[str]] = []

    def add(self, items: Sequence[str]) -> str:
        """Keeps what a search listed; returns its handle."""
        self._results.append(list(items))
        return f"#{len(self._results)}"

    def resolve(self, query: Query, spec: ActionSpec) -> Query:
        """The query with the items of results in the place of their handles.

        A handle inside a list is a name like any other, so that an entity called "#1" can be asked for.

        Raises QueryProblem for the number of a result that there is not, or one too large to search from.
        """
        takes_handle = {argument.name for argument in spec.arguments if argument.takes_handle}
        arguments = {
            name: self._items(value) if name in takes_handle else value
            for name, value in query.arguments.items()
        }
        return Query(query.action, arguments)

    def _items(self, value: Argument) -> Argument:
        match = _HANDLE.fullmatch(value) if isinstance(value, str) else None
        if match is None:
            return value
        number = int(match.group(1))
        if not 1 <= number <= len(self._results):
            raise QueryProblem(f"there is no result #{number}; {self._known()}")
        items = self._results[number - 1]
        if len(items) > MAX_HANDLE_ITEMS:
            raise QueryProblem(
                f"result #{number} has {len(items)} items, more than {MAX_HANDLE_ITEMS}: name some of them"
            )
        left_out = _folded(match.group(2) or "")
        return [item for item in items if _folded(item) != left_out]

    def _known(self) -> str:
        num_results = len(self._results)
        if not num_results:
            return "there is no result yet"
        return "results so far: #1" + (f" to #{num_results}" if num_results > 1 else "")


def _folded(name: str) -> str:
    return " ".join(name.split()).casefold()
