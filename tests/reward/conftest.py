"""Episodes written down turn by turn."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from kg_r1.llm_agent.episode import Episode, EpisodeStatus, Turn
from kg_r1.llm_agent.question import Question


@pytest.fixture
def make_episode() -> Callable[..., Episode]:
    """make_episode(gold, *turns, status=None): an ended episode; gold as strings or as tuples of aliases."""

    def make(gold: list[str | tuple[str, ...]], *turns: Turn, status: EpisodeStatus | None = None) -> Episode:
        aliases = tuple((one,) if isinstance(one, str) else one for one in gold)
        episode = Episode(Question("q", "?", ("Topic",), aliases, "toy"), num_prompt_tokens=100)
        for index, turn in enumerate(turns):
            turn.index = index
            episode.add(turn)
        ends = EpisodeStatus.MAX_TURNS if episode.answer is None else EpisodeStatus.ANSWERED
        episode.finish(status or ends)
        return episode

    return make
