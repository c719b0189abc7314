"""Whatever is sampled and however tight the limits: what holds for every episode."""

from __future__ import annotations

import asyncio
import socket
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kg_r1.llm_agent.config import GenerationConfig
from kg_r1.llm_agent.episode import EpisodeStatus
from kg_r1.llm_agent.generation import LLMGenerationManager
from kg_r1.llm_agent.policies import ScriptedPolicy
from kg_r1.llm_agent.question import Question
from kg_r1.llm_agent.tokens import ByteTokenizer
from kg_r1.search.client import HttpKGClient, InProcessKGClient, Retrieval, RetrievalError
from tests.llm_agent.playing import (
    ANSWER,
    BORDERS,
    DOWN,
    FOUND,
    SEARCH,
    MakeManager,
    RecordingClient,
    scripted,
)

TURNS = [SEARCH, BORDERS, ANSWER, "", "oops", "<think>no end", "<search>fly()</search>", "é" * 30]
LIMITS = st.fixed_dictionaries(
    {
        "max_turns": st.integers(1, 5),
        "max_start_length": st.sampled_from([100, 4000]),
        "max_prompt_length": st.integers(500, 1500),
        "max_response_length": st.integers(16, 120),
        "max_obs_length": st.integers(79, 200),
        "max_episode_tokens": st.none() | st.integers(16, 600),
        "kg_failure": st.sampled_from(["continue", "end"]),
        "max_kg_failures": st.integers(0, 2),
    }
)
ANSWERS = [FOUND, DOWN, Retrieval((), 0.0, 0, RetrievalError("no_results", "nothing"))]


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    turns=st.lists(st.sampled_from(TURNS), max_size=6),
    limits=LIMITS,
    retrievals=st.lists(st.sampled_from(ANSWERS), min_size=1, max_size=4),
)
def test_what_holds_for_every_episode(
    question: Question, turns: list[str], limits: dict[str, Any], retrievals: list[Retrieval]
) -> None:
    config = GenerationConfig(**limits)
    policy = scripted(*turns)
    client = RecordingClient(*retrievals)
    manager = LLMGenerationManager(config, ByteTokenizer(), policy, client)
    episode, buffer = asyncio.run(manager.run_episode(question, "r"))

    assert isinstance(episode.status, EpisodeStatus)
    assert (episode.status is EpisodeStatus.ANSWERED) == (episode.answer is not None)
    assert len(episode.turns) <= config.max_turns
    if episode.status is not EpisodeStatus.PROMPT_TOO_LONG:
        assert len(buffer.all_ids) <= config.max_prompt_length
        assert len(buffer.response_ids) <= (config.max_episode_tokens or config.max_prompt_length)
    assert all(turn.num_tokens <= config.max_response_length for turn in episode.turns)
    assert all(turn.num_observation_tokens <= config.max_obs_length for turn in episode.turns)
    assert len(client.requests) <= len(episode.turns)

    assert [turn.num_tokens for turn in episode.turns] == [end - start for start, end in buffer.turn_spans]
    assert sum(buffer.response_mask) == episode.num_generated_tokens
    assert len(buffer.response_ids) == episode.num_generated_tokens + episode.num_tool_tokens
    assert all(end < start for (_, end), (start, _) in pairwise(buffer.turn_spans))
    for seen in policy.prompts.get("r", []):
        assert buffer.all_ids[: len(seen)] == seen


async def test_a_server_that_is_down_ends_the_episode_after_its_budget(
    make_manager: MakeManager, question: Question
) -> None:
    with socket.socket() as taken:
        # Bound but not listening: every connection is refused for as long as the socket lives.
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/retrieve"
        client = HttpKGClient(url, timeout_s=5, max_retries=1, backoff_s=0.001)
        manager = make_manager(scripted(SEARCH, BORDERS, ANSWER), client=client, max_kg_failures=1)
        episode, _ = await manager.run_episode(question)
        await client.aclose()
    assert episode.status is EpisodeStatus.KG_UNAVAILABLE
    codes = [turn.retrieval.error.code for turn in episode.turns if turn.retrieval and turn.retrieval.error]
    assert codes == ["server_unavailable", "server_unavailable"]
    assert "cannot be reached" in (episode.turns[0].observation or "")
    assert url not in (episode.turns[0].observation or "")


@pytest.mark.parametrize("sample_id", [None, "any"])
async def test_a_shared_kg_needs_no_sample(
    client: InProcessKGClient, question: Question, sample_id: str | None
) -> None:
    asked = Question("q", "?", (), (), "toy", sample_id=sample_id)
    policy = ScriptedPolicy(ByteTokenizer(), [SEARCH, ANSWER])
    episode, _ = await LLMGenerationManager(
        GenerationConfig(max_prompt_length=9000), ByteTokenizer(), policy, client
    ).run_episode(asked)
    assert episode.turns[0].observation == "\n<information>Paris</information>\n"
