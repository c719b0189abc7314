"""Subgraph: what it counts, whom a name means, what stands at either end of a relation."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kg_r1.kg.graph import Subgraph, Triple

TRIPLES: list[Triple] = [
    ("q1", "capital", "q2"),
    ("q1", "borders", "q3"),
    ("q3", "borders", "q1"),
    ("q4", "located_in", "q5"),
    ("q2", "located_in", "q1"),
    ("q2", "located_in", "q1"),
    ("q1", "borders", "q6"),
]
NAMES = {
    "q1": "France",
    "q2": "Paris",
    "q3": "Spain",
    "q4": "Paris",
    "q5": "Texas",
    "q6": "Andorra",
    "q9": "Nobody",
}


@pytest.fixture
def graph() -> Subgraph:
    return Subgraph.from_triples(TRIPLES, NAMES)


def index_of(graph: Subgraph, entity_id: str) -> int:
    (index,) = graph.resolve(entity_id)
    return index


def test_duplicate_triples_count_once(graph: Subgraph) -> None:
    assert (graph.num_entities, graph.num_relations, graph.num_triples) == (6, 3, 6)


def test_triples_are_sorted_and_distinct(graph: Subgraph) -> None:
    assert list(graph.triples()) == sorted(set(TRIPLES))


def test_labelled_triples_show_labels_and_are_the_callers_own(graph: Subgraph) -> None:
    labelled = graph.labelled_triples()
    assert ("Paris [q2]", "located_in", "France") in labelled
    assert ("France", "capital", "Paris [q2]") in labelled
    labelled.clear()
    assert len(graph.labelled_triples()) == 6


def test_a_label_is_the_name_unless_it_is_shared(graph: Subgraph) -> None:
    labels = {graph.entity_id(i): graph.label(i) for i in range(graph.num_entities)}
    assert labels == {
        "q1": "France",
        "q2": "Paris [q2]",
        "q3": "Spain",
        "q4": "Paris [q4]",
        "q5": "Texas",
        "q6": "Andorra",
    }
    assert [graph.name(i) for i in graph.resolve("Paris")] == ["Paris", "Paris"]


def test_relations_and_neighbours_run_both_ways(graph: Subgraph) -> None:
    france = index_of(graph, "q1")
    assert graph.tail_relations(france) == ["borders", "capital"]
    assert graph.head_relations(france) == ["borders", "located_in"]
    # Sorted by label (Andorra before Spain), not by id (q3 before q6).
    assert graph.labels(graph.tails(france, "borders")) == ["Andorra", "Spain"]
    assert graph.labels(graph.heads(france, "borders")) == ["Spain"]
    assert graph.labels(graph.heads(france, "located_in")) == ["Paris [q2]"]
    assert graph.relations() == ["borders", "capital", "located_in"]


def test_relations_are_exact(graph: Subgraph) -> None:
    assert graph.has_relation("capital")
    assert not graph.has_relation("Capital")
    assert graph.tails(index_of(graph, "q1"), "Capital") == []
    assert graph.heads(index_of(graph, "q1"), "capital") == []


def test_a_list_handed_out_is_the_callers_own(graph: Subgraph) -> None:
    france = index_of(graph, "q1")
    graph.tails(france, "borders").clear()
    graph.resolve("Paris").clear()
    assert len(graph.tails(france, "borders")) == 2
    assert len(graph.resolve("Paris")) == 2


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("q1", ["q1"]),
        ("France", ["q1"]),
        ("  fRANCE ", ["q1"]),
        ("Paris", ["q2", "q4"]),
        ("PARIS", ["q2", "q4"]),
        ("Paris [q4]", ["q4"]),
        ("paris [q4]", ["q4"]),
        ("Q5", ["q5"]),
        ("Lyon", []),
        ("", []),
        ("Nobody", []),
        ("q9", []),
    ],
)
def test_resolve(graph: Subgraph, text: str, ids: list[str]) -> None:
    assert [graph.entity_id(i) for i in graph.resolve(text)] == ids


def test_an_exact_spelling_wins_over_case_folding() -> None:
    graph = Subgraph.from_triples([("Heat", "tag", "heat")])
    assert graph.labels(graph.resolve("Heat")) == ["Heat"]
    assert graph.labels(graph.resolve("heat")) == ["heat"]
    assert graph.labels(graph.resolve("HEAT")) == ["Heat", "heat"]


def test_an_id_wins_over_a_name_and_labels_stay_apart() -> None:
    graph = Subgraph.from_triples([("x", "r", "y"), ("z", "r", "y")], {"y": "x", "z": "y"})
    assert [graph.entity_id(i) for i in graph.resolve("x")] == ["x"]
    assert [graph.entity_id(i) for i in graph.resolve("y")] == ["y"]
    assert [graph.label(i) for i in range(3)] == ["x", "x [y]", "y [z]"]


def test_a_label_never_equals_another_entitys_id() -> None:
    triples = [("a", "r", "b"), ("N [a]", "r", "b"), ("N [b] [b]", "r", "b")]
    graph = Subgraph.from_triples(triples, {"a": "N", "b": "N"})
    labels = {graph.entity_id(i): graph.label(i) for i in range(4)}
    assert labels == {"N [a]": "N [a]", "N [b] [b]": "N [b] [b]", "a": "N [a] [a]", "b": "N [b]"}


def test_composed_and_decomposed_spellings_are_one() -> None:
    graph = Subgraph.from_triples([("São Paulo", "in", "Brazil")])
    assert len(graph.resolve(unicodedata.normalize("NFD", "São Paulo"))) == 1


def test_the_order_of_triples_does_not_matter() -> None:
    forwards, backwards = Subgraph.from_triples(TRIPLES, NAMES), Subgraph.from_triples(TRIPLES[::-1], NAMES)
    assert [forwards.label(i) for i in range(6)] == [backwards.label(i) for i in range(6)]
    assert list(forwards.triples()) == list(backwards.triples())


def test_close_labels() -> None:
    names = ["Sophie Marceau", "Sophia Loren", "Marcel Marceau", "Harrison Ford", "France"]
    graph = Subgraph.from_triples([(name, "is", "person") for name in names])
    assert graph.close_labels("Sophia Marceau")[0] == "Sophie Marceau"
    assert graph.close_labels("Frnace") == ["France"]
    assert graph.close_labels("Sophia Marceau", max_labels=1) == ["Sophie Marceau"]
    assert graph.close_labels("xyzzy") == []
    assert graph.close_labels("") == []
    assert graph.close_labels("\ud800\x00" * 100_000) == []


def test_an_empty_graph_answers() -> None:
    graph = Subgraph.from_triples([])
    assert (graph.num_entities, graph.num_relations, graph.num_triples) == (0, 0, 0)
    assert graph.resolve("x") == []
    assert graph.close_labels("x") == []


SPELLINGS = st.text(alphabet="aAbéß [] ", min_size=1, max_size=4).filter(lambda text: text.strip() != "")
TRIPLE_LISTS = st.lists(st.tuples(SPELLINGS, st.sampled_from(["r", "s"]), SPELLINGS), max_size=12)


@given(triples=TRIPLE_LISTS, names=st.dictionaries(SPELLINGS, SPELLINGS, max_size=6))
def test_both_adjacencies_agree_with_a_scan(triples: list[Triple], names: dict[str, str]) -> None:
    graph = Subgraph.from_triples(triples, names)
    ids = [graph.entity_id(index) for index in range(graph.num_entities)]
    assert ids == sorted({end for head, _, tail in triples for end in (head, tail)})
    assert list(graph.triples()) == sorted(set(triples))
    for index, entity in enumerate(ids):
        assert graph.tail_relations(index) == sorted({r for h, r, _ in triples if h == entity})
        assert graph.head_relations(index) == sorted({r for _, r, t in triples if t == entity})
        for relation in ("r", "s", "absent"):
            tails = {t for h, r, t in triples if (h, r) == (entity, relation)}
            heads = {h for h, r, t in triples if (r, t) == (relation, entity)}
            assert {ids[end] for end in graph.tails(index, relation)} == tails
            assert {ids[end] for end in graph.heads(index, relation)} == heads
            labels = graph.labels(graph.tails(index, relation))
            assert labels == sorted(labels)


@given(triples=TRIPLE_LISTS, names=st.dictionaries(SPELLINGS, SPELLINGS, max_size=8))
def test_a_label_leads_back_to_its_entity(triples: list[Triple], names: dict[str, str]) -> None:
    graph = Subgraph.from_triples(triples, names)
    for index in range(graph.num_entities):
        assert graph.resolve(graph.label(index)) == [index]
        assert graph.resolve(graph.entity_id(index)) == [index]
        assert index in graph.resolve(graph.name(index)) or graph.resolve(graph.name(index)) == [
            i for i in range(graph.num_entities) if graph.entity_id(i) == graph.name(index)
        ]
