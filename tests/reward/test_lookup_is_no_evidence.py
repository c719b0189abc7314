"""A guess that is looked up by its name is shown, can be referred to, and is no evidence."""

from __future__ import annotations

from pathlib import Path

import pytest

from kg_r1.kg.store import GraphStore
from kg_r1.llm_agent.generation import GenerationConfig, LLMGenerationManager
from kg_r1.llm_agent.policies import ScriptedPolicy
from kg_r1.llm_agent.question import Question
from kg_r1.llm_agent.tokens import ByteTokenizer
from kg_r1.reward.rubric import Rubric
from kg_r1.search.actions import ACTION_REGISTRY, ActionRegistry
from kg_r1.search.client import InProcessKGClient
from kg_r1.search.optional_actions import enable
from kg_r1.search.server import KnowledgeGraphRetriever


def evidence(tmp_path: Path, *calls: str) -> float:
    """The evidence of an episode that makes these calls and then answers "Paris", which is right."""
    (tmp_path / "toy").mkdir()
    (tmp_path / "toy" / "triples.tsv").write_text("France\tcapital\tParis\n", encoding="utf-8")
    registry = ActionRegistry(ACTION_REGISTRY)
    enable(registry, ["search_entities"])
    tokenizer = ByteTokenizer()
    turns = [f"<think>t</think><search>{call}</search>" for call in calls]
    turns.append("<think>t</think><answer>Paris</answer>")
    config = GenerationConfig(
        max_turns=5, max_start_length=4000, max_prompt_length=16000, entity_form="handle"
    )
    client = InProcessKGClient(KnowledgeGraphRetriever(GraphStore(tmp_path), registry))
    manager = LLMGenerationManager(config, tokenizer, ScriptedPolicy(tokenizer, turns), client, registry)
    ((episode, _),) = manager.run_llm_loop([Question("q", "Capital of France?", (), (("Paris",),), "toy")])
    assert all(turn.has_succeeded for turn in episode.turns[:-1])
    assert "#1: " in (episode.turns[0].observation or "")
    metrics = Rubric().score(episode).metrics
    assert metrics["em"] == 1.0
    assert metrics["evidence"] == metrics["coverage"]
    return metrics["evidence"]


@pytest.mark.parametrize("guess", ["Paris", "pariss", "Par", "PARIS!"])
def test_a_guess_looked_up_earns_nothing(tmp_path: Path, guess: str) -> None:
    assert evidence(tmp_path, f'search_entities("{guess}")') == 0.0


def test_a_search_from_what_was_looked_up_earns_as_any(tmp_path: Path) -> None:
    assert evidence(tmp_path, 'search_entities("Frnace")', 'get_tail_entities("#1", "capital")') == 1.0
