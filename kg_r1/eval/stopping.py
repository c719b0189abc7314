"""Whether an episode searched exactly as often as its question needs before it answered."""

from __future__ import annotations

from kg_r1.data.evidence_path import chains_of
from kg_r1.llm_agent.episode import Episode, EpisodeStatus
from kg_r1.llm_agent.protocol import TurnKind
from kg_r1.llm_agent.question import Question

ENTITY_SEARCHES = frozenset({"get_head_entities", "get_tail_entities"})


def num_hops_needed(question: Question) -> int | None:
    """How many hops the question's path has, those of all its chains together.

    None for a question that does not say its path or its number of hops. A "without" step needs no search.
    Raises ValueError for a path that cannot be read.
    """
    if not question.path or not question.num_hops:
        return None
    return sum(chain.num_hops for chain in chains_of(question))


def num_hops_searched(episode: Episode) -> int:
    """How many entity searches were answered with results before the first answer turn.

    Entity searches are `get_head_entities` and `get_tail_entities`: listing relations is looking, not
    walking. A search that repeats an earlier one is not counted again.
    """
    num_searched = 0
    for turn in episode.turns:
        if turn.kind is TurnKind.ANSWER:
            break
        is_hop = turn.query is not None and turn.query["action"] in ENTITY_SEARCHES
        num_searched += is_hop and turn.has_succeeded and not turn.is_repeated
    return num_searched


def stop_accuracy(episode: Episode) -> float | None:
    """1 when the episode answered after exactly as many hops as the path has, else 0.

    An episode that never answered never stopped: 0. None for a question whose need is unknown, which is to be
    left out of every mean. One search per hop is what the path needs where a search can hold every name
    of a set; on a graph with larger sets, a walk that splits a set over two searches counts as having
    gone on too long.
    """
    needed = num_hops_needed(episode.question)
    if needed is None:
        return None
    return float(episode.status is EpisodeStatus.ANSWERED and num_hops_searched(episode) == needed)
