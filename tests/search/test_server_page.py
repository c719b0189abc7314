"""docs/server.md: its examples run, and it knows every code and option."""

from __future__ import annotations

import re

import pytest

from kg_r1.search.actions import ActionRegistry
from kg_r1.search.errors import CODES
from kg_r1.search.kg_retrieval_server import build_parser
from kg_r1.search.server import KnowledgeGraphRetriever
from tests.search.conftest import ROOT

PAGE = (ROOT / "docs" / "server.md").read_text(encoding="utf-8")


def test_every_code_and_option_is_documented() -> None:
    for code in CODES:
        assert f"| `{code}` |" in PAGE
    options = set(re.findall(r"--[a-z_]+", build_parser().format_help())) - {"--help"}
    assert options == set(re.findall(r"^\| `(--[a-z_]+)`", PAGE, flags=re.MULTILINE))


def test_the_actions_of_the_page_work(
    retriever: KnowledgeGraphRetriever, global_registry: ActionRegistry
) -> None:
    retriever = KnowledgeGraphRetriever(retriever.store, global_registry)
    for block in re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL):
        exec(block, {})
    counted = retriever.retrieve(
        {"action_type": "count_relations", "dataset_name": "world", "entity_id": "q3"}
    )
    assert counted["results"] == [{"counts": ["borders: 2", "capital: 1", "located_in: 1"]}]
    request = {"action_type": "triples_of_relation", "dataset_name": "world", "relation": "capital"}
    assert retriever.retrieve({**request, "max_triples": 1})["results"] == [{"triples": ["q1 capital q2"]}]
    assert retriever.retrieve({**request, "max_triples": 0})["results"][0]["code"] == "invalid_field"


@pytest.mark.parametrize("word", ["matched_entities", "unknown_entities"])
def test_the_fields_beside_a_result_are_documented(word: str) -> None:
    assert f"`{word}`" in PAGE
