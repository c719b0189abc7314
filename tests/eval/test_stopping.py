"""Whether an episode stopped in time, on episodes played through the environment."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from kg_r1.eval.stopping import num_hops_needed, num_hops_searched, stop_accuracy
from kg_r1.eval.systems import World, build_system
from kg_r1.llm_agent.episode import Episode
from kg_r1.llm_agent.policies import ScriptedPolicy
from kg_r1.llm_agent.question import Question
from kg_r1.llm_agent.tokens import ByteTokenizer
from tests.eval.small import CONJUNCTIVE, ONE_HOP, OTHERS, PATHLESS, TWO_HOP

BORDERS = '<think>a</think>\n<search>get_tail_entities("Spain", "borders")</search>'
CAPITALS = '<think>a</think>\n<search>get_tail_entities(["France", "Andorra"], "capital")</search>'
RELATIONS = '<think>a</think>\n<search>get_tail_relations("Spain")</search>'
NOTHING = '<think>a</think>\n<search>get_tail_entities("Nowhere", "capital")</search>'
ANSWER = "<think>a</think>\n<answer>Paris</answer>"


def play(make_world: Callable[..., World], question: Question, *turns: str) -> Episode:
    system = build_system("model", make_world(ScriptedPolicy(ByteTokenizer(), turns), max_turns=6))
    return asyncio.run(system.manager_of(question).run_episode(question))[0]


@pytest.mark.parametrize(
    ("turns", "num_searched", "right"),
    [
        ((BORDERS, CAPITALS, ANSWER), 2, 1.0),
        ((RELATIONS, BORDERS, CAPITALS, ANSWER), 2, 1.0),  # looking is not walking
        ((NOTHING, BORDERS, BORDERS, CAPITALS, ANSWER), 2, 1.0),  # neither failing nor repeating counts
        ((BORDERS, ANSWER), 1, 0.0),
        ((BORDERS, CAPITALS), 2, 0.0),  # never answered, so never stopped
        ((ANSWER,), 0, 0.0),
    ],
)
def test_hops_before_the_answer_are_counted(
    make_world: Callable[..., World], turns: tuple[str, ...], num_searched: int, right: float
) -> None:
    episode = play(make_world, TWO_HOP, *turns)
    assert (num_hops_searched(episode), stop_accuracy(episode)) == (num_searched, right)


def test_one_search_too_many_is_not_in_time(make_world: Callable[..., World]) -> None:
    assert stop_accuracy(play(make_world, ONE_HOP, CAPITALS, BORDERS, ANSWER)) == 0.0


def test_a_path_needs_the_hops_of_all_its_chains() -> None:
    needed = [num_hops_needed(question) for question in (ONE_HOP, TWO_HOP, CONJUNCTIVE, OTHERS)]
    assert needed == [1, 2, 2, 2]


def test_a_question_without_a_path_is_left_out(make_world: Callable[..., World]) -> None:
    assert num_hops_needed(PATHLESS) is None
    assert stop_accuracy(play(make_world, PATHLESS, ANSWER)) is None
