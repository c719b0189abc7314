"""Handles: "#2" stands for everything that is listed under that number, "#2 except Cuba" for all of that but
Cuba, and "#2 except #1" for all of it that is not listed under #1.

The topic entities of the question have the first numbers, one each, and every successful search of the
episode the next. The server knows nothing of them. The environment shows the number before each listing, and
puts the items in the handle's place before a query is sent, those included that an observation had no room
to show. So a walk over sets of any size costs a few tokens, and no name is copied wrongly on the way.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from kg_r1.llm_agent.query import Argument, Query, QueryProblem
from kg_r1.search.specs import ActionSpec

MAX_HANDLE_ITEMS = 5000

_HANDLE = re.compile(r"#\s*(\d{1,6})(?:\s+except\s+(.+))?", re.DOTALL)


class ResultSets:
    """What one episode can refer to by number, from 1: its topic entities, then the results of its searches.

    Args:
        topics: the names of the question's topic entities, in the order in which the prompt shows them.
    """

    def __init__(self, topics: Sequence[str] = ()) -> None:
        self._results: list[list[str]] = [[topic] for topic in topics]

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
        items = self._result(int(match.group(1)))
        excepted = match.group(2) or ""
        other = _HANDLE.fullmatch(excepted)
        is_result = other is not None and other.group(2) is None
        left_out = set(map(_folded, self._result(int(other.group(1))) if other and is_result else [excepted]))
        return [item for item in items if _folded(item) not in left_out]

    def _result(self, number: int) -> list[str]:
        if not 1 <= number <= len(self._results):
            raise QueryProblem(f"there is no #{number}; {self._known()}")
        items = self._results[number - 1]
        if len(items) > MAX_HANDLE_ITEMS:
            raise QueryProblem(
                f"#{number} has {len(items)} items, more than {MAX_HANDLE_ITEMS}: name some of them"
            )
        return items

    def _known(self) -> str:
        num_results = len(self._results)
        if not num_results:
            return "there is no result yet"
        return "so far there is #1" + (f" to #{num_results}" if num_results > 1 else "")


def _folded(name: str) -> str:
    return " ".join(name.split()).casefold()
