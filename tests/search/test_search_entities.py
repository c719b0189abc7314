"""`search_entities` over a small graph, and on MetaQA's 43,000 names."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from kg_r1.kg import name_search
from kg_r1.kg.store import GraphStore
from kg_r1.search.actions import ActionRegistry
from kg_r1.search.optional_actions import enable
from kg_r1.search.server import KnowledgeGraphRetriever


@pytest.fixture
def searching(retriever: KnowledgeGraphRetriever, registry: ActionRegistry) -> KnowledgeGraphRetriever:
    enable(registry, ["search_entities"])
    return retriever


def search(retriever: KnowledgeGraphRetriever, query: Any, **fields: Any) -> dict[str, Any]:
    request = {"action_type": "search_entities", "dataset_name": "world", "query": query, **fields}
    (result,) = retriever.retrieve(request)["results"]
    return result


@pytest.mark.parametrize(
    ("query", "entities"),
    [
        ("France", ["France", "French"]),
        ("frnace", ["France", "French"]),
        ("MADRID", ["Madrid"]),
        ("Paris", ["Paris [q2]", "Paris [q4]", "Spain"]),
        ("Paris [q4]", ["Paris [q4]", "Paris [q2]"]),
        ("q8", ["Madrid"]),
        ("Fr", ["France", "French"]),
    ],
)
def test_what_is_found(searching: KnowledgeGraphRetriever, query: str, entities: list[str]) -> None:
    assert search(searching, query) == {"name_matches": entities}


@pytest.mark.parametrize("count", [1, "1", " 1 "])
def test_a_number_may_be_written_as_text(searching: KnowledgeGraphRetriever, count: Any) -> None:
    assert search(searching, "Paris", max_results=count) == {"name_matches": ["Paris [q2]"]}


@pytest.mark.parametrize(
    ("query", "fields", "code", "words"),
    [
        ("Quetzalcoatl", {}, "no_results", "no entity is called anything like 'Quetzalcoatl'"),
        ("  ", {}, "invalid_field", "field 'query' is empty"),
        (7, {}, "invalid_field", "field 'query' must be text"),
        (["France"], {}, "invalid_field", "field 'query' must be text"),
        (None, {}, "missing_field", "field 'query' is missing"),
        ("x" * 201, {}, "invalid_field", "field 'query' has 201 characters"),
        ("France", {"max_results": 0}, "invalid_field", "It takes a whole number from 1 to 20"),
        ("France", {"max_results": 21}, "invalid_field", "'max_results' is '21'"),
        ("France", {"max_results": "many"}, "invalid_field", "whole number"),
        ("France", {"max_results": True}, "invalid_field", "whole number"),
        ("France", {"max_results": 2.0}, "invalid_field", "whole number"),
        ("France", {"max_results": "9" * 5000}, "invalid_field", "whole number"),
        ("France", {"dataset_name": "mars"}, "unknown_dataset", "'mars'"),
    ],
)
def test_errors_are_typed(
    searching: KnowledgeGraphRetriever, query: Any, fields: dict[str, Any], code: str, words: str
) -> None:
    result = search(searching, query, **fields)
    assert result["code"] == code
    assert words in result["error"]


def test_a_graph_too_large_still_knows_exact_names(
    searching: KnowledgeGraphRetriever, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(name_search, "MAX_NAMES", 3)
    assert search(searching, "france") == {"name_matches": ["France"]}
    assert search(searching, "frnace")["code"] == "too_many_names"


def test_what_a_cleared_cache_reads_anew_is_searched_anew(searching: KnowledgeGraphRetriever) -> None:
    assert search(searching, "Lisbon")["code"] == "no_results"
    folder = searching.store.base_data_path / "world"
    with (folder / "triples.tsv").open("a", encoding="utf-8") as file:
        file.write("Portugal\tcapital\tLisbon\n")
    assert search(searching, "Lisbon")["code"] == "no_results"
    searching.store.clear_cache()
    assert search(searching, "Lisbon") == {"name_matches": ["Lisbon"]}


def test_a_graph_of_a_sample(searching: KnowledgeGraphRetriever) -> None:
    assert search(searching, "autor", dataset_name="webqsp", sample_id="s1") == {"name_matches": ["author"]}


@pytest.mark.shared_data
def test_slips_in_real_names_are_found(shared_data: Path, tmp_path: Path, registry: ActionRegistry) -> None:
    """A letter dropped from 150 of MetaQA's names of eight letters and more: nine of ten are among five."""
    enable(registry, ["search_entities"])
    retriever = KnowledgeGraphRetriever(GraphStore(shared_data, cache_path=tmp_path), registry)
    graph = retriever.graph("metaqa")
    long_names = sorted(
        name
        for name in graph.labels(range(graph.num_entities))
        if len(name) >= 8 and not any(map(str.isdigit, name))
    )
    rng = random.Random(7)
    num_found = 0
    for name in rng.sample(long_names, 150):
        at = rng.randrange(1, len(name) - 1)
        result = search(retriever, name[:at] + name[at + 1 :], dataset_name="metaqa")
        num_found += name in result.get("name_matches", [])
    assert num_found >= 135
