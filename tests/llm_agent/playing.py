"""Turns, policies, clients and questions for tests that play episodes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from kg_r1.llm_agent.generation import LLMGenerationManager
from kg_r1.llm_agent.policies import ScriptedPolicy
from kg_r1.llm_agent.question import Question
from kg_r1.llm_agent.tokens import ByteTokenizer
from kg_r1.search.client import Retrieval, RetrievalError

MakeManager = Callable[..., LLMGenerationManager]
SEARCH = '<think>capital</think>\n<search>get_tail_entities("France", "capital")</search>'
BORDERS = '<think>borders</think>\n<search>get_tail_entities("France", "borders")</search>'
ANSWER = "<think>done</think>\n<answer>Paris</answer>"
MUST_ANSWER = "Last turn: you must answer now.\n"


FOUND = Retrieval(({"tail_entities": ["Paris"]},), 0.0, 1)
DOWN = Retrieval((), 0.0, 0, RetrievalError("server_unavailable", "http://127.0.0.1:1 does not answer"))


def scripted(*turns: str) -> ScriptedPolicy:
    return ScriptedPolicy(ByteTokenizer(), turns)


def named(*ids: str) -> list[Question]:
    return [Question(one, "?", (), (("Paris",),), "toy") for one in ids]


class RecordingClient:
    """Answers with the given retrievals in turn, the last one for ever, and keeps the requests."""

    def __init__(self, *retrievals: Retrieval) -> None:
        self.retrievals = list(retrievals)
        self.requests: list[dict[str, Any]] = []

    async def retrieve(self, request: Mapping[str, Any]) -> Retrieval:
        self.requests.append(dict(request))
        return self.retrievals.pop(0) if len(self.retrievals) > 1 else self.retrievals[0]

    async def retrieve_batch(self, requests: Sequence[Mapping[str, Any]]) -> list[Retrieval]:
        return [await self.retrieve(request) for request in requests]

    async def aclose(self) -> None:
        return None
