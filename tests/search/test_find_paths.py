"""`find_paths`: what it gives, what it refuses, and that naming a guess earns nothing."""

from __future__ import annotations

from typing import Any

import pytest

from kg_r1.kg.path_search import SearchBounds
from kg_r1.llm_agent.generation import GenerationConfig, LLMGenerationManager
from kg_r1.llm_agent.policies import ScriptedPolicy
from kg_r1.llm_agent.question import Question
from kg_r1.llm_agent.tokens import ByteTokenizer
from kg_r1.reward.rubric import Rubric
from kg_r1.search.actions import ActionRegistry
from kg_r1.search.actions_paths import FindPathsAction
from kg_r1.search.client import InProcessKGClient
from kg_r1.search.optional_actions import enable
from kg_r1.search.server import KnowledgeGraphRetriever


@pytest.fixture
def finding(retriever: KnowledgeGraphRetriever, registry: ActionRegistry) -> KnowledgeGraphRetriever:
    enable(registry, ["find_paths"])
    return retriever


def find(retriever: KnowledgeGraphRetriever, start: Any, end: Any, **fields: Any) -> dict[str, Any]:
    request = {"action_type": "find_paths", "dataset_name": "world", "entity_id": start, "target_id": end}
    (result,) = retriever.retrieve({**request, **fields})["results"]
    return result


@pytest.mark.parametrize(
    ("start", "end", "result"),
    [
        (
            "France",
            "Madrid",
            {
                "paths": [
                    "France -[borders]-> Spain -[capital]-> Madrid",
                    "France -[borders]-> Spain <-[located_in]- Madrid",
                    "France <-[borders]- Spain -[capital]-> Madrid",
                ],
                "between": ["Spain"],
            },
        ),
        (
            "Paris [q2]",
            "france",
            {"paths": ["Paris [q2] <-[capital]- France", "Paris [q2] -[located_in]-> France"], "between": []},
        ),
        (
            ["Andorra", "Madrid"],
            ["French", "Spain"],
            {
                "paths": ["Madrid <-[capital]- Spain", "Madrid -[located_in]-> Spain"],
                "between": [],
            },
        ),
    ],
)
def test_what_is_found(
    finding: KnowledgeGraphRetriever, start: Any, end: Any, result: dict[str, Any]
) -> None:
    assert find(finding, start, end) == result


def test_bounds_of_a_request(finding: KnowledgeGraphRetriever) -> None:
    assert len(find(finding, "France", "Madrid", max_paths="10")["paths"]) == 4
    assert len(find(finding, "France", "Madrid", max_paths=1)["paths"]) == 1
    short = find(finding, "Andorra", "Madrid", max_hops="2")
    assert (short["code"], "no path of at most 2 relations" in short["error"]) == ("no_results", True)
    assert find(finding, "Andorra", "Madrid")["between"] == ["France", "Spain"]


def test_how_names_were_understood_is_told(finding: KnowledgeGraphRetriever) -> None:
    result = find(finding, "Paris", ["Texas", "Atlantis"])
    assert result["paths"] == ["Paris [q4] -[located_in]-> Texas"]
    assert result["matched_entities"] == ["Paris [q2]", "Paris [q4]"]
    assert result["unknown_entities"] == ["Atlantis"]


@pytest.mark.parametrize(
    ("start", "end", "fields", "code", "words"),
    [
        ("France", "Texas", {}, "no_results", "joins 'France' and 'Texas'"),
        ("France", "Atlantis", {}, "unknown_entity", "'Atlantis'"),
        ("Frnace", "Spain", {}, "unknown_entity", "'France'"),
        ("France", "france", {}, "invalid_field", "both mean 'France'"),
        ("Paris", "Paris [q4]", {}, "invalid_field", "both mean 'Paris [q4]'"),
        ("France", [], {}, "invalid_field", "'target_id' must be a name or a list"),
        ("France", 7, {}, "invalid_field", "'target_id' must be a name or a list"),
        ("France", [7], {}, "invalid_field", "'target_id' must be a name or a list"),
        ("France", None, {}, "missing_field", "'target_id' is missing"),
        ([], "France", {}, "invalid_field", "empty list"),
        ("France", "Spain", {"max_hops": 5}, "invalid_field", "whole number from 1 to 4"),
        ("France", "Spain", {"max_paths": "0"}, "invalid_field", "whole number from 1 to 10"),
    ],
)
def test_errors_are_typed(
    finding: KnowledgeGraphRetriever, start: Any, end: Any, fields: dict[str, Any], code: str, words: str
) -> None:
    result = find(finding, start, end, **fields)
    assert result["code"] == code
    assert words in result["error"]


def test_a_bound_reached_is_a_code_of_its_own(
    finding: KnowledgeGraphRetriever, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FindPathsAction, "bounds", SearchBounds(max_links=1))
    result = find(finding, "Andorra", "Madrid")
    assert result["code"] == "bound_reached"
    assert "its bound of 1 links" in result["error"]


# The target is the guess. "The Beatles" and "beatles!" are other entities that an answer cannot be told from.
TRAPS = """\
Liverpool\thome_of\tThe Beatles
The Beatles\tinspired\tbeatles
beatles\tmember\tJohn
Liverpool\tborn_in\tPaul
Paul\tfriend\tJohn
"""


def play(
    retriever: KnowledgeGraphRetriever, registry: ActionRegistry, call: str, answer: str
) -> dict[str, float]:
    """The metrics of an episode of one search and an answer, which is the gold one."""
    folder = retriever.store.base_data_path / "traps"
    folder.mkdir()
    (folder / "triples.tsv").write_text(TRAPS, encoding="utf-8")
    tokenizer = ByteTokenizer()
    turns = [f"<think>t</think><search>{call}</search>", f"<think>t</think><answer>{answer}</answer>"]
    config = GenerationConfig(max_turns=3, max_start_length=4000, max_prompt_length=16000)
    client = InProcessKGClient(retriever)
    manager = LLMGenerationManager(config, tokenizer, ScriptedPolicy(tokenizer, turns), client, registry)
    ((episode, _),) = manager.run_llm_loop([Question("q", "Who?", ("Liverpool",), ((answer,),), "traps")])
    assert episode.turns[0].has_succeeded
    metrics = Rubric().score(episode).metrics
    assert metrics["em"] == 1.0
    return metrics


@pytest.mark.parametrize(
    ("call", "answer"),
    [
        ('find_paths("Liverpool", "John")', "John"),
        ('find_paths("John", "Liverpool")', "John"),
        ('find_paths("Liverpool", "Paul")', "Paul"),
        ('find_paths("Liverpool", "beatles")', "The Beatles"),
        ('find_paths("Liverpool", ["The Beatles", "Paul", "John"])', "The Beatles"),
        ('find_paths(["Liverpool", "Paul"], "John")', "Paul"),
    ],
)
def test_a_guess_that_is_named_is_no_evidence(
    finding: KnowledgeGraphRetriever, registry: ActionRegistry, call: str, answer: str
) -> None:
    metrics = play(finding, registry, call, answer)
    assert (metrics["evidence"], metrics["coverage"]) == (0.0, 0.0)


def test_who_stands_between_is_evidence(finding: KnowledgeGraphRetriever, registry: ActionRegistry) -> None:
    metrics = play(finding, registry, 'find_paths("Liverpool", "John")', "Paul")
    assert (metrics["evidence"], metrics["coverage"]) == (1.0, 1.0)
