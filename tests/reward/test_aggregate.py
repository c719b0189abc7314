"""Means over episodes, and which questions a graph can answer at all."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from kg_r1.eval.metrics import aggregate, reachable
from kg_r1.kg.graph import Subgraph
from kg_r1.llm_agent.episode import Episode, EpisodeStatus, Turn
from kg_r1.llm_agent.protocol import TurnKind
from kg_r1.llm_agent.question import Question
from kg_r1.reward.rubric import Rubric

MakeEpisode = Callable[..., Episode]


def answered(text: str) -> Turn:
    return Turn(0, "", TurnKind.ANSWER, answer=text, num_tokens=10)


def test_means_and_shares(make_episode: MakeEpisode) -> None:
    episodes = [
        make_episode(["Paris"], answered("Paris")),
        make_episode(["Paris"], answered("Paris | Rome")),
        make_episode(["Paris"], Turn(0, "", TurnKind.MALFORMED, problem="x", num_tokens=4), answered("Rome")),
        make_episode(["Paris"], status=EpisodeStatus.PROMPT_TOO_LONG),
    ]
    row = aggregate(episodes, [Rubric().score(episode) for episode in episodes])
    assert row["num_episodes"] == 4.0
    assert row["reward"] == row["part/answer"] == row["em"] == 0.25
    assert row["hit"] == row["hits_at_1"] == 0.5
    assert row["f1"] == pytest.approx((1 + 2 / 3) / 4)
    assert (row["num_turns"], row["generated_tokens"], row["total_tokens"]) == (1.0, 8.5, 108.5)
    shares = {status: row[f"status/{status.value}"] for status in EpisodeStatus}
    assert shares == dict.fromkeys(EpisodeStatus, 0.0) | {
        EpisodeStatus.ANSWERED: 0.75,
        EpisodeStatus.PROMPT_TOO_LONG: 0.25,
    }


def test_what_cannot_be_averaged_is_refused(make_episode: MakeEpisode) -> None:
    with pytest.raises(ValueError, match="no episodes"):
        aggregate([], [])
    with pytest.raises(ValueError, match="1 episodes but 0 rewards"):
        aggregate([make_episode(["Paris"], answered("Paris"))], [])


@pytest.mark.parametrize(
    ("gold", "expected"),
    [
        ((("Paris",),), True),
        ((("m.1",),), True),
        ((("paris",),), True),
        ((("Atlantis",), ("Lutetia", "Paris")), True),
        ((("Atlantis",),), False),
        ((("Par",),), False),
        ((), False),
    ],
)
def test_reachable(gold: tuple[tuple[str, ...], ...], expected: bool) -> None:
    graph = Subgraph.from_triples([("m.2", "capital", "m.1")], {"m.1": "Paris", "m.2": "France"})
    assert reachable(graph, Question("q", "?", (), gold, "toy")) is expected
