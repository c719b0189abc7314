"""Naming all that was retrieved, or all that comes to mind, instead of answering: what the outcome pays."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import pytest

from kg_r1.llm_agent.episode import Episode, Turn
from kg_r1.llm_agent.protocol import TurnKind
from kg_r1.reward.rubric import AnswerScore, Rubric, RubricConfig
from kg_r1.search.client import Retrieval, RetrievalError
from tests.reward.conftest import MEMBERS, Play

ALL_MEMBERS = '<think>t</think><search>get_tail_entities("Club", "member")</search>'
BY_HANDLE = '<think>t</think><search>get_tail_entities("#1", "member")</search>'
GOLD = ["Member 7", "Member 70", "Member 152"]
FORMS: dict[str, Callable[[Sequence[str]], str]] = {
    "json": json.dumps,
    "bars": " | ".join,
    "lines": "\n".join,
    "commas": ", ".join,
    "bars and lines": lambda names: " | ".join(names[:50]) + "\n" + "\n".join(names[50:]),
    "a list without its end": lambda names: json.dumps(names)[:-1],
}
SCORES: tuple[AnswerScore, ...] = ("em", "f1")
# 3 of 153 names are right and 3 are gold: 2 * 3 / (153 + 3).
F1_OF_ALL = 6 / 156


def answer(text: str) -> str:
    return f"<think>t</think><answer>{text}</answer>"


def outcome(episode: Episode, score: AnswerScore) -> float:
    return Rubric(RubricConfig(answer_score=score)).score(episode).outcome


def searched(*items: str) -> Turn:
    return Turn(
        0, "", TurnKind.SEARCH, retrieval=Retrieval(({"tail_entities": list(items)},), 0.0, len(items))
    )


def answered(names: Sequence[str]) -> Turn:
    return Turn(0, "", TurnKind.ANSWER, answer=json.dumps(names))


@pytest.mark.parametrize("score", SCORES)
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("search", [ALL_MEMBERS, BY_HANDLE], ids=["by name", "by handle"])
def test_naming_all_that_was_retrieved_earns_next_to_nothing(
    play: Play, search: str, form: str, score: AnswerScore
) -> None:
    _, reward = play(search, answer(FORMS[form](MEMBERS)), gold=GOLD, topic="Club", score=score)
    assert reward.metrics["coverage"] == 1.0
    assert reward.metrics["evidence"] == pytest.approx(F1_OF_ALL)
    assert reward.outcome == pytest.approx(F1_OF_ALL * (1 if score == "em" else 2))
    assert reward.outcome < 0.1


@pytest.mark.parametrize("score", SCORES)
@pytest.mark.parametrize(
    "padding",
    [
        GOLD * 60,
        [name.upper() for name in GOLD] + [f"The {name}!" for name in GOLD],
        ["", " ", "\t"] * 60,
    ],
    ids=["the right names again", "in other spellings", "blanks"],
)
def test_repeating_right_names_does_not_make_a_dump_precise(
    play: Play, padding: list[str], score: AnswerScore
) -> None:
    dump = answer(json.dumps([*padding, *MEMBERS]))
    _, reward = play(ALL_MEMBERS, dump, gold=GOLD, topic="Club", score=score)
    assert 0.0 < reward.outcome < 0.1


@pytest.mark.parametrize("score", SCORES)
def test_aliases_of_an_answer_count_once(play: Play, score: AnswerScore) -> None:
    aliases = tuple(f"alias {number} of seven" for number in range(150))
    gold = [("Member 7", *aliases), *GOLD[1:]]
    _, honest = play(ALL_MEMBERS, answer(json.dumps(GOLD)), gold=gold, topic="Club", score=score)
    _, twice = play(ALL_MEMBERS, answer(json.dumps([*GOLD, *aliases])), gold=gold, topic="Club", score=score)
    assert honest.outcome == twice.outcome == 2.0
    _, dump = play(
        ALL_MEMBERS, answer(json.dumps([*MEMBERS, *aliases])), gold=gold, topic="Club", score=score
    )
    assert dump.outcome < 0.1


@pytest.mark.parametrize("score", SCORES)
def test_names_in_a_form_that_is_not_split_are_one_wrong_answer(play: Play, score: AnswerScore) -> None:
    gold = [*GOLD, "Club, the"]  # a gold alias with a comma: commas part nothing
    _, reward = play(ALL_MEMBERS, answer(", ".join(MEMBERS)), gold=gold, topic="Club", score=score)
    assert reward.outcome == 0.0


@pytest.mark.parametrize("score", SCORES)
@pytest.mark.parametrize("text", ["#2", "#1", '["#2"]', "#2 except Member 0"])
def test_a_handle_is_no_answer(play: Play, text: str, score: AnswerScore) -> None:
    _, reward = play(BY_HANDLE, answer(text), gold=GOLD, topic="Club", score=score)
    assert reward.metrics["coverage"] == 1.0
    assert reward.outcome == 0.0


@pytest.mark.parametrize("score", SCORES)
def test_a_dump_from_memory_has_no_evidence(play: Play, score: AnswerScore) -> None:
    _, reward = play(answer(" | ".join(MEMBERS)), gold=GOLD, topic="Club", score=score)
    assert reward.metrics["evidence"] == 0.0
    assert reward.outcome == pytest.approx(0.0 if score == "em" else F1_OF_ALL)


@pytest.mark.parametrize("score", SCORES)
@pytest.mark.parametrize(
    "results",
    [({"tail_entities": MEMBERS},), ({"error": " | ".join(MEMBERS)},)],
    ids=["listed", "in its text"],
)
def test_a_dump_of_what_came_with_an_error_has_no_evidence(
    play: Play, results: tuple[dict[str, Any], ...], score: AnswerScore
) -> None:
    class Failing:
        async def retrieve(self, request: Mapping[str, Any]) -> Retrieval:
            return Retrieval(results, 0.0, 0, RetrievalError("no_results", " | ".join(MEMBERS)))

        async def aclose(self) -> None:
            return None

    dump = answer(" | ".join(MEMBERS))
    _, reward = play(ALL_MEMBERS, dump, gold=GOLD, topic="Club", client=Failing(), score=score)
    assert (reward.metrics["evidence"], reward.metrics["coverage"]) == (0.0, 0.0)
    assert reward.outcome < 0.1


@pytest.mark.parametrize("score", SCORES)
def test_what_is_retrieved_after_the_answer_is_no_evidence(
    make_episode: Callable[..., Episode], score: AnswerScore
) -> None:
    late = make_episode(["Paris"], answered(["Paris"]), searched("Paris"))
    assert outcome(late, score) == 1.0
    late = make_episode(["Paris"], answered(["Paris"]), searched("Paris"), answered(["Paris"]))
    assert outcome(late, score) == 1.0


@pytest.mark.parametrize("score", ["em", "f1", "hits_at_1"])
def test_every_wrong_name_costs(make_episode: Callable[..., Episode], score: AnswerScore) -> None:
    earned = [
        outcome(make_episode(GOLD, searched(*MEMBERS), answered([*GOLD, *MEMBERS[100:last]])), score)
        for last in range(100, 152)
    ]
    assert earned[0] == 2.0
    assert all(more < less for less, more in pairwise(earned))


@pytest.mark.parametrize("score", SCORES)
def test_one_right_answer_of_three_beats_naming_everything(play: Play, score: AnswerScore) -> None:
    _, one = play(ALL_MEMBERS, answer(GOLD[0]), gold=GOLD, topic="Club", score=score)
    _, everything = play(ALL_MEMBERS, answer(" | ".join(MEMBERS)), gold=GOLD, topic="Club", score=score)
    # F1 of one right answer with three gold answers: 2 * 1 / (1 + 3).
    assert one.outcome == pytest.approx(0.5 if score == "em" else 1.0)
    assert one.outcome > 10 * everything.outcome
