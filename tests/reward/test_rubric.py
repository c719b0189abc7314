"""Evidence, coverage, turn rewards, outcome and their sum, worked out by hand."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from kg_r1.llm_agent.episode import Episode, EpisodeStatus, Turn
from kg_r1.llm_agent.protocol import TurnKind
from kg_r1.llm_agent.question import Question
from kg_r1.reward.evidence import coverage, grounded_evidence, is_grounded
from kg_r1.reward.rubric import Rubric, RubricConfig
from kg_r1.search.client import Retrieval, RetrievalError

MakeEpisode = Callable[..., Episode]


def searched(*items: str, **fields: object) -> Turn:
    retrieval = Retrieval(({"tail_entities": list(items)},), 0.0, len(items))
    return Turn(0, "", TurnKind.SEARCH, retrieval=retrieval, **fields)  # type: ignore[arg-type]


def erred(**fields: object) -> Turn:
    retrieval = Retrieval((), 0.0, 0, RetrievalError("no_results", "nothing"))
    return Turn(0, "", TurnKind.SEARCH, retrieval=retrieval, **fields)  # type: ignore[arg-type]


def malformed() -> Turn:
    return Turn(0, "", TurnKind.MALFORMED, problem="no tag")


def answered(text: str, **fields: object) -> Turn:
    return Turn(0, "", TurnKind.ANSWER, answer=text, **fields)  # type: ignore[arg-type]


def test_evidence_is_the_f1_of_the_grounded_answers(make_episode: MakeEpisode) -> None:
    # Of three answers one is grounded, of four gold answers one: 2 * (1/3 * 1/4) / (1/3 + 1/4) = 2/7.
    episode = make_episode(["r1", "r2", "r3", "r4"], searched("r1", "x"), answered("r1 | r2 | x"))
    assert grounded_evidence(episode) == pytest.approx(2 / 7)
    assert coverage(episode) == 0.25


def test_evidence_is_f1_where_every_right_answer_was_retrieved(make_episode: MakeEpisode) -> None:
    # Precision 2/5, recall 2/3.
    episode = make_episode(["a", "b", "c"], searched("a", "b", "x"), answered("a | A | b | x | y | z"))
    assert grounded_evidence(episode) == pytest.approx(0.5)
    assert Rubric().score(episode).metrics["f1"] == pytest.approx(0.5)


def test_an_episode_is_grounded_when_it_retrieved_all_its_right_answers(make_episode: MakeEpisode) -> None:
    assert is_grounded(make_episode(["r1", "r2"], searched("r1"), answered("r1 | x")))
    assert not is_grounded(make_episode(["r1", "r2"], searched("r1"), answered("r1 | r2")))
    assert not is_grounded(make_episode(["r1"], searched("r1"), answered("x")))
    assert not is_grounded(make_episode(["r1"], answered("r1"), searched("r1")))


def test_evidence_goes_by_answer_not_by_alias(make_episode: MakeEpisode) -> None:
    episode = make_episode([("United States", "USA")], searched("The United States"), answered("USA"))
    assert (grounded_evidence(episode), coverage(episode)) == (1.0, 1.0)


def test_retrieved_but_not_answered_is_coverage_only(make_episode: MakeEpisode) -> None:
    episode = make_episode(["r1"], searched("r1"), answered("wrong"))
    assert (grounded_evidence(episode), coverage(episode)) == (0.0, 1.0)


def test_default_reward_of_a_right_and_grounded_answer(make_episode: MakeEpisode) -> None:
    reward = Rubric().score(make_episode(["Paris"], searched("Paris"), answered("Paris")))
    assert reward.total == reward.outcome == 2.0
    assert reward.turn_rewards == [0.0, 0.0]
    assert reward.parts == {
        "answer": 1.0,
        "evidence": 1.0,
        "format": 0.0,
        "query": 0.0,
        "turn_cost": 0.0,
        "token_cost": 0.0,
    }


def test_published_weights_turn_by_turn(make_episode: MakeEpisode) -> None:
    rubric = Rubric(RubricConfig(w_format=0.5, w_query=0.5))
    episode = make_episode(
        ["Paris", "Lyon"],
        searched("Paris"),  # .5 + .5
        searched("Paris", is_repeated=True),  # .5
        erred(),  # .5
        malformed(),  # 0
        searched("x", problem="no think"),  # .5 for the query
        answered("Paris | x | y | z", problem="no think"),  # 0
    )
    reward = rubric.score(episode)
    assert reward.turn_rewards == [1.0, 0.5, 0.5, 0.0, 0.5, 0.0]
    # Not exact, so only the evidence: of four answers one is grounded, of two gold answers one, F1 1/3.
    assert reward.outcome == pytest.approx(1 / 3)
    assert {name: reward.parts[name] for name in ("answer", "evidence", "format", "query")} == {
        "answer": 0.0,
        "evidence": 1 / 3,
        "format": 1.5,
        "query": 1.0,
    }
    assert reward.total == pytest.approx(2.5 + 1 / 3)
    assert sum(reward.parts.values()) == pytest.approx(reward.total)


def test_turns_and_tokens_cost_where_they_are_written(make_episode: MakeEpisode) -> None:
    rubric = Rubric(RubricConfig(w_format=0.5, cost_turn=0.25, cost_token=0.125))
    episode = make_episode(["Paris"], searched("Paris", num_tokens=4), answered("Paris", num_tokens=2))
    reward = rubric.score(episode)
    assert reward.turn_rewards == [0.5 - 0.25 - 0.5, 0.5 - 0.25 - 0.25]
    assert (reward.parts["turn_cost"], reward.parts["token_cost"]) == (-0.5, -0.75)
    assert reward.total == reward.outcome + sum(reward.turn_rewards) == sum(reward.parts.values())


@pytest.mark.parametrize(("score", "value"), [("em", 0.0), ("f1", 2 / 3), ("hits_at_1", 1.0)])
def test_the_answers_score_can_be_chosen(make_episode: MakeEpisode, score: str, value: float) -> None:
    config = RubricConfig(answer_score=score, w_answer=2.0, w_evidence=0.0)  # type: ignore[arg-type]
    reward = Rubric(config).score(make_episode(["Paris", "Lyon"], answered("Paris")))
    assert reward.total == pytest.approx(2 * value)


def test_an_unknown_score_is_refused() -> None:
    with pytest.raises(ValueError, match="answer_score"):
        RubricConfig(answer_score="bleu")  # type: ignore[arg-type]


def test_metrics_of_an_episode(make_episode: MakeEpisode) -> None:
    episode = make_episode(
        ["Paris"],
        searched("Paris", num_tokens=10, num_observation_tokens=4),
        searched("Paris", num_tokens=10, num_observation_tokens=4, is_repeated=True),
        erred(num_tokens=8, num_observation_tokens=6),
        malformed(),
        answered("Paris", num_tokens=5),
    )
    assert Rubric().score(episode).metrics == {
        "hit": 1.0,
        "hits_at_1": 1.0,
        "em": 1.0,
        "f1": 1.0,
        "evidence": 1.0,
        "coverage": 1.0,
        "valid_query_rate": 0.5,
        "well_formed_rate": 0.8,
        "num_turns": 5.0,
        "num_searches": 3.0,
        "num_repeated": 1.0,
        "num_kg_failures": 0.0,
        "tool_tokens": 14.0,
        "generated_tokens": 33.0,
        "total_tokens": 147.0,
    }


@pytest.mark.parametrize(("code", "count"), [("server_timeout", 1.0), ("unknown_entity", 0.0)])
def test_only_an_unreachable_graph_counts_as_its_failure(
    make_episode: MakeEpisode, code: str, count: float
) -> None:
    retrieval = Retrieval((), 0.0, 0, RetrievalError(code, "no"))
    episode = make_episode(["Paris"], Turn(0, "", TurnKind.SEARCH, retrieval=retrieval), answered("Paris"))
    assert Rubric().score(episode).metrics["num_kg_failures"] == count


@pytest.mark.parametrize(
    "status", [status for status in EpisodeStatus if status is not EpisodeStatus.ANSWERED]
)
def test_without_an_answer_there_is_no_outcome(make_episode: MakeEpisode, status: EpisodeStatus) -> None:
    reward = Rubric(RubricConfig(w_format=0.5)).score(
        make_episode(["Paris"], searched("Paris"), status=status)
    )
    assert reward.outcome == 0.0
    assert reward.total == 0.5
    assert reward.metrics["coverage"] == 1.0


def test_an_episode_without_turns_scores_zero(make_episode: MakeEpisode) -> None:
    reward = Rubric().score(make_episode(["Paris"], status=EpisodeStatus.PROMPT_TOO_LONG))
    assert (reward.total, reward.turn_rewards) == (0.0, [])
    assert reward.metrics["valid_query_rate"] == 0.0


def test_the_last_answer_counts(make_episode: MakeEpisode) -> None:
    episode = make_episode(["Paris"], answered("Rome"), answered("Paris"))
    assert episode.answer == "Paris"
    assert Rubric().score(episode).metrics["em"] == 1.0


def test_a_running_episode_is_not_scored() -> None:
    with pytest.raises(ValueError, match="q7 has not ended"):
        Rubric().score(Episode(Question("q7", "?", (), (), "toy")))
