"""Many episodes at once: their order, their independence, and what a failure leaves whole."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from kg_r1.llm_agent.episode import EpisodeStatus
from kg_r1.llm_agent.generation import EpisodesFailed
from kg_r1.llm_agent.policies import Generation, ScriptedPolicy
from kg_r1.llm_agent.question import Question
from kg_r1.llm_agent.tokens import ByteTokenizer
from kg_r1.search.client import Retrieval
from tests.llm_agent.playing import ANSWER, FOUND, SEARCH, MakeManager, RecordingClient, named, scripted


class Failing:
    """Fails for one request, and answers the others."""

    async def generate(self, prompt_ids: Sequence[int], *, request_id: str, **_: Any) -> Generation:
        await asyncio.sleep(0)
        if request_id.startswith("bad"):
            raise RuntimeError("engine lost")
        return Generation(list(ANSWER.encode()), None, "stop")


async def test_one_failing_episode_leaves_the_others_whole(make_manager: MakeManager) -> None:
    with pytest.raises(EpisodesFailed, match="1 of 3 episodes failed: bad") as caught:
        await make_manager(Failing()).run_episodes(named("a", "bad", "c"))
    (error,) = caught.value.exceptions
    assert str(error) == "engine lost" and error.__notes__ == ["while playing question bad"]
    played = caught.value.played
    assert [item and item[0].question.question_id for item in played] == ["a", None, "c"]


async def test_episodes_run_side_by_side_up_to_the_limit_and_keep_their_order(
    make_manager: MakeManager,
) -> None:
    running, most = 0, 0

    class Slow:
        async def generate(self, prompt_ids: Sequence[int], *, request_id: str, **_: Any) -> Generation:
            nonlocal running, most
            running += 1
            most = max(most, running)
            for _step in range(5 if request_id.startswith("a") else 1):
                await asyncio.sleep(0)
            running -= 1
            return Generation(list(f"<answer>{request_id}</answer>".encode()), None, "stop")

    played = await make_manager(Slow()).run_episodes(named("a", "b", "a", "d"), max_concurrency=2)
    assert [episode.answer for episode, _ in played] == ["a#0", "b#0", "a#1", "d#0"]
    assert most == 2


async def test_a_slow_graph_holds_up_only_its_own_episode(make_manager: MakeManager) -> None:
    finished: list[str] = []
    may_answer = asyncio.Event()

    class Slow(RecordingClient):
        async def retrieve(self, request: Mapping[str, Any]) -> Retrieval:
            await may_answer.wait()
            return FOUND

    class Watching(ScriptedPolicy):
        async def generate(self, prompt_ids: Sequence[int], **options: Any) -> Generation:
            generation = await super().generate(prompt_ids, **options)
            if b"<answer>" in bytes(generation.token_ids):
                finished.append(options["request_id"])
                may_answer.set()
            return generation

    policy = Watching(ByteTokenizer(), {"slow#0": [SEARCH, ANSWER], "quick#0": [ANSWER]})
    await make_manager(policy, client=Slow(FOUND)).run_episodes(named("slow", "quick"))
    assert finished == ["quick#0", "slow#0"]


def test_the_blocking_loop_can_be_called_again(make_manager: MakeManager, question: Question) -> None:
    manager = make_manager(scripted(SEARCH, ANSWER))
    for _ in range(2):
        ((episode, _),) = manager.run_llm_loop([question])
        assert episode.status is EpisodeStatus.ANSWERED
