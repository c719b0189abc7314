"""What each built-in action finds, on a graph that fits on a page (conftest.WORLD_TRIPLES)."""

from __future__ import annotations

from typing import Any

import pytest

from kg_r1.search.server import KnowledgeGraphRetriever


def ask(retriever: KnowledgeGraphRetriever, action: str, entity: Any, **fields: Any) -> dict[str, Any]:
    item = retriever.retrieve({"action_type": action, "dataset_name": "world", "entity_id": entity, **fields})
    (result,) = item["results"]
    num_items = sum(len(v) for k, v in result.items() if k not in ("matched_entities", "unknown_entities"))
    assert item["total_results"] == (0 if "error" in result else num_items)
    assert item["query_time"] >= 0
    return result


@pytest.mark.parametrize(
    ("action", "entity", "fields", "result"),
    [
        (
            "get_relations",
            "France",
            {},
            {"relations": ["borders", "capital", "language.official", "located_in", "type"]},
        ),
        ("get_relations", "Madrid", {}, {"relations": ["capital", "located_in"]}),
        (
            "get_tail_relations",
            "France",
            {},
            {"tail_relations": ["borders", "capital", "language.official", "type"]},
        ),
        ("get_head_relations", "France", {}, {"head_relations": ["borders", "located_in"]}),
        ("get_tail_entities", "France", {"relation": "borders"}, {"tail_entities": ["Andorra", "Spain"]}),
        ("get_head_entities", "France", {"relation": "borders"}, {"head_entities": ["Spain"]}),
        ("get_head_entities", "France", {"relation": "located_in"}, {"head_entities": ["Paris [q2]"]}),
        (
            "get_conditional_relations",
            "France",
            {"concept": "OFFICIAL"},
            {"relations": ["language.official"]},
        ),
        ("get_conditional_relations", "France", {"concept": "lang"}, {"relations": ["language.official"]}),
    ],
)
def test_one_entity(
    retriever: KnowledgeGraphRetriever,
    action: str,
    entity: str,
    fields: dict[str, str],
    result: dict[str, Any],
) -> None:
    assert ask(retriever, action, entity, **fields) == result


@pytest.mark.parametrize("spelling", ["q1", "Q1", "France", " france ", ["FRANCE"]])
def test_every_spelling_of_an_entity(retriever: KnowledgeGraphRetriever, spelling: Any) -> None:
    result = ask(retriever, "get_tail_entities", spelling, relation="capital")
    assert result == {"tail_entities": ["Paris [q2]"]}


def test_a_shared_name_means_both_and_says_so(retriever: KnowledgeGraphRetriever) -> None:
    assert ask(retriever, "get_tail_entities", "Paris", relation="located_in") == {
        "tail_entities": ["France", "Texas"],
        "matched_entities": ["Paris [q2]", "Paris [q4]"],
    }
    assert ask(retriever, "get_tail_entities", "Paris [q4]", relation="located_in") == {
        "tail_entities": ["Texas"]
    }


def test_a_list_is_a_union_in_first_seen_order(retriever: KnowledgeGraphRetriever) -> None:
    assert ask(retriever, "get_tail_entities", ["Spain", "France", "Spain"], relation="borders") == {
        "tail_entities": ["France", "Andorra", "Spain"]
    }
    assert ask(retriever, "get_tail_relations", ["Madrid", "France"]) == {
        "tail_relations": ["located_in", "borders", "capital", "language.official", "type"]
    }


def test_unknown_names_of_a_list_are_told_beside_the_others(retriever: KnowledgeGraphRetriever) -> None:
    assert ask(retriever, "get_tail_entities", ["Lyon", "Spain"], relation="capital") == {
        "tail_entities": ["Madrid"],
        "unknown_entities": ["Lyon"],
    }


@pytest.mark.parametrize(
    ("action", "entity", "fields", "code", "words"),
    [
        ("get_tail_entities", "Frnace", {"relation": "capital"}, "unknown_entity", ["'Frnace'", "'France'"]),
        ("get_relations", ["Lyon", "Spian"], {}, "unknown_entity", ["'Lyon', 'Spian'", "'Spain'"]),
        ("get_relations", [], {}, "invalid_field", ["entity_id", "empty list"]),
        (
            "get_tail_entities",
            "Spain",
            {"relation": "Capital"},
            "unknown_relation",
            ["'Capital'", "Tail relations of 'Spain': borders, capital; head relations: borders, located_in"],
        ),
        (
            "get_tail_entities",
            "Spain",
            {"relation": "located_in"},
            "no_results",
            ["no tail entities", "Tail relations: borders, capital", "head relations: borders, located_in"],
        ),
        (
            "get_head_entities",
            "Texas",
            {"relation": "capital"},
            "no_results",
            ["'Texas'", "Tail relations: none", "head relations: located_in"],
        ),
        (
            "get_tail_entities",
            "Texas",
            {"relation": "located_in"},
            "no_results",
            ["'Texas' has no tail entities by 'located_in', but head entities."],
        ),
        (
            "get_relations",
            "capital",
            {},
            "unknown_entity",
            ["unknown entity 'capital'. 'capital' is a relation"],
        ),
        (
            "get_tail_relations",
            "Texas",
            {},
            "no_results",
            ["no tail relations", "Head relations: located_in"],
        ),
        ("get_head_relations", ["Texas"], {}, "ok", []),
        (
            "get_conditional_relations",
            "Spain",
            {"concept": "language"},
            "no_results",
            ["'language'", "Tail relations: borders, capital"],
        ),
        ("get_conditional_relations", "Spain", {"concept": " "}, "invalid_field", ["'concept' is empty"]),
    ],
)
def test_nothing_found_says_what_there_is(
    retriever: KnowledgeGraphRetriever,
    action: str,
    entity: Any,
    fields: dict[str, str],
    code: str,
    words: list[str],
) -> None:
    result = ask(retriever, action, entity, **fields)
    assert result.get("code", "ok") == code
    assert all(word in result.get("error", "") for word in words), result


def test_a_long_list_of_relations_is_cut(retriever: KnowledgeGraphRetriever) -> None:
    folder = retriever.store.base_data_path / "wide"
    folder.mkdir()
    (folder / "kb.txt").write_text("".join(f"a|r{n:03}|b\n" for n in range(300)), encoding="utf-8")
    result = ask(retriever, "get_tail_entities", "a", relation="x", dataset_name="wide")
    assert "r019 (+280 more)" in result["error"]
    assert "r020" not in result["error"]


def test_a_graph_per_sample(retriever: KnowledgeGraphRetriever) -> None:
    fields = {"dataset_name": "webqsp", "sample_id": "s1"}
    assert ask(retriever, "get_tail_entities", "m.1", relation="type", **fields) == {
        "tail_entities": ["author", "person"]
    }
    assert ask(retriever, "get_conditional_relations", "m.1", concept="people", **fields) == {
        "relations": ["people.person.place_of_birth"]
    }
