"""A graph behind a real endpoint says what the same graph in memory says."""

from __future__ import annotations

import random
import threading
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kg_r1.kg.errors import DataError
from kg_r1.kg.graph import Subgraph
from kg_r1.kg.knowledge_graph import KnowledgeGraph
from kg_r1.kg.sparql import SparqlGraph, TooManyResults
from tests.kg.sparql_endpoint import Endpoint, opened, running_endpoint

ODD_TRIPLES = [
    ("q1", "capital", "q2"),
    ("q3", "capital", "q4"),
    ("q4", "located in", "q3"),
    ("q1", "borders", "q5"),
    ("q5", "borders", "q1"),
    ("q1", "borders", "q1"),
    ("q6", "type.of\\thing", 'a "quoted" id'),
    ("100% pure/#?&", "borders", "line\nend"),
    ("q7", "é|ü", "q8"),
    ("q9", "capital", "Paris"),
    ("q10", "capital", "q11"),
    ("urn:x:y", "http://example.org/full", "http://example.org/kg/entity/q1"),
    ("STRASSE", "borders", "\u202eright to left"),
    ("q12", "capital", "q13"),
    ("q14", "capital", "q15"),
]
ODD_NAMES = {
    "q1": "Paris",
    "q2": "Paris",
    "q3": "France",
    "q4": "q5",  # a name that is somebody's id
    "q5": "Nice",
    "q6": "Nice [q5]",
    "q7": "Écluse",
    "q8": 'o\'Neil \\ "x"',
    "q9": "straße",
    "q10": "Twin",
    "q11": "Twin",
    "q12": "Twin [q10]",  # what the label of q10 would be
    "q13": "Twin [q10] [q10]",  # and what would come next
    "q14": "two  spaces",
    "q15": "Name [with] brackets]",
    "unused": "France",  # no triple has it
}
SETTINGS: list[dict[str, Any]] = [{}, {"max_indexed_names": 0}, {"method": "GET", "max_values": 3}]


@pytest.fixture(scope="module")
def endpoint() -> Iterator[Endpoint]:
    with running_endpoint() as started:
        yield started


@pytest.fixture(scope="module")
def odd() -> Subgraph:
    return Subgraph.from_triples(ODD_TRIPLES, ODD_NAMES)


def ids(graph: KnowledgeGraph, entities: list[int]) -> list[str]:
    return [graph.entity_id(entity) for entity in entities]


def assert_same(there: SparqlGraph, here: Subgraph) -> None:
    """Everything that can be asked, of every entity."""
    assert list(there.triples()) == list(here.triples())
    assert there.labelled_triples() == here.labelled_triples()
    counts = (there.num_entities, there.num_relations, there.num_triples)
    assert counts == (here.num_entities, here.num_relations, here.num_triples)
    assert there.relations() == here.relations()
    for index in range(here.num_entities):
        name = here.entity_id(index)
        (entity,) = there.resolve(name)
        assert there.entity_id(entity) == name
        assert (there.name(entity), there.label(entity)) == (here.name(index), here.label(index))
        assert there.tail_relations(entity) == here.tail_relations(index)
        assert there.head_relations(entity) == here.head_relations(index)
        for relation in here.relations():
            assert ids(there, there.tails(entity, relation)) == ids(here, here.tails(index, relation))
            assert ids(there, there.heads(entity, relation)) == ids(here, here.heads(index, relation))
        for text in (here.label(index), here.name(index), name.upper(), here.label(index).swapcase()):
            assert ids(there, there.resolve(text)) == ids(here, here.resolve(text)), text


@pytest.mark.parametrize("settings", SETTINGS, ids=["index", "scan", "get, small queries"])
def test_odd_names(endpoint: Endpoint, odd: Subgraph, tmp_path: Path, settings: dict[str, Any]) -> None:
    assert_same(endpoint.publish("odd", odd, tmp_path, **settings), odd)


@pytest.mark.parametrize("seed", range(6))
def test_random_graphs(endpoint: Endpoint, tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    words = ["a", "A", "b", "B c", "a [b]", "é", "É", "x_y"]
    entities = [f"{rng.choice(words)}{rng.choice(['', ' [a]', '2', ' [b]'])}" for _ in range(12)]
    triples = [(rng.choice(entities), rng.choice("rst"), rng.choice(entities)) for _ in range(20)]
    names = {one: rng.choice([*words, *entities]) for one in entities[:8]}
    graph = Subgraph.from_triples(triples, names)
    assert_same(endpoint.publish(f"random{seed}", graph, tmp_path), graph)


def test_the_scan_of_the_endpoint_folds_case_as_far_as_it_can(
    endpoint: Endpoint, odd: Subgraph, tmp_path: Path
) -> None:
    there = endpoint.publish("odd", odd, tmp_path, max_indexed_names=0)
    composed = unicodedata.normalize("NFD", "écluse")
    for text in (
        "  paris ",
        "ÉCLUSE",
        composed,
        "STRASSE",
        "strasse",
        "nice [Q5]",
        "TWO  SPACES",
        "PARIS [Q2]",
    ):
        assert ids(there, there.resolve(text)) == ids(odd, odd.resolve(text)), text


def test_what_each_case_folding_finds(endpoint: Endpoint, odd: Subgraph, tmp_path: Path) -> None:
    def found(text: str, case_folding: str) -> list[str]:
        there = endpoint.publish(
            "odd", odd, tmp_path / case_folding, max_indexed_names=0, case_folding=case_folding
        )
        return ids(there, there.resolve(text))

    assert [found("fRANCE", how) for how in ("scan", "variants", "off")] == [["q3"], ["q3"], []]
    assert [found('O\'NEIL \\ "X"', how) for how in ("scan", "variants", "off")] == [["q8"], [], []]


def test_suggestions_are_those_of_the_graph_in_memory(
    endpoint: Endpoint, odd: Subgraph, tmp_path: Path
) -> None:
    there = endpoint.publish("odd", odd, tmp_path / "index")
    for text in ("Frnace", "Pariss", "Twins", "nobody at all"):
        assert there.close_labels(text) == odd.close_labels(text)
    none = endpoint.publish("odd", odd, tmp_path / "none", max_indexed_names=odd.num_entities - 1)
    assert none.close_labels("Frnace") == []


def test_asking_about_many_costs_as_much_as_about_two(endpoint: Endpoint, tmp_path: Path) -> None:
    triples = [(f"e{n:03}", "r", f"t{n + k:03}") for n in range(100) for k in range(3)]
    names_of_tails = {f"t{n:03}": "same" if n < 9 else f"T {n}" for n in range(103)}
    here = Subgraph.from_triples(triples, names_of_tails)

    def num_queries(num_entities: int) -> tuple[int, int]:
        there = endpoint.publish("many", here, tmp_path / str(num_entities))
        names = [f"e{n:03}" for n in range(num_entities)]
        there.prefetch_names(names)
        entities = [there.resolve(name)[0] for name in names]
        there.prefetch(entities, "tails", "r")
        there.prefetch(entities, "tails")
        there.prefetch(entities, "heads")
        prefetched = there.client.num_queries
        found = [there.labels(there.tails(one, "r")) for one in entities]
        assert found == [here.labels(here.tails(here.resolve(name)[0], "r")) for name in names]
        assert [there.tail_relations(one) for one in entities] == [["r"]] * num_entities
        assert [there.head_relations(one) for one in entities] == [[]] * num_entities
        return prefetched, there.client.num_queries - prefetched

    # Meanings, neighbours, how often names are used, whether 'same [t000]' is free, relations twice.
    assert num_queries(2) == num_queries(100) == (6, 0)


def test_answers_are_kept_until_the_bound(endpoint: Endpoint, odd: Subgraph, tmp_path: Path) -> None:
    there = endpoint.publish("odd", odd, tmp_path / "large")
    (paris,) = there.resolve("q1")
    first = (there.tails(paris, "borders"), there.tail_relations(paris), there.has_relation("borders"))
    num_queries = there.client.num_queries
    assert (
        there.tails(paris, "borders"),
        there.tail_relations(paris),
        there.has_relation("borders"),
    ) == first
    assert there.client.num_queries == num_queries

    small = endpoint.publish("odd", odd, tmp_path / "small", max_cached_items=4)
    for _ in range(2):
        for index in range(odd.num_entities):
            (entity,) = small.resolve(odd.entity_id(index))
            wanted = odd.labels(odd.tails(index, "borders"))
            assert small.labels(small.tails(entity, "borders")) == wanted
            assert len(small._cache) <= 4


def test_an_answer_is_whole_or_an_error(endpoint: Endpoint, tmp_path: Path) -> None:
    here = Subgraph.from_triples([(f"h{n}", "r", f"t{n % 3}") for n in range(24)])
    there = endpoint.publish("wide", here, tmp_path / "rows", max_rows=8)
    entities = [there.resolve(f"t{n}")[0] for n in range(3)]
    there.prefetch(entities, "heads", "r")  # 24 rows in all, split until each query has 8
    assert [len(there.heads(entity, "r")) for entity in entities] == [8, 8, 8]
    assert list(there.triples()) == list(here.triples())  # pages of 8
    narrow = endpoint.publish("wide", here, tmp_path / "narrow", max_rows=7)
    with pytest.raises(TooManyResults, match=r"more than 7 neighbours by 'r' for 't0'.*max_rows"):
        narrow.heads(narrow.resolve("t0")[0], "r")
    few = endpoint.publish("wide", here, tmp_path / "few", max_triples=23, max_rows=10)
    with pytest.raises(TooManyResults, match="max_triples"):
        list(few.triples())
    bytes_ = endpoint.publish("wide", here, tmp_path / "bytes", max_reply_bytes=1000)
    with pytest.raises(TooManyResults, match="more than 1000 bytes"):
        list(bytes_.triples())


def test_many_threads(endpoint: Endpoint, odd: Subgraph, tmp_path: Path) -> None:
    there = endpoint.publish("odd", odd, tmp_path, max_cached_items=20)
    wrong: list[str] = []

    def ask(seed: int) -> None:
        rng = random.Random(seed)
        for _ in range(25):
            index, relation = rng.randrange(odd.num_entities), rng.choice(odd.relations())
            (entity,) = there.resolve(odd.entity_id(index))
            for mine, theirs in ((there.tails, odd.tails), (there.heads, odd.heads)):
                if there.labels(mine(entity, relation)) != odd.labels(theirs(index, relation)):
                    wrong.append(odd.entity_id(index))

    threads = [threading.Thread(target=ask, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert len(set(there._ids)) == len(there._ids) <= odd.num_entities


TURTLE = """
@prefix : <http://e.org/> . @prefix p: <http://p.org/> . @prefix o: <http://other.org/> .
@prefix rdfs: <http://www.w3.org/2000/01/rdf-schema#> .
@prefix xsd: <http://www.w3.org/2001/XMLSchema#> .
:Q1 rdfs:label "France"@en, "Frankreich"@de, "Gallia"@mul ; p:population 68 ;
  p:founded "0843-08-10"^^xsd:date ;
  p:motto "Liberté"@fr, "Liberty"@en ; p:knows [ p:name "nobody" ] ; p:page <http://page.org/France> ;
  p:area "1"^^<http://units.org/km2> ; o:secret :Q2 ; p:left :Q2 ; p:next :Q2 ; p:note "Q2" .
:Q2 rdfs:label "Spain"@mul, "Spanien"@de ; p:population "68" ; p:flag true ; p:empty " " .
:Q3 rdfs:label "Leer"@de ; p:next :Q1 .
"""


def test_literals_languages_and_what_counts(endpoint: Endpoint, tmp_path: Path) -> None:
    there = opened(
        tmp_path,
        endpoint=endpoint.query_address,
        graph=endpoint.load("turtle", TURTLE, "text/turtle"),
        entities={"prefix": "http://e.org/"},
        relations={
            "prefix": "http://p.org/",
            "within": ["http://p.org/"],
            "leave_out": ["http://p.org/left"],
        },
        labels={"languages": ["en", "mul"]},
        literals={"languages": ["en"]},
    )
    names = ("France", "Spain", "Gallia", "Leer", "Q3")
    labels = [there.labels(there.resolve(name)) for name in names]
    assert labels == [["France"], ["Spain"], ["France"], [], ["Q3"]]
    (france,) = there.resolve("Q1")
    tails = {one: there.labels(there.tails(france, one)) for one in there.tail_relations(france)}
    assert tails == {
        "founded": ["0843-08-10"],
        "motto": ["Liberty"],
        "next": ["Spain"],
        "note": ["Spain"],  # the literal Q2 and the entity Q2 have one id, and are one
        "page": ["http://page.org/France"],
        "population": ["68"],
    }
    (number,) = there.resolve("68")  # an integer and a text, one entity by their form
    assert there.labels(there.heads(number, "population")) == ["France", "Spain"]
    assert there.head_relations(number) == ["population"]
    assert there.tail_relations(number) == []
    assert [there.labels(there.resolve(one)) for one in ("Liberty", "true", "0843-08-10")] == [
        ["Liberty"],
        ["true"],
        ["0843-08-10"],
    ]
    for nobody in ("Liberté", "nobody", "1", " ", "Q4", "http://other.org/secret"):
        assert there.resolve(nobody) == [], nobody
    assert there.relations() == ["flag", "founded", "motto", "next", "note", "page", "population"]
    assert there.has_relation("next") and not there.has_relation("left")
    assert not there.has_relation("http://other.org/secret")
    assert not there.has_relation("http://www.w3.org/2000/01/rdf-schema#label")
    assert there.num_triples == len(list(there.triples())) == 9


def test_full_iris_serve_as_ids(endpoint: Endpoint, tmp_path: Path) -> None:
    graph = endpoint.load("turtle", TURTLE, "text/turtle")
    there = opened(tmp_path, endpoint=endpoint.query_address, graph=graph, labels={"languages": ["de"]})
    (france,) = there.resolve("Frankreich")
    assert there.entity_id(france) == "http://e.org/Q1"
    assert "http://other.org/secret" in there.tail_relations(france)
    assert there.labels(there.tails(france, "http://other.org/secret")) == ["Spanien"]


def test_an_endpoint_that_refuses_is_named(endpoint: Endpoint, tmp_path: Path) -> None:
    there = opened(tmp_path, endpoint=f"{endpoint.address}/nowhere")
    with pytest.raises(
        DataError, match=r"endpoint http://127\.0\.0\.1:\d+/nowhere answered 404.*sparql\.json"
    ):
        there.resolve("France")
