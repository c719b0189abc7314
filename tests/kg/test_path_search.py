"""Shortest paths, beside the plainest way to find them: to try every walk."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kg_r1.kg.graph import Subgraph
from kg_r1.kg.knowledge_graph import Triple
from kg_r1.kg.path_search import BoundReached, Path, SearchBounds, shortest_paths

Steps = list[tuple[str, bool, str]]  # relation, whether walked from tail to head, entity reached


def walks_of(triples: list[Triple], sources: list[str], max_hops: int) -> dict[str, list[tuple[str, Steps]]]:
    """Entity -> every walk of at most `max_hops` links from a source to it, the shorter before the longer."""
    walks: dict[str, list[tuple[str, Steps]]] = {}
    frontier: list[tuple[str, str, Steps]] = [(start, start, []) for start in sources]
    for _ in range(max_hops):
        further = []
        for start, at, steps in frontier:
            for head, relation, tail in set(triples):
                for come_from, is_back, reached in ((head, False, tail), (tail, True, head)):
                    if come_from == at:
                        further.append((start, reached, [*steps, (relation, is_back, reached)]))
        for start, at, steps in further:
            walks.setdefault(at, []).append((start, steps))
        frontier = further
    return walks


def naive(
    triples: list[Triple], sources: list[str], targets: list[str], max_hops: int
) -> list[tuple[str, Steps]]:
    walks = walks_of(triples, sources, max_hops)
    reaching = [walk for target in targets for walk in walks.get(target, [])]
    least = min((len(steps) for _, steps in reaching), default=0)
    return sorted((start, steps) for start, steps in reaching if len(steps) == least)


def plain(graph: Subgraph, path: Path) -> tuple[str, Steps]:
    steps = [(hop.relation, hop.direction == "head", graph.label(entity)) for hop, entity in path.links]
    return graph.label(path.start), steps


ENTITY = st.sampled_from("abcdef")
TRIPLES = st.lists(st.tuples(ENTITY, st.sampled_from(["r", "s"]), ENTITY), min_size=1, max_size=9)


@settings(max_examples=150, deadline=None)
@given(
    triples=TRIPLES, ends=st.permutations("abcdef"), num_sources=st.integers(1, 2), max_hops=st.integers(1, 4)
)
def test_as_many_walks_as_there_are(
    triples: list[Triple], ends: list[str], num_sources: int, max_hops: int
) -> None:
    graph = Subgraph.from_triples(triples)
    sources, targets = ends[:num_sources], ends[num_sources : num_sources + 2]
    indices = [[one for name in names for one in graph.resolve(name)] for names in (sources, targets)]
    known = [[name for name in names if graph.resolve(name)] for names in (sources, targets)]
    expected = naive(triples, known[0], known[1], max_hops)
    found = shortest_paths(graph, *indices, max_hops=max_hops, max_paths=10_000)
    assert [plain(graph, path) for path in found] == expected
    assert shortest_paths(graph, *indices, max_hops=max_hops, max_paths=2) == found[:2]


CITY: list[Triple] = [
    ("France", "capital", "Paris"),
    ("Seine", "flows_through", "Paris"),
    ("Seine", "flows_through", "Rouen"),
    ("France", "city", "Rouen"),
    ("France", "city", "Paris"),
    ("Spain", "borders", "France"),
    ("Island", "in", "Ocean"),
]


def test_a_path_as_text_has_arrows_from_head_to_tail() -> None:
    graph = Subgraph.from_triples(CITY)
    paths = shortest_paths(graph, graph.resolve("France"), graph.resolve("Seine"))
    assert [path.text(graph) for path in paths] == [
        "France -[capital]-> Paris <-[flows_through]- Seine",
        "France -[city]-> Paris <-[flows_through]- Seine",
        "France -[city]-> Rouen <-[flows_through]- Seine",
    ]
    assert [graph.labels(path.inner()) for path in paths] == [["Paris"], ["Paris"], ["Rouen"]]


@pytest.mark.parametrize(("target", "max_hops"), [("Seine", 2), ("Ocean", 4)])
def test_no_path_within_reach(target: str, max_hops: int) -> None:
    graph = Subgraph.from_triples(CITY)
    assert shortest_paths(graph, graph.resolve("Spain"), graph.resolve(target), max_hops=max_hops) == []


def test_a_bound_reached_before_a_path_says_which() -> None:
    star = [("hub", "r", f"leaf{number:03}") for number in range(200)]
    graph = Subgraph.from_triples(
        [*star, ("leaf000", "s", "end"), ("end", "t", "far"), ("far", "t", "farther")]
    )
    ends = graph.resolve("hub"), graph.resolve("farther")
    assert len(shortest_paths(graph, *ends)) == 1
    with pytest.raises(BoundReached, match="its bound of 50 entities"):
        shortest_paths(graph, *ends, bounds=SearchBounds(max_entities=50))
    with pytest.raises(BoundReached, match="its bound of 2 links") as caught:
        shortest_paths(graph, *ends, bounds=SearchBounds(max_links=2))
    assert caught.value.code == "bound_reached"


def test_a_path_found_before_the_bound_is_given() -> None:
    graph = Subgraph.from_triples([("a", "r", f"b{number}") for number in range(50)])
    (path,) = shortest_paths(
        graph, graph.resolve("a"), graph.resolve("b0"), bounds=SearchBounds(max_entities=2, max_links=1)
    )
    assert path.text(graph) == "a -[r]-> b0"


def test_the_side_with_fewer_entities_is_walked() -> None:
    # From the hub the first hop alone would break the bound of entities; from the other end it does not.
    star = [("hub", "r", f"leaf{number:03}") for number in range(200)]
    graph = Subgraph.from_triples([*star, ("x", "s", "leaf007"), ("x", "s", "y")])
    ends = graph.resolve("hub"), graph.resolve("y")
    (path,) = shortest_paths(graph, *ends, max_hops=3, bounds=SearchBounds(max_entities=300))
    assert path.text(graph) == "hub -[r]-> leaf007 <-[s]- x -[s]-> y"


def test_an_entity_at_both_ends_is_refused() -> None:
    graph = Subgraph.from_triples(CITY)
    with pytest.raises(ValueError, match="share an entity"):
        shortest_paths(graph, [0, 1], [1])
