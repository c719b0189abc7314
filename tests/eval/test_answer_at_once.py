"""A model that searches in its only turn is asked again; one that answers is left alone."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from kg_r1.eval.answer_at_once import THOUGHT, AnswerAtOnce
from kg_r1.eval.systems import build_system
from kg_r1.llm_agent.episode import EpisodeStatus
from kg_r1.llm_agent.policies import Generation, ScriptedPolicy
from kg_r1.llm_agent.protocol import STOP_STRINGS
from kg_r1.llm_agent.tokens import ByteTokenizer
from tests.eval.small import ONE_HOP

SEARCH = '<think>I need capital.</think>\n<search>get_tail_entities("France", "capital")</search>'
ANSWER = "<think>I know.</think>\n<answer>Paris</answer>"


def turn_of(
    texts: Sequence[str], max_tokens: int = 500, with_think: bool = True, begun_with_think: bool = False
) -> tuple[str, ScriptedPolicy]:
    tokenizer = ByteTokenizer()
    scripted = ScriptedPolicy(tokenizer, texts)
    policy = AnswerAtOnce(scripted, tokenizer, with_think=with_think, begun_with_think=begun_with_think)

    async def play() -> Generation:
        return await policy.generate([1, 2], stop=STOP_STRINGS, max_tokens=max_tokens, request_id="q#0")

    generation = asyncio.run(play())
    assert len(generation.token_ids) <= max_tokens
    return tokenizer.decode(generation.token_ids), scripted


def test_an_answer_is_left_alone() -> None:
    text, scripted = turn_of([ANSWER, "never asked"])
    assert text == ANSWER
    assert len(scripted.prompts["q#0"]) == 1


@pytest.mark.parametrize("with_think", [True, False])
def test_a_search_is_asked_again_from_the_tag_on(with_think: bool) -> None:
    text, scripted = turn_of([SEARCH, "Paris</answer>"], with_think=with_think)
    start = (THOUGHT if with_think else "") + "<answer>"
    assert text == start + "Paris</answer>"
    first, second = scripted.prompts["q#0"]
    assert second == [*first, *start.encode()]


def test_a_thought_that_was_begun_is_gone_on_with() -> None:
    text, _ = turn_of([SEARCH.removeprefix("<think>"), "Paris</answer>"], begun_with_think=True)
    assert text == THOUGHT.removeprefix("<think>") + "<answer>Paris</answer>"


def test_without_room_or_a_second_text_the_first_stands() -> None:
    assert turn_of([SEARCH, "Paris</answer>"], max_tokens=20)[0] == SEARCH[:20]
    assert turn_of([SEARCH])[0] == SEARCH


def test_closed_book_goes_on_with_a_turn_that_was_begun(make_world) -> None:  # type: ignore[no-untyped-def]
    searches = SEARCH.removeprefix("<think>")
    world = make_world(ScriptedPolicy(ByteTokenizer(), [searches, "Paris</answer>"]), begin_with_think=True)
    played = asyncio.run(build_system("closed_book", world).manager_of(ONE_HOP).run_episode(ONE_HOP, "q#0"))
    assert played[0].answer == "Paris"
    assert played[0].turns[0].is_well_formed


def test_closed_book_is_scored_by_what_it_answers(make_world) -> None:  # type: ignore[no-untyped-def]
    world = make_world(ScriptedPolicy(ByteTokenizer(), [SEARCH, "Paris</answer>"]))
    played = asyncio.run(build_system("closed_book", world).manager_of(ONE_HOP).run_episode(ONE_HOP, "q#0"))
    assert played[0].status is EpisodeStatus.ANSWERED
    assert played[0].answer == "Paris"
    assert played[0].turns[0].is_well_formed
