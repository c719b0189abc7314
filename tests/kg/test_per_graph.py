"""What is made from a graph: once, for as long as the graph lives, and for so many graphs only."""

from __future__ import annotations

import gc
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from kg_r1.kg.graph import Subgraph
from kg_r1.kg.knowledge_graph import KnowledgeGraph
from kg_r1.kg.per_graph import PerGraph


def graph_of(name: str) -> Subgraph:
    return Subgraph.from_triples([(name, "r", "b")])


def test_many_threads_make_one_value() -> None:
    made: list[int] = []
    everyone_asks = threading.Barrier(8)

    def make(graph: KnowledgeGraph) -> int:
        made.append(graph.num_triples)
        return len(made)

    values = PerGraph(make)
    graph = graph_of("a")

    def ask(_: int) -> int:
        everyone_asks.wait(timeout=30)
        return values.of(graph)

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(ask, range(8))) == [1] * 8
    assert made == [1]


def test_the_one_used_longest_ago_goes_first() -> None:
    made: list[str] = []

    def make(graph: KnowledgeGraph) -> str:
        made.append(graph.entity_id(0))
        return made[-1]

    values = PerGraph(make, max_graphs=2)
    first, second, third = map(graph_of, ("a1", "a2", "a3"))
    for graph in (first, second, first, third, first, second):
        values.of(graph)
    assert made == ["a1", "a2", "a3", "a2"]
    assert len(values) == 2


def test_a_value_goes_with_its_graph() -> None:
    values = PerGraph(lambda graph: graph.num_triples)
    kept, dropped = graph_of("a"), graph_of("b")
    values.of(kept)
    values.of(dropped)
    assert len(values) == 2
    del dropped
    gc.collect()
    assert len(values) == 1
    assert values.of(kept) == 1


def test_a_failure_is_raised_and_not_kept() -> None:
    tries: list[int] = []

    def make(graph: KnowledgeGraph) -> int:
        tries.append(1)
        if len(tries) == 1:
            raise OSError("the disk is away")
        return 7

    values, graph = PerGraph(make), graph_of("a")
    with pytest.raises(OSError, match="the disk is away"):
        values.of(graph)
    assert len(values) == 0
    assert values.of(graph) == 7


class Slotted:
    """Looks like a graph as far as these tests look, and has no room for a weak reference."""

    __slots__ = ("num_triples",)

    def __init__(self) -> None:
        self.num_triples = 5


def test_a_graph_without_weak_references_is_held_by_the_bound() -> None:
    values = PerGraph(lambda graph: graph.num_triples, max_graphs=1)
    graphs = [Slotted(), Slotted()]
    assert [values.of(graph) for graph in graphs] == [5, 5]  # type: ignore[arg-type]
    assert len(values) == 1


def test_no_room_at_all_is_refused() -> None:
    with pytest.raises(ValueError, match="max_graphs is 0"):
        PerGraph(lambda graph: 0, max_graphs=0)
