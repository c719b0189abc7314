"""No text of a request becomes part of a query: whatever it holds, the query has the same tokens."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from pyoxigraph import Literal, NamedNode, Store

from kg_r1.kg.graph import Subgraph
from kg_r1.kg.sparql import SparqlGraph
from kg_r1.kg.sparql_config import IriSettings, SparqlSettings
from kg_r1.kg.sparql_queries import Queries
from kg_r1.kg.sparql_terms import IriNames, Terms, askable, bracketed
from kg_r1.kg.store import GraphStore
from kg_r1.search.retriever import KnowledgeGraphRetriever
from tests.kg.sparql_endpoint import Endpoint, running_endpoint

HOSTILE = {
    "double quote": 'a" . ?s ?p ?o',
    "single quote": "a' . ?s ?p ?o",
    "three quotes": 'a""" ?s ?p ?o """',
    "newline": "a\nDROP ALL",
    "carriage return": "a\r\n} DROP ALL #",
    "backslash": 'a\\" } UNION { ?s ?p ?o } #',
    "two backslashes": 'a\\\\" . ?s ?p ?o',
    "unicode escape": "a\\u0022 . ?s ?p ?o",
    "end of an iri": "a> } ; DROP ALL ; SELECT * { <b",
    "iri with spaces": "http://example.org/a b c",
    "iri with angles": "http://example.org/<a>",
    "iri with braces": "http://example.org/{a}|`^",
    "iri with escape": "http://example.org/\\u003E\\u007D",
    "iri with half an escape": "http://example.org/%zz",
    "variable": "?s",
    "comment": "# a",
    "control characters": "a\x01\x08\x1b\x7fb",
    "right to left": "\u202e\u2066evil\u2069",
    "line separator": "a\u2028b\u2029c\x85d",
    "no character": "\ufffe\uffff",
    "beyond the plane": "\U0001f600\U000e0001",
    "in brackets": 'a [b" ] } #]',
    "many brackets": "a" + " [b" * 50 + "]",
    "regex": "(a+)+$",
    "format": "{0} %s {name}",
}
NEVER_ASKED = {
    "nul": "a\0b",
    "lone surrogate": "a\ud800b",
    "reversed pair": "\udc00\ud800",
    "100,000 characters": "x" * 100_000,
    "100,000 quotes": '"' * 100_000,
    "nothing": "",
    "blank": " \t\n",
}
# The tokens of SPARQL 1.1 that hold a text or an IRI, written from its grammar and not with our library.
STRING = r'"(?:[^"\\\n\r]|\\[tbnrf\\"\'])*"' r"|'(?:[^'\\\n\r]|\\[tbnrf\\\"'])*'"
TOKEN = re.compile(rf'(?P<string>{STRING})|(?P<iri><[^<>"{{}}|^`\\\x00-\x20]*>)|(?P<other>\S)')
ESCAPE = re.compile(r"\\\\|\\u([0-9A-Fa-f]{4})|\\U([0-9A-Fa-f]{8})")


def shape(query: str) -> list[str]:
    """The query, every string and IRI replaced by its kind; SPARQL reads \\u escapes before tokens."""

    def character(found: re.Match[str]) -> str:
        digits = found.group(1) or found.group(2)
        return chr(int(digits, 16)) if digits else found.group()  # or a backslash that is escaped itself

    read = ESCAPE.sub(character, query)
    return [
        "string" if found.lastgroup == "string" else "iri" if found.lastgroup == "iri" else found.group()
        for found in TOKEN.finditer(read)
    ]


@pytest.fixture(scope="module")
def endpoint() -> Iterator[Endpoint]:
    with running_endpoint() as started:
        yield started


@pytest.fixture
def graph(endpoint: Endpoint, tmp_path: Path) -> SparqlGraph:
    here = Subgraph.from_triples([("a", "r", "b"), ("b", "r", "c")], {"a": "Name"})
    return endpoint.publish("small", here, tmp_path / "kg" / "small", max_indexed_names=0)


@pytest.mark.parametrize("escape", ["none", "percent"])
@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_the_shape_of_a_query_is_that_of_a_harmless_name(text: str, escape: str) -> None:
    settings = SparqlSettings.model_validate(
        {
            "endpoint": "http://127.0.0.1:1/",
            "entities": {"prefix": "http://e.org/", "escape": escape},
            "relations": {"prefix": "http://r.org/", "escape": escape},
        }
    )
    terms, queries = Terms(settings), Queries(settings)

    def all_queries(name: str, term: NamedNode | Literal, iri: NamedNode) -> list[str]:
        labels = terms.labels_of(name)
        return [
            queries.meanings([term], labels, 10),
            queries.census([term], labels),
            queries.names([term], 10),
            queries.relations_of([term], "heads", 10),
            queries.folded([name.lower()], [name.upper()], 10),
            queries.has_relation([iri]),
            queries.neighbours([term], "tails", [iri], 10),
        ]

    # A text that is no IRI has fewer terms than one that is; each of them is put where it may stand.
    harmless_iri, harmless_texts = NamedNode("http://e.org/x"), terms.labels_of("x")
    pairs = [(iri, harmless_iri) for iri in terms.entities.iris_of(text)]
    pairs += list(zip(terms.labels_of(text), harmless_texts, strict=True))
    relations = terms.iris_of_relation(text) or [NamedNode("http://r.org/r")]
    for mine, harmless in pairs:
        for relation in relations:
            hostile = all_queries(text, mine, relation)
            plain = all_queries("x", harmless, NamedNode("http://r.org/x"))
            for query, like in zip(hostile, plain, strict=True):
                Store().query(query)  # a parser of its own reads it: no SyntaxError
                assert shape(query) == shape(like)


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_name_is_an_unknown_entity(
    endpoint: Endpoint, graph: SparqlGraph, tmp_path: Path, text: str
) -> None:
    retriever = KnowledgeGraphRetriever(GraphStore(tmp_path / "kg"))
    request = {"action_type": "get_tail_entities", "dataset_name": "small", "relation": "r"}
    (result,) = retriever.retrieve({**request, "entity_id": text})["results"]
    assert result["code"] == "unknown_entity", result
    (mixed,) = retriever.retrieve({**request, "entity_id": [text, "a"]})["results"]
    assert mixed["unknown_entities"] == [text]
    (other,) = retriever.retrieve({**request, "entity_id": "a", "relation": text})["results"]
    assert other["code"] == "unknown_relation", other
    assert list(graph.triples()) == [("a", "r", "b"), ("b", "r", "c")]  # nothing was dropped


@pytest.mark.parametrize("text", NEVER_ASKED.values(), ids=NEVER_ASKED.keys())
def test_what_can_be_no_name_is_not_asked_about(graph: SparqlGraph, text: str) -> None:
    assert not askable(text)
    num_queries = graph.client.num_queries
    assert graph.resolve(text) == []
    assert not graph.has_relation(text)
    (entity,) = graph.resolve("a")
    assert graph.tails(entity, text) == []
    assert graph.client.num_queries == num_queries + 1  # that of 'a'


@pytest.mark.parametrize("text", [*HOSTILE.values(), "plain", "é", "a/b?c#d", "%41", "100%", "a:b"])
def test_every_text_has_an_iri_of_its_own_and_comes_back(text: str) -> None:
    names = IriNames(IriSettings(prefix="http://e.org/", escape="percent"))
    (iri, *_) = names.iris_of(text)
    assert names.name_of(iri.value) == text
    assert iri.value.startswith("http://e.org/")


def test_an_iri_that_percent_escapes_otherwise_is_called_by_its_whole_iri() -> None:
    names = IriNames(IriSettings(prefix="http://e.org/", escape="percent"))
    for iri in ("http://e.org/%c3%a9", "http://e.org/a(b)", "http://e.org/%41", "http://e.org/%FF"):
        assert names.name_of(iri) == iri
        assert iri in [one.value for one in names.iris_of(iri)]
    assert names.name_of("http://e.org/") == "http://e.org/"


def test_what_brackets_may_hold() -> None:
    assert bracketed("Paris [q2]") == ["q2"]
    assert bracketed("A [b] [c [d]") == ["d", "c [d", "b] [c [d"]
    assert bracketed("Paris") == bracketed("[q2]") == bracketed(" [q2]") == []
    assert len(bracketed("a" + " [b" * 1000 + "]")) == 8
