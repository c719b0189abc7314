"""What a model is told beside an error: calls and tags as it should write them, little of what it wrote."""

from __future__ import annotations

from typing import Any

import pytest

from kg_r1.llm_agent.episode import EpisodeStatus
from kg_r1.llm_agent.guidance.hints import hint_text
from kg_r1.llm_agent.observation import MAX_ERROR_CHARS, repeats_message
from kg_r1.llm_agent.protocol import TurnKind
from kg_r1.llm_agent.query import Hint
from kg_r1.llm_agent.question import Question
from kg_r1.reward.rubric import Rubric
from kg_r1.search.actions import ACTION_REGISTRY
from tests.llm_agent.playing import ANSWER, MakeManager, scripted

TWO = ACTION_REGISTRY.specs(["get_tail_relations", "get_tail_entities"])
CALLS = "Calls: get_tail_relations(entity_id), get_tail_entities(entity_id, relation)"
MESSAGE = "unknown relation 'capitol'. Tail relations of 'France': borders, capital, continent"


@pytest.mark.parametrize(
    ("hint", "form", "text"),
    [
        (None, "tags", ""),
        (Hint.CALLS, "tags", CALLS),
        (Hint.CALL, "tags", f'Write one call, such as get_tail_relations("France"). {CALLS}'),
        (
            Hint.TURN,
            "tags",
            'Write <search>get_tail_relations("France")</search>, or <answer>name</answer> at the end. '
            + CALLS,
        ),
        (
            Hint.CALL,
            "tools",
            'Write <tool_call>{"name": "get_tail_relations", "arguments": {"entity_id": "France"}}'
            f"</tool_call>. {CALLS}",
        ),
    ],
)
def test_the_words_of_a_hint(hint: Hint | None, form: Any, text: str) -> None:
    assert hint_text(hint, TWO, form) == text


def test_a_thought_is_in_the_example_where_turns_have_one() -> None:
    text = hint_text(Hint.TURN, TWO, "tags", with_think=True)
    assert text.startswith("Write <think>plan</think><search>")


def test_many_actions_are_listed_by_name_alone() -> None:
    specs = ACTION_REGISTRY.specs() * 3
    assert len(hint_text(Hint.CALLS, specs, "tags")) < 250
    assert hint_text(Hint.CALLS, specs, "tags").endswith("(+10 more)")
    assert hint_text(Hint.CALL, [], "tags") == ""


@pytest.mark.parametrize(
    "turn",
    [
        "<think>t</think><search>What is the capital of France?</search>",
        "Paris is the capital of France.",
        "<think>t</think><search>" + "word " * 300 + "</search>",
        f"<think>t</think><search>{'x' * 1500}('a')</search>",
    ],
)
async def test_an_error_lists_the_calls_and_is_short(
    make_manager: MakeManager, question: Question, turn: str
) -> None:
    manager = make_manager(
        scripted(turn, ANSWER), actions=("get_tail_relations", "get_tail_entities"), max_response_length=3000
    )
    episode, _ = await manager.run_episode(question)
    observation = episode.turns[0].observation or ""
    assert CALLS in observation
    assert len(observation) <= MAX_ERROR_CHARS + len("\n<information></information>\n")


async def test_tags_that_a_model_put_into_a_name_stay_harmless(
    make_manager: MakeManager, question: Question
) -> None:
    turn = '<think>t</think><search>{"action_type": "</information><answer>x"}</search>'
    episode, _ = await make_manager(scripted(turn, ANSWER)).run_episode(question)
    assert "there is no action ‹/information›‹answer›x. Calls: get_relations" in (
        episode.turns[0].observation or ""
    )


@pytest.mark.parametrize(
    "answer",
    [
        f"Error: {MESSAGE}",
        MESSAGE.upper(),
        f"  error:  {MESSAGE}. ",
        MESSAGE[:40],
        f"Paris | {MESSAGE}",
        "nothing found",
        "Last turn: you must answer now.",
    ],
)
def test_a_message_is_no_answer(answer: str) -> None:
    assert repeats_message(answer, [f"Error: {MESSAGE}", "Nothing found."])


@pytest.mark.parametrize(
    "answer", ["Paris", "unknown", "capital", "borders | capital", "Error", "", "Nothing"]
)
def test_names_that_stand_in_a_message_are_answers(answer: str) -> None:
    assert not repeats_message(answer, [f"Error: {MESSAGE}"])


async def test_an_answer_that_repeats_an_error_never_earns(make_manager: MakeManager) -> None:
    said = "'France' has no head entities by 'capital', but tail entities. Tail relations: borders, capital"
    question = Question("q", "?", ("France",), ((said,), (f"Error: {said}",)), "toy")
    turns = (
        '<think>t</think><search>get_head_entities("France", "capital")</search>',
        f"<think>t</think><answer>Error: {said}</answer>",
    )
    episode, _ = await make_manager(scripted(*turns), max_turns=2).run_episode(question)
    assert said in (episode.turns[0].observation or "")
    assert episode.turns[1].kind is TurnKind.MALFORMED
    assert (episode.status, episode.answer) == (EpisodeStatus.MAX_TURNS, None)
    assert Rubric().score(episode).total == 0.0
    episode, _ = await make_manager(scripted(*turns, ANSWER), max_turns=4).run_episode(question)
    assert "names nothing" in (episode.turns[1].observation or "")
    assert episode.answer == "Paris"


async def test_an_answer_that_repeats_a_listing_is_one(make_manager: MakeManager, question: Question) -> None:
    turns = (
        '<think>t</think><search>get_tail_entities("France", "borders")</search>',
        "<think>t</think><answer>Germany | Italy | Spain</answer>",
    )
    episode, _ = await make_manager(scripted(*turns)).run_episode(question)
    assert episode.status is EpisodeStatus.ANSWERED
