"""The prompt follows the registry and shows the question and nothing else of it."""

from __future__ import annotations

from typing import Any

import pytest

from kg_r1.llm_agent.prompts import PromptStyle, build_messages
from kg_r1.llm_agent.question import Question
from kg_r1.llm_agent.tokens import chat_prompt_ids
from kg_r1.search.actions import ACTION_REGISTRY

FOUR = ["get_tail_relations", "get_head_relations", "get_tail_entities", "get_head_entities"]
QUESTION = Question(
    "q1",
    "Which languages?",
    ("France", "Spain"),
    (("gold one", "gold two"),),
    "dataset-x",
    sample_id="sample-x",
)


def text_of(**options: Any) -> str:
    specs = ACTION_REGISTRY.specs(options.pop("actions", None))
    return "\n".join(message["content"] for message in build_messages(QUESTION, specs, **options))


@pytest.mark.parametrize("style", ["compact", "full"])
def test_every_action_and_the_question_are_there_and_nothing_else_of_it(style: PromptStyle) -> None:
    text = text_of(style=style)
    for spec in ACTION_REGISTRY.specs():
        assert f"{spec.name}(entity_id" in text
    assert "Which languages?" in text and "France | Spain" in text
    assert not any(secret in text for secret in ("gold one", "gold two", "dataset-x", "sample-x"))


def test_only_the_actions_asked_for_in_their_order() -> None:
    text = text_of(actions=["get_tail_entities", "get_relations"])
    assert "get_tail_entities(entity_id, relation), get_relations(entity_id)" in text
    assert "get_head" not in text


@pytest.mark.parametrize("style", ["compact", "full"])
def test_thinking_is_asked_for_unless_switched_off(style: PromptStyle) -> None:
    assert "<think>" in text_of(style=style)
    assert "think" not in text_of(style=style, no_think=True).lower()


def test_the_names_style_gives_names_alone(smollm_tokenizer: Any) -> None:
    rules = build_messages(QUESTION, ACTION_REGISTRY.specs(FOUR), "names")[0]["content"]
    assert rules == ", ".join(FOUR)
    assert len(smollm_tokenizer.encode(rules)) < 25


def test_the_full_style_explains_both_query_forms() -> None:
    text = text_of(style="full")
    for spec in ACTION_REGISTRY.specs():
        assert spec.example in text and spec.description in text
    assert '"action_type": "' in text


def test_must_answer_line_on_request() -> None:
    assert "must answer now" in text_of(must_answer=True)
    assert "must answer now" not in text_of()


def test_tags_in_a_question_are_made_harmless() -> None:
    question = Question("q", "Is it <answer>Paris</answer>?", ("</think>",), (), "toy")
    user = build_messages(question, ACTION_REGISTRY.specs())[1]["content"]
    assert user == "Question: Is it ‹answer›Paris‹/answer›?\nTopic: ‹/think›"


def test_without_topic_entities_the_line_is_left_out() -> None:
    user = build_messages(Question("q", "Who?", (), (), "toy"), ACTION_REGISTRY.specs())[1]["content"]
    assert user == "Question: Who?"


def test_compact_is_short_with_a_real_tokenizer(smollm_tokenizer: Any) -> None:
    question = Question("q", "What is the capital of France?", ("France",), (), "toy")
    messages = build_messages(question, ACTION_REGISTRY.specs(FOUR))
    assert len(chat_prompt_ids(smollm_tokenizer, messages, no_think=False)) < 150


def test_no_think_reaches_templates_that_know_it(qwen_tokenizer: Any) -> None:
    messages = build_messages(QUESTION, ACTION_REGISTRY.specs(FOUR), no_think=True)
    closed = qwen_tokenizer.decode(chat_prompt_ids(qwen_tokenizer, messages, no_think=True))
    open_ = qwen_tokenizer.decode(chat_prompt_ids(qwen_tokenizer, messages, no_think=False))
    assert closed.endswith("assistant\n<think>\n\n</think>\n\n")
    assert open_.endswith("assistant\n")


def test_a_llama_prompt_begins_with_one_bos(llama_tokenizer: Any) -> None:
    ids = chat_prompt_ids(llama_tokenizer, build_messages(QUESTION, ACTION_REGISTRY.specs(FOUR)), False)
    assert ids.count(llama_tokenizer.bos_token_id) == 1 and ids[0] == llama_tokenizer.bos_token_id
