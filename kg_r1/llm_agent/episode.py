"""One episode as a record: its turns, what each asked and got, and how it ended."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from kg_r1.llm_agent.protocol import TurnKind
from kg_r1.llm_agent.question import Question
from kg_r1.search.client import Retrieval


class EpisodeStatus(StrEnum):
    """How an episode ended. Each ends in exactly one of these."""

    ANSWERED = "answered"
    MAX_TURNS = "max_turns"
    MAX_TOKENS = "max_tokens"
    PROMPT_TOO_LONG = "prompt_too_long"
    KG_UNAVAILABLE = "kg_unavailable"
    POLICY_ABORTED = "policy_aborted"
    CRASHED = "crashed"


@dataclass
class Turn:
    """One sampled turn and what came of it.

    `text` is the decoded sampled tokens; `query` is a Query as a dict; `retrieval` is None for a turn that
    asked nothing of the KG; `observation` is the framed text that was appended, None if nothing was.
    `problem` is None for a well-formed turn. `is_repeated`: the same query was asked before.
    """

    index: int
    text: str
    kind: TurnKind
    think: str | None = None
    query: dict[str, Any] | None = None
    retrieval: Retrieval | None = None
    observation: str | None = None
    answer: str | None = None
    problem: str | None = None
    is_repeated: bool = False
    num_tokens: int = 0
    num_observation_tokens: int = 0
    kg_seconds: float = 0.0

    @property
    def is_well_formed(self) -> bool:
        return self.problem is None

    @property
    def has_succeeded(self) -> bool:
        """Whether the turn's search was answered with results."""
        return self.retrieval is not None and self.retrieval.ok

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        row = dict(vars(self))
        row["kind"] = self.kind.value
        row["retrieval"] = None if self.retrieval is None else _retrieval_dict(self.retrieval)
        return row


@dataclass
class Episode:
    """The text side of one question being played. `status` is None while it runs and is set once."""

    question: Question
    num_prompt_tokens: int = 0
    turns: list[Turn] = field(default_factory=list)
    _status: EpisodeStatus | None = None

    @property
    def status(self) -> EpisodeStatus | None:
        return self._status

    def finish(self, status: EpisodeStatus) -> None:
        """End the episode. Raises RuntimeError when it has ended already."""
        if self._status is not None:
            raise RuntimeError(f"the episode has already ended with {self._status.value}")
        self._status = status

    def add(self, turn: Turn) -> None:
        """Append a turn. Raises RuntimeError when the episode has ended."""
        if self._status is not None:
            raise RuntimeError(f"the episode has already ended with {self._status.value}")
        self.turns.append(turn)

    @property
    def answer(self) -> str | None:
        """The text of the last answer turn; None when there is none."""
        return next((turn.answer for turn in reversed(self.turns) if turn.answer is not None), None)

    @property
    def num_generated_tokens(self) -> int:
        return sum(turn.num_tokens for turn in self.turns)

    @property
    def num_tool_tokens(self) -> int:
        return sum(turn.num_observation_tokens for turn in self.turns)

    def retrievals(self) -> Iterator[Retrieval]:
        """The successful retrievals before the first answer turn, in order."""
        for turn in self.turns:
            if turn.kind is TurnKind.ANSWER:
                return
            if turn.retrieval is not None and turn.retrieval.ok:
                yield turn.retrieval

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types, for the validation generation log."""
        return {
            "question": self.question.to_dict(),
            "status": None if self._status is None else self._status.value,
            "answer": self.answer,
            "num_prompt_tokens": self.num_prompt_tokens,
            "num_generated_tokens": self.num_generated_tokens,
            "num_tool_tokens": self.num_tool_tokens,
            "turns": [turn.to_dict() for turn in self.turns],
        }


def _retrieval_dict(retrieval: Retrieval) -> dict[str, Any]:
    error = retrieval.error
    return {
        "results": list(retrieval.results),
        "query_time": retrieval.query_time,
        "total_results": retrieval.total_results,
        "error": None if error is None else {"code": error.code, "message": error.message},
    }
