"""Optional actions: off until enabled, and then in prompt, parser, checks and `/actions` alike."""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from kg_r1.eval.options import check, parser
from kg_r1.llm_agent.episode import Episode, EpisodeStatus
from kg_r1.llm_agent.generation import GenerationConfig, LLMGenerationManager
from kg_r1.llm_agent.policies import ScriptedPolicy
from kg_r1.llm_agent.query import QueryProblem, parse_query
from kg_r1.llm_agent.question import Question
from kg_r1.llm_agent.tokens import ByteTokenizer, decode
from kg_r1.search.actions import ACTION_REGISTRY, ActionHandler, ActionRegistry
from kg_r1.search.client import HttpKGClient, InProcessKGClient, KGClient
from kg_r1.search.errors import UnknownAction
from kg_r1.search.optional_actions import OPTIONAL_ACTIONS, enable, enable_listed
from kg_r1.search.server import KnowledgeGraphRetriever
from tests.search.conftest import ServerProcess
from verl_ext.settings import SearchSettings, SettingsError, check_search

OFFERED = ("search_entities", "find_paths", "get_facts_at", "get_tail_entities")


def test_the_built_in_registry_has_its_six_and_no_more() -> None:
    assert list(ACTION_REGISTRY) == [
        "get_relations",
        "get_head_relations",
        "get_tail_relations",
        "get_head_entities",
        "get_tail_entities",
        "get_conditional_relations",
    ]
    assert not set(OPTIONAL_ACTIONS) & set(ACTION_REGISTRY)


def test_names_are_enabled_once_and_in_order(registry: ActionRegistry) -> None:
    enable(registry, ["find_paths", "get_relations", "find_paths"])
    enable(registry, ["find_paths"])
    enable_listed(registry, " get_facts_at, ,find_paths")
    enable_listed(registry, "")
    assert list(registry)[6:] == ["find_paths", "get_facts_at"]


def test_an_unknown_name_adds_nothing_and_says_what_there_is(registry: ActionRegistry) -> None:
    with pytest.raises(UnknownAction, match="'find_path'") as caught:
        enable(registry, ["search_entities", "find_path"])
    assert all(name in str(caught.value) for name in (*registry, *OPTIONAL_ACTIONS))
    assert len(registry) == 6


def test_what_another_package_brought_stays(registry: ActionRegistry) -> None:
    class OwnPaths(ActionHandler):
        """Finds paths in its own way."""

        def execute(self, sample_id: str, dataset_name: str, **kwargs: Any) -> dict[str, Any]:
            return {"paths": ["mine"]}

    registry.register("find_paths", OwnPaths)
    enable(registry, ["find_paths"])
    assert registry["find_paths"] is OwnPaths


def test_calls_and_checks_follow(retriever: KnowledgeGraphRetriever, registry: ActionRegistry) -> None:
    asked = {"action_type": "find_paths", "dataset_name": "world", "entity_id": "France"}
    assert retriever.retrieve(asked)["results"][0]["code"] == "unknown_action"
    with pytest.raises(QueryProblem, match="there is no action find_paths"):
        parse_query('find_paths("France", "Spain")', registry.specs())
    enable(registry, OPTIONAL_ACTIONS)
    needed = retriever.retrieve(asked)["results"][0]
    assert needed["code"] == "missing_field"
    assert "find_paths needs sample_id, dataset_name, entity_id, target_id" in needed["error"]
    query = parse_query('find_paths("France", ["Spain", "Texas"], max_hops="2")', registry.specs())
    assert query.arguments == {"entity_id": "France", "target_id": ["Spain", "Texas"], "max_hops": "2"}
    for name in OPTIONAL_ACTIONS:
        spec = registry.spec(name)
        assert parse_query(spec.example, registry.specs()).action == name
        assert all(argument.help for argument in spec.arguments)


QUESTION = Question(
    "q1", "Which country joins Andora and the capital Madird?", (), (("France",), ("Spain",)), "world"
)
TURNS = (
    '<think>whom is it about?</think><search>search_entities("Andora", "1")</search>',
    '<think>and the other</think><search>search_entities("Madird", max_results="1")</search>',
    '<think>how are they joined?</think><search>find_paths("#1", "#2")</search>',
    "<think>these two</think><answer>France | Spain</answer>",
)


async def played(client: KGClient, registry: ActionRegistry) -> tuple[Episode, str]:
    """An episode of three searches and an answer, and the prompt that it started from."""
    tokenizer = ByteTokenizer()
    policy = ScriptedPolicy(tokenizer, TURNS)
    config = GenerationConfig(
        max_turns=5,
        max_start_length=6000,
        max_prompt_length=16000,
        prompt_style="full",
        actions=OFFERED,
        entity_form="handle",
    )
    manager = LLMGenerationManager(config, tokenizer, policy, client, registry)
    episode, buffer = await manager.run_episode(QUESTION)
    await client.aclose()
    return episode, decode(tokenizer, buffer.prompt_ids)


def check_episode(episode: Episode, prompt: str) -> None:
    assert "- search_entities(query, max_results?): Lists entities whose names are like a text" in prompt
    assert "- find_paths(entity_id, target_id, max_hops?, max_paths?): Lists the shortest paths" in prompt
    assert "- get_facts_at(entity_id, time, relation?): Lists the facts of an entity that hold" in prompt
    assert "get_relations" not in prompt
    assert episode.status is EpisodeStatus.ANSWERED
    assert [turn.problem for turn in episode.turns] == [None] * 4
    seen = [turn.observation or "" for turn in episode.turns[:3]]
    assert "<information>#1: Andorra</information>" in seen[0]
    assert "<information>#2: Madrid</information>" in seen[1]
    assert "#3: Andorra <-[borders]- France -[borders]-> Spain -[capital]-> Madrid | " in seen[2]
    assert seen[2].rstrip().endswith("| France | Spain</information>")


async def test_an_episode_in_this_process(
    retriever: KnowledgeGraphRetriever, registry: ActionRegistry
) -> None:
    enable(registry, OPTIONAL_ACTIONS)
    check_episode(*await played(InProcessKGClient(retriever), registry))


SERVE = """
import sys
from kg_r1.search.actions import ACTION_REGISTRY
from kg_r1.search.kg_retrieval_server import main
from kg_r1.search.optional_actions import enable_listed
enable_listed(ACTION_REGISTRY, "search_entities,find_paths,get_facts_at")
sys.exit(main())
"""


async def test_an_episode_over_a_server(
    base: Path, registry: ActionRegistry, start_server: Callable[..., ServerProcess]
) -> None:
    enable(registry, OPTIONAL_ACTIONS)
    server = start_server("--base_data_path", base, command=(sys.executable, "-c", SERVE))
    details = httpx.get(f"{server.address}/actions").json()["action_details"]
    assert details["search_entities"] == {
        "required_fields": ["sample_id", "dataset_name", "query"],
        "description": "Lists entities whose names are like a text, the likest first.",
    }
    assert set(details) == {*ACTION_REGISTRY, *OPTIONAL_ACTIONS}
    check_episode(*await played(HttpKGClient(f"{server.address}/retrieve"), registry))


def evaluation(*actions: str) -> argparse.Namespace:
    given = ["--model", "m", "--questions", "q", "--out", "o", "--base_data_path", "d"]
    return parser().parse_args([*given, *(["--actions", *actions] if actions else [])])


def test_an_evaluation_enables_what_it_is_told_to_offer(global_registry: ActionRegistry) -> None:
    check(evaluation())
    assert len(global_registry) == 6
    check(evaluation("find_paths", "get_tail_entities"))
    assert list(global_registry)[6:] == ["find_paths"]
    with pytest.raises(UnknownAction, match="'find_path'"):
        check(evaluation("find_path"))


def test_a_profile_is_refused_for_an_unknown_action_before_it_trains(global_registry: ActionRegistry) -> None:
    lengths = {"prompt_length": 1000, "response_length": 1000}
    check_search(SearchSettings(actions=OFFERED), **lengths)
    assert len(global_registry) == 6
    with pytest.raises(SettingsError, match=r"rollout\.search: there is no action 'find_path'"):
        check_search(SearchSettings(actions=("find_path",)), **lengths)


@pytest.mark.slow  # verl is loaded for it, twenty seconds
async def test_a_profile_that_names_an_action_enables_it_in_the_worker(
    base: Path, global_registry: ActionRegistry
) -> None:
    from omegaconf import OmegaConf
    from verl.experimental.agent_loop.agent_loop import DictConfigWrap

    from kg_r1.reward.rubric import RubricConfig
    from verl_ext.agent_loop import KGAgentLoop, shared_client

    config = OmegaConf.create({"actor_rollout_ref": {"rollout": {"prompt_length": 1, "response_length": 1}}})
    search = SearchSettings(actions=OFFERED, base_data_path=str(base))
    loop = KGAgentLoop(
        DictConfigWrap(config),
        None,
        ByteTokenizer(),
        None,
        None,
        DictConfigWrap(OmegaConf.create({})),
        search=dataclasses.asdict(search),
        rubric=dataclasses.asdict(RubricConfig()),
    )
    assert set(OPTIONAL_ACTIONS) <= set(global_registry)
    asked = {"action_type": "search_entities", "dataset_name": "world", "query": "Madird"}
    assert (await shared_client(loop.search).retrieve(asked)).items() == ["Madrid"]
