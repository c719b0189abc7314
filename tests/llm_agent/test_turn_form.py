"""Turns as tool calls of a chat template, and turns begun for the policy: ids seen are ids kept."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from kg_r1.llm_agent.episode import Episode, EpisodeStatus
from kg_r1.llm_agent.generation import LLMGenerationManager
from kg_r1.llm_agent.policies import ScriptedPolicy
from kg_r1.llm_agent.protocol import TurnKind, parse_turn
from kg_r1.llm_agent.question import Question
from kg_r1.llm_agent.tensor_helper import TokenBuffer
from kg_r1.llm_agent.tokens import ByteTokenizer
from kg_r1.llm_agent.tools import tool_schemas
from kg_r1.llm_agent.turn_form import form_of_tools
from kg_r1.search.actions import ACTION_REGISTRY
from kg_r1.search.specs import with_entity_form

MakeManager = Callable[..., LLMGenerationManager]
CALL = json.dumps({"name": "get_tail_entities", "arguments": {"entity_id": "France", "relation": "capital"}})
TOOL_TURN = f"<think>capital</think>\n<tool_call>\n{CALL}\n</tool_call>"
TOOL_TURNS = (TOOL_TURN, "Paris it is, naïvely.<|im_end|>", "<think>done</think><answer>Paris</answer>")
BEGUN_TURNS = (
    'capital</think>\n<search>get_tail_entities("France", "capital")</search>',
    "I forgot the tags.",
    "done</think>\n<answer>Paris</answer>",
)
TOOLS = {"query_form": "tools", "prompt_style": "full", "worked_episode": False, "max_obs_length": 400}


async def play(manager: LLMGenerationManager, question: Question) -> tuple[Episode, TokenBuffer]:
    """Plays it, and makes sure of what holds for every form."""
    episode, buffer = await manager.run_episode(question, "r")
    policy: Any = manager.policy
    tokenizer = manager.tokenizer
    joined, mask = list(buffer.prompt_ids), []
    for turn, seen in zip(episode.turns, policy.prompts["r"], strict=True):
        assert seen == joined
        sampled = tokenizer.encode(turn.text, add_special_tokens=False)
        assert (
            tokenizer.decode(sampled, skip_special_tokens=False, clean_up_tokenization_spaces=False)
            == turn.text
        )
        added = tokenizer.encode(turn.observation or "", add_special_tokens=False)
        joined += [*sampled, *added]
        mask += [1] * len(sampled) + [0] * len(added)
    assert joined == buffer.all_ids
    assert mask == buffer.response_mask
    return episode, buffer


async def test_tool_calls_are_searches(
    make_manager: MakeManager, tool_tokenizer: Any, question: Question
) -> None:
    policy = ScriptedPolicy(tool_tokenizer, TOOL_TURNS)
    episode, buffer = await play(make_manager(policy, tool_tokenizer, **TOOLS), question)
    assert [turn.kind for turn in episode.turns] == [TurnKind.SEARCH, TurnKind.MALFORMED, TurnKind.ANSWER]
    assert episode.turns[0].is_well_formed and episode.status is EpisodeStatus.ANSWERED
    assert episode.turns[0].query == {
        "action": "get_tail_entities",
        "arguments": {"entity_id": "France", "relation": "capital"},
    }
    assert episode.turns[0].observation == (
        "<|im_end|>\n<|im_start|>user\n<tool_response>\nParis\n</tool_response><|im_end|>\n<|im_start|>assistant\n"
    )
    # The policy closed its second message itself.
    assert (episode.turns[1].observation or "").startswith(
        "\n<|im_start|>user\n<tool_response>\nError: the turn"
    )
    # What was played is what the template makes of the same conversation.
    first, second = episode.turns[0], episode.turns[1]
    error = (second.observation or "").partition("<tool_response>\n")[2].partition("\n</tool_response>")[0]
    messages = [
        {"role": "assistant", "content": first.text},
        {"role": "tool", "content": "Paris"},
        {"role": "assistant", "content": second.text.removesuffix("<|im_end|>")},
        {"role": "tool", "content": error},
    ]
    rendered = tool_tokenizer.apply_chat_template(
        [{"role": "user", "content": "?"}, *messages], tokenize=False, add_generation_prompt=True
    )
    played = tool_tokenizer.decode(buffer.response_ids)
    assert played == rendered.partition("<|im_start|>assistant\n")[2] + episode.turns[2].text


async def test_the_tools_are_in_the_prompt_and_nothing_of_tags_is(
    make_manager: MakeManager, tool_tokenizer: Any, question: Question
) -> None:
    manager = make_manager(ScriptedPolicy(tool_tokenizer, ()), tool_tokenizer, **TOOLS)
    prompt = tool_tokenizer.decode(manager.prompt_ids(question))
    for spec in ACTION_REGISTRY.specs():
        assert f'"name": "{spec.name}", "description": "{spec.description}"' in prompt
    assert "<search>" not in prompt and "<information>" not in prompt
    assert "<answer>" in prompt and "<think>" in prompt


async def test_the_last_turn_is_announced_inside_the_result(
    make_manager: MakeManager, tool_tokenizer: Any, question: Question
) -> None:
    policy = ScriptedPolicy(tool_tokenizer, (TOOL_TURN, TOOL_TURNS[-1]))
    episode, _ = await play(make_manager(policy, tool_tokenizer, max_turns=2, **TOOLS), question)
    assert "\nParis\nLast turn: you must answer now.\n</tool_response>" in (
        episode.turns[0].observation or ""
    )


def test_tags_are_no_searches_where_tool_calls_are() -> None:
    specs = ACTION_REGISTRY.specs()
    text = '<think>t</think><search>get_relations("France")</search>'
    assert parse_turn(text, specs, search_tag="tool_call").kind is TurnKind.MALFORMED
    assert parse_turn(TOOL_TURN, specs, search_tag="tool_call").kind is TurnKind.SEARCH
    assert parse_turn(TOOL_TURN, specs).kind is TurnKind.MALFORMED


@pytest.mark.parametrize("family", ["qwen_tokenizer", "llama_tokenizer", "bytes"])
def test_a_template_without_tools_is_refused(
    make_manager: MakeManager, family: str, request: pytest.FixtureRequest
) -> None:
    tokenizer = ByteTokenizer() if family == "bytes" else request.getfixturevalue(family)
    with pytest.raises(ValueError, match="use query_form tags") as caught:
        make_manager(ScriptedPolicy(tokenizer, ()), tokenizer, **TOOLS)
    assert "\n" not in str(caught.value)


def test_the_schema_says_what_the_spec_says() -> None:
    specs = with_entity_form(ACTION_REGISTRY.specs(["get_tail_entities"]), "name")
    (tool,) = tool_schemas(specs)
    assert tool["function"]["parameters"] == {
        "type": "object",
        "properties": {
            "entity_id": {"type": "string", "description": "the name of an entity"},
            "relation": {"type": "string", "description": "the exact name of a relation"},
        },
        "required": ["entity_id", "relation"],
    }
    (listing,) = tool_schemas(ACTION_REGISTRY.specs(["get_tail_entities"]))
    entity = listing["function"]["parameters"]["properties"]["entity_id"]
    assert entity["type"] == ["string", "array"] and entity["items"] == {"type": "string"}


@pytest.mark.parametrize("max_turns", [4, 3])
async def test_every_turn_is_begun_with_a_thought(
    make_manager: MakeManager, tokenizer: Any, question: Question, max_turns: int
) -> None:
    policy = ScriptedPolicy(tokenizer, BEGUN_TURNS)
    manager = make_manager(policy, tokenizer, begin_with_think=True, max_turns=max_turns)
    episode, buffer = await play(manager, question)
    assert tokenizer.decode(buffer.prompt_ids).endswith("<think>")
    assert [turn.kind for turn in episode.turns] == [TurnKind.SEARCH, TurnKind.MALFORMED, TurnKind.ANSWER]
    assert all((turn.observation or "").endswith("<think>") for turn in episode.turns[:2])
    first, _, last = episode.turns
    assert (first.think, last.think) == ("capital", "done")
    assert first.is_well_formed and last.is_well_formed
    assert first.text == BEGUN_TURNS[0]
    assert episode.status is EpisodeStatus.ANSWERED


async def test_a_tool_turn_is_begun_with_a_thought_too(
    make_manager: MakeManager, tool_tokenizer: Any, question: Question
) -> None:
    turns = tuple(turn.removeprefix("<think>") for turn in (TOOL_TURN, TOOL_TURNS[-1]))
    policy = ScriptedPolicy(tool_tokenizer, turns)
    manager = make_manager(policy, tool_tokenizer, begin_with_think=True, **TOOLS)
    episode, _ = await play(manager, question)
    assert all(turn.is_well_formed for turn in episode.turns)
    assert (episode.turns[0].observation or "").endswith("<|im_start|>assistant\n<think>")


def test_a_template_that_begins_the_thought_itself_is_left_to_it(question: Question) -> None:
    class Thinking(ByteTokenizer):
        def apply_chat_template(self, messages: Any, **options: Any) -> str:
            text = super().apply_chat_template(messages, **options)
            return text + "<think>\n" if options.get("add_generation_prompt") else text

    from kg_r1.llm_agent.config import GenerationConfig

    tokenizer = Thinking()
    config = GenerationConfig(begin_with_think=True)
    manager = LLMGenerationManager(config, tokenizer, ScriptedPolicy(tokenizer, ()))
    prompt = tokenizer.decode(manager.prompt_ids(question))
    assert prompt.endswith("[assistant]\n<think>\n")


def test_the_form_is_that_of_the_template(tool_tokenizer: Any) -> None:
    form = form_of_tools(tool_tokenizer, tool_schemas(ACTION_REGISTRY.specs()))
    assert form.stop == ("</tool_call>", "</answer>")
    assert (form.end, form.begin) == ("<|im_end|>", "")
