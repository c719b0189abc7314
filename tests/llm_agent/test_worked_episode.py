"""The episode that a prompt shows: played with the actions on offer, in the form that the profile's have."""

from __future__ import annotations

from typing import Any

import pytest

from kg_r1.llm_agent.config import GenerationConfig
from kg_r1.llm_agent.generation import LLMGenerationManager
from kg_r1.llm_agent.guidance.worked_episode import TRIPLES, worked_episode
from kg_r1.llm_agent.policies import ScriptedPolicy
from kg_r1.llm_agent.prompts import WorkedEpisode
from kg_r1.llm_agent.question import Question
from kg_r1.llm_agent.tokens import ByteTokenizer
from kg_r1.search.actions import ACTION_REGISTRY, ActionHandler, ActionRegistry

FOUR = ("get_head_entities", "get_tail_entities", "get_head_relations", "get_tail_relations")


def shown(registry: ActionRegistry = ACTION_REGISTRY, **settings: Any) -> WorkedEpisode | None:
    return worked_episode(LLMGenerationManager, GenerationConfig(**settings), registry)


def text_of(**settings: Any) -> str:
    worked = shown(**settings)
    assert worked is not None
    return worked.text


def test_look_follow_look_follow_answer() -> None:
    assert text_of(actions=FOUR, no_think_rl=True) == (
        '<search>get_tail_relations("Rosa Lind")</search>\n'
        "<information>teaches | works_at</information>\n"
        '<search>get_tail_entities("Rosa Lind", "works_at")</search>\n'
        "<information>Elm School</information>\n"
        '<search>get_head_relations("Elm School")</search>\n'
        "<information>attends | works_at</information>\n"
        '<search>get_head_entities("Elm School", "attends")</search>\n'
        "<information>Ida Fenn | Tom Asher</information>\n"
        "<answer>Ida Fenn | Tom Asher</answer>"
    )


def test_every_turn_has_a_thought_where_thoughts_are_asked_for() -> None:
    text = text_of(actions=FOUR)
    assert text.count("<think>") == text.count("</think>") == 5
    assert text_of(actions=FOUR, begin_with_think=True) == text
    assert "think" not in text_of(actions=FOUR, no_think_rl=True)


@pytest.mark.parametrize("form", ["name", "list"])
def test_names_stand_for_entities_where_there_are_no_handles(form: Any) -> None:
    assert "#" not in text_of(entity_form=form)


def test_handles_stand_for_entities_where_there_are_some() -> None:
    text = text_of(actions=FOUR, entity_form="handle", no_think_rl=True)
    assert 'get_tail_entities("#1", "works_at")</search>\n<information>#3: Elm School</information>' in text
    assert 'get_head_entities("#3", "attends")</search>\n<information>#5: Ida Fenn | Tom Asher<' in text


def test_tool_calls_where_searches_are_tool_calls() -> None:
    text = text_of(actions=FOUR, query_form="tools", no_think_rl=True, prompt_style="full")
    assert text.startswith(
        '<tool_call>\n{"name": "get_tail_relations", "arguments": {"entity_id": "Rosa Lind"}}\n</tool_call>\n'
        "<tool_response>\nteaches | works_at\n</tool_response>\n<tool_call>\n"
    )
    assert "search>" not in text and "information>" not in text


@pytest.mark.parametrize(
    ("actions", "looks", "follows"),
    [
        (("get_tail_entities", "get_relations"), 'get_relations("Elm School")', "located_in"),
        (("get_tail_entities",), None, "located_in"),
        (("get_head_entities", "get_head_relations"), 'get_head_relations("Elm School")', "works_at"),
        (("get_head_entities", "get_tail_entities"), None, "attends"),
    ],
)
def test_it_is_made_of_the_actions_on_offer(actions: Any, looks: str | None, follows: str) -> None:
    text = text_of(actions=actions)
    assert (looks in text) if looks else ("_relations(" not in text)
    assert f'", "{follows}")' in text
    written = {
        line.split("(")[0].removeprefix("<search>") for line in text.splitlines() if "<search>" in line
    }
    assert written <= set(actions)


@pytest.mark.parametrize("actions", [("get_relations",), ("get_tail_relations", "get_conditional_relations")])
def test_none_is_shown_where_no_relation_can_be_followed(actions: Any) -> None:
    assert shown(actions=actions) is None


class OtherTails(ActionHandler):
    """Answers something else under a known name."""

    def execute(self, sample_id: str, dataset_name: str, entity_id: str, relation: str) -> dict[str, Any]:
        return {"tail_entities": ["nobody"]}


class BrokenTails(OtherTails):
    """Answers nothing."""

    def execute(self, sample_id: str, dataset_name: str, entity_id: str, relation: str) -> dict[str, Any]:
        return {"error": "broken"}


class OwnArguments(OtherTails):
    """Takes other arguments under a known name."""

    def execute(self, sample_id: str, dataset_name: str, start: str) -> dict[str, Any]:  # type: ignore[override]
        return {"tail_entities": ["nobody"]}


@pytest.mark.parametrize("action", [OtherTails, BrokenTails, OwnArguments])
def test_an_action_put_in_the_place_of_a_known_one_spoils_no_prompt(action: type[ActionHandler]) -> None:
    registry = ActionRegistry(dict(ACTION_REGISTRY))
    registry["get_tail_entities"] = action
    worked = shown(registry)
    assert worked is None or "get_tail_entities" not in worked.text


def test_the_prompt_shows_it_after_the_rules_and_before_the_question() -> None:
    tokenizer = ByteTokenizer()
    question = Question("q", "What is the capital of France?", ("France",), (("Paris",),), "toy")

    def prompt(**settings: Any) -> str:
        manager = LLMGenerationManager(GenerationConfig(**settings), tokenizer, ScriptedPolicy(tokenizer, ()))
        return tokenizer.decode(manager.prompt_ids(question))

    with_episode = prompt(prompt_style="full")
    rules, _, rest = with_episode.partition("\n\nExample, on another graph:\nQuestion: Who attends")
    assert prompt(prompt_style="full", worked_episode=False).startswith(rules)
    assert rest.index("Tom Asher</answer>") < rest.index("Question: What is the capital of France?")
    assert "Rosa Lind" not in prompt(prompt_style="compact")
    assert "Rosa Lind" in prompt(prompt_style="compact", worked_episode=True)
    assert "Topic: #1: Rosa Lind" in prompt(prompt_style="full", entity_form="handle")


def test_the_built_in_graph_has_wrong_ways_too() -> None:
    # Each relation listing that the episode shows has a relation that does not lead to the answer.
    assert {"teaches", "located_in"} <= {relation for _, relation, _ in TRIPLES}
