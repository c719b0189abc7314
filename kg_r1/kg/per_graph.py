"""Something that is made once from a graph, such as an index, and kept for as long as it may be of use.

In: a function of a graph. Out: its value for each graph asked about. A value is dropped with its graph, so
that clearing a store's cache drops what was made from the old graphs as well.
"""

from __future__ import annotations

import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Generic, TypeVar

from kg_r1.kg.knowledge_graph import KnowledgeGraph

V = TypeVar("V")


@dataclass(frozen=True)
class _Kept(Generic[V]):
    """A value under way or made, and what says whether the graph at that address is still the same one."""

    graph_of: Callable[[], KnowledgeGraph | None]
    value: Future[V]


class PerGraph(Generic[V]):
    """One value per graph, made once however many threads ask, in a bounded LRU. Thread-safe.

    Args:
        make: makes the value; it must not keep the graph itself, or the graph would never be freed. An
            exception is raised in everyone who waits for that value, and is not kept.
        max_graphs: most values kept; the one used longest ago goes first.

    Raises:
        ValueError: `max_graphs` is below 1.
    """

    def __init__(self, make: Callable[[KnowledgeGraph], V], max_graphs: int = 32) -> None:
        if max_graphs < 1:
            raise ValueError(f"max_graphs is {max_graphs}; it must be at least 1")
        self.max_graphs = max_graphs
        self._make = make
        # Re-entrant: a graph may be freed, and its call-back run, while this very thread holds the lock.
        self._lock = threading.RLock()
        self._kept: OrderedDict[int, _Kept[V]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def of(self, graph: KnowledgeGraph) -> V:
        """The value of `graph`. Raises whatever `make` raises."""
        kept, is_ours = self._claim(graph)
        if is_ours:
            try:
                kept.value.set_result(self._make(graph))
            except BaseException as error:  # noqa: BLE001 -- raised again in everyone who waits, us included
                self._forget(id(graph), kept)
                kept.value.set_exception(error)
        return kept.value.result()

    def _claim(self, graph: KnowledgeGraph) -> tuple[_Kept[V], bool]:
        key = id(graph)
        with self._lock:
            kept = self._kept.get(key)
            if kept is not None and kept.graph_of() is graph:
                self._kept.move_to_end(key)
                return kept, False
            kept = self._kept[key] = _Kept(self._reference(graph), Future())
            self._kept.move_to_end(key)
            while len(self._kept) > self.max_graphs:
                self._kept.popitem(last=False)
            return kept, True

    def _reference(self, graph: KnowledgeGraph) -> Callable[[], KnowledgeGraph | None]:
        key = id(graph)

        def drop(dead: Callable[[], KnowledgeGraph | None]) -> None:
            with self._lock:
                # Another graph may have been given the address meanwhile; its value stays.
                if key in self._kept and self._kept[key].graph_of is dead:
                    del self._kept[key]

        try:
            return weakref.ref(graph, drop)
        except TypeError:  # a graph of a class that admits no weak references is held by the LRU instead
            return lambda: graph

    def _forget(self, key: int, kept: _Kept[V]) -> None:
        with self._lock:
            if self._kept.get(key) is kept:
                del self._kept[key]
