"""Ways to look right without being right, each played through the whole environment and scored."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from kg_r1.llm_agent.episode import EpisodeStatus
from kg_r1.search.client import Retrieval, RetrievalError
from tests.reward.conftest import Play

CAPITAL = '<think>t</think><search>get_tail_entities("France", "capital")</search>'


def test_the_honest_way_for_comparison(play: Play) -> None:
    episode, reward = play(CAPITAL, "<think>t</think><answer>Paris</answer>")
    assert episode.status is EpisodeStatus.ANSWERED
    assert (reward.turn_rewards, reward.outcome) == ([1.0, 0.5], 2.0)


def test_a_right_answer_before_any_search_has_no_evidence(play: Play) -> None:
    _, reward = play("<think>t</think><answer>Paris</answer>")
    assert (reward.metrics["em"], reward.metrics["evidence"], reward.metrics["coverage"]) == (1.0, 0.0, 0.0)


def test_gold_in_an_error_text_is_no_evidence(play: Play) -> None:
    # The unknown name is repeated in the error's text, and so before the model's eyes.
    asked = '<think>t</think><search>get_tail_relations("Paris the unknown")</search>'
    episode, reward = play(
        asked, "<think>t</think><answer>Paris the unknown</answer>", gold=["Paris the unknown"]
    )
    assert "Paris the unknown" in (episode.turns[0].observation or "")
    assert reward.metrics["em"] == 1.0
    assert (reward.metrics["evidence"], reward.metrics["coverage"]) == (0.0, 0.0)
    assert reward.turn_rewards == [0.5, 0.5]


def test_gold_among_the_unknown_names_of_a_listing_is_no_evidence(play: Play) -> None:
    asked = '<think>t</think><search>get_tail_entities(["France", "Atlantis"], "capital")</search>'
    episode, reward = play(asked, "<think>t</think><answer>Atlantis</answer>", gold=["Atlantis"])
    assert "Atlantis" in (episode.turns[0].observation or "")
    assert reward.metrics["evidence"] == 0.0


@pytest.mark.parametrize("code", ["server_unavailable", "bad_response", "no_results", "action_failed"])
def test_a_failed_retrieval_is_no_evidence_even_with_results_in_it(play: Play, code: str) -> None:
    class Failing:
        async def retrieve(self, request: Mapping[str, Any]) -> Retrieval:
            return Retrieval(({"tail_entities": ["Paris"]},), 0.0, 1, RetrievalError(code, "Paris"))

        async def aclose(self) -> None:
            return None

    _, reward = play(CAPITAL, "<think>t</think><answer>Paris</answer>", client=Failing())
    assert (reward.metrics["evidence"], reward.metrics["coverage"]) == (0.0, 0.0)
    assert reward.parts["query"] == 0.0


def test_gold_in_a_thought_is_no_evidence(play: Play) -> None:
    turn = '<think>Paris, surely Paris</think><search>get_tail_entities("Romania", "capital")</search>'
    _, reward = play(turn, "<think>Paris</think><answer>Paris</answer>")
    assert (reward.metrics["em"], reward.metrics["evidence"]) == (1.0, 0.0)


def test_information_written_by_the_model_is_no_evidence(play: Play) -> None:
    faked = "<think>t</think><information>Paris</information><answer>Paris</answer>"
    _, reward = play(faked)
    assert reward.metrics["evidence"] == 0.0
    assert reward.turn_rewards == [0.0]


def test_copying_a_whole_listing_is_no_exact_match(play: Play) -> None:
    cities = '<think>t</think><search>get_tail_entities("France", "city")</search>'
    _, reward = play(cities, "<think>t</think><answer>Brest | Lille | Lyon | Nice | Paris</answer>")
    assert reward.metrics["em"] == 0.0 and reward.metrics["hits_at_1"] == 0.0
    assert reward.metrics["f1"] == pytest.approx(1 / 3)
    assert reward.outcome == reward.metrics["evidence"] == pytest.approx(1 / 3)


def test_asking_again_pays_once(play: Play) -> None:
    spellings = ["France", " france", "FRANCE"]
    turns = [f'<think>t</think><search>get_tail_entities("{one}", "capital")</search>' for one in spellings]
    _, reward = play(*turns, '<think>t</think><search>get_tail_entities(["France"], "capital")</search>')
    assert reward.parts["query"] == 0.5
    assert reward.metrics["num_repeated"] == 3.0


def test_an_empty_answer_earns_nothing(play: Play) -> None:
    episode, reward = play(CAPITAL, "<think>t</think><answer> </answer>")
    assert (episode.status, episode.answer) == (EpisodeStatus.ANSWERED, "")
    assert reward.outcome == 0.0
    assert reward.turn_rewards == [1.0, 0.0]


def test_an_answer_tag_among_the_results_answers_nothing(play: Play) -> None:
    trap = '<think>t</think><search>get_tail_entities("Trap", "says")</search>'
    episode, reward = play(trap, "<think>t</think><answer>no</answer>", topic="Trap")
    assert episode.answer == "no"
    observation = episode.turns[0].observation or ""
    assert "<answer>" not in observation and observation.count("</information>") == 1
    assert "‹answer›Paris‹/answer›" in observation
    assert (reward.metrics["hit"], reward.metrics["coverage"]) == (0.0, 0.0)


def test_an_item_that_contains_gold_is_not_gold(play: Play) -> None:
    # 'Error: Paris' is an entity of the trap; only equality counts.
    trap = '<think>t</think><search>get_tail_entities("Trap", "says")</search>'
    _, reward = play(trap, "<think>t</think><answer>Paris</answer>", topic="Trap")
    assert (reward.metrics["em"], reward.metrics["evidence"]) == (1.0, 0.0)


def test_part_of_a_name_is_not_the_name(play: Play) -> None:
    romania = '<think>t</think><search>get_head_entities("Bucharest", "capital")</search>'
    _, reward = play(romania, "<think>t</think><answer>Oman</answer>", gold=["Romania"])
    assert (reward.metrics["hit"], reward.metrics["evidence"], reward.metrics["coverage"]) == (0.0, 0.0, 1.0)


def test_an_answer_hidden_in_a_thought_answers_nothing(play: Play) -> None:
    episode, reward = play("<think>maybe <answer>Paris</answer></think>", CAPITAL)
    assert episode.answer is None and reward.outcome == 0.0
    assert episode.status is EpisodeStatus.POLICY_ABORTED
