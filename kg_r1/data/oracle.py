"""The oracle: a policy that walks a question's evidence path through the environment itself."""

from __future__ import annotations

import random
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass

from kg_r1.data.evidence_path import Chain, chains_of
from kg_r1.data.oracle_detours import Habits
from kg_r1.data.oracle_walk import OracleConfig, OracleStuck, OracleWalk, oracle_turns, shown_items
from kg_r1.kg.knowledge_graph import KnowledgeGraph
from kg_r1.kg.paths import shortest_path
from kg_r1.llm_agent.observation import SEPARATOR
from kg_r1.llm_agent.policies import Generation
from kg_r1.llm_agent.question import Question
from kg_r1.llm_agent.tokens import ChatTokenizer, decode, encode
from kg_r1.llm_agent.turn_form import THINK

__all__ = ["OracleConfig", "OraclePolicy", "OracleStuck", "oracle_turns", "plan_of", "shown_items"]

MAX_HOPS = 3  # of paths that have to be searched for


def plan_of(graph: KnowledgeGraph, question: Question) -> list[Chain] | None:
    """The chains that answer a question: its own path, or else the shortest that the graph has.

    None when no path reaches any answer. Raises ValueError for a path that cannot be read.
    """
    if question.path:
        return chains_of(question)
    starts = {index: topic for topic in reversed(question.topic_entities) for index in graph.resolve(topic)}
    answers = {index for aliases in question.gold for alias in aliases for index in graph.resolve(alias)}
    found = shortest_path(graph, list(starts), answers, MAX_HOPS) if starts and answers else None
    return None if found is None else [Chain(starts[found[0]], tuple(found[1]))]


class OraclePolicy:
    """Plays oracle walks, any number of episodes at once.

    Args:
        tokenizer: makes and reads the ids.
        plans: question and its chains, by question id or by request id ('<question id>#<number>', as
            `LLMGenerationManager` gives them out).
        config: how it walks.
        seed: with the request id, decides the wording.
        habits: what detours take by mistake; by default what `plans` are made of.

    An episode in which it is stuck (an error, or no names shown) is aborted. An answer too long for a turn
    names as many as fit. `walks` keeps each episode's walk by request id.
    """

    def __init__(
        self,
        tokenizer: ChatTokenizer,
        plans: Mapping[str, tuple[Question, Sequence[Chain]]],
        config: OracleConfig | None = None,
        seed: int = 0,
        habits: Habits | None = None,
    ) -> None:
        self.walks: dict[str, OracleWalk] = {}
        self._tokenizer = tokenizer
        self._plans = plans
        self._config = config or OracleConfig()
        self._seed = seed
        self._running: dict[str, _Playing] = {}
        self._habits = habits or Habits(chains for _, chains in plans.values())

    async def generate(
        self, prompt_ids: Sequence[int], *, stop: Sequence[str], max_tokens: int, request_id: str
    ) -> Generation:
        """The next turn of an episode. Raises KeyError for a request about an unknown question."""
        playing = self._running.get(request_id)
        if playing is None:
            playing = self._running[request_id] = _Playing(self._walk(request_id).turns())
            text = next(playing.turns)
        else:
            # What was appended since: the oracle's own turn, and the observation after it.
            appended = decode(self._tokenizer, prompt_ids[playing.num_read :])
            try:
                text = playing.turns.send(appended)
            except (OracleStuck, StopIteration):
                del self._running[request_id]
                return Generation([], None, "aborted")
        playing.num_read = len(prompt_ids)
        if "</answer>" in text:
            del self._running[request_id]
        ids = fitted_turn(self._tokenizer, text, max_tokens, prompt_ids)
        return Generation(ids[:max_tokens], None, "stop" if len(ids) <= max_tokens else "length")

    def _walk(self, request_id: str) -> OracleWalk:
        known = self._plans.get(request_id) or self._plans.get(request_id.rpartition("#")[0])
        if known is None:
            raise KeyError(f"the oracle has no plan for request {request_id!r}")
        rng = random.Random(f"{self._seed}:{request_id}")
        walk = self.walks[request_id] = OracleWalk(known[0], known[1], rng, self._config, self._habits)
        return walk


def fitted_turn(tokenizer: ChatTokenizer, text: str, max_tokens: int, prompt_ids: Sequence[int]) -> list[int]:
    """The ids of a turn, an answer shortened by whole names until it fits in `max_tokens`.

    The think tag of a turn that `prompt_ids` end with is left out: such a turn was begun for the policy.
    """
    if decode(tokenizer, prompt_ids[-len(THINK) :]).endswith(THINK):
        text = text.removeprefix(THINK)
    ids = encode(tokenizer, text)
    before, tag, listed = text.removesuffix("</answer>").rpartition("<answer>")
    names = listed.split(SEPARATOR)
    while len(ids) > max_tokens and tag and len(names) > 1:
        # Names are alike in length, so the share that fits is nearly right at the first go.
        names = names[: min(len(names) - 1, max(1, len(names) * max_tokens // len(ids)))]
        ids = encode(tokenizer, f"{before}{tag}{SEPARATOR.join(names)}</answer>")
    return ids


@dataclass
class _Playing:
    turns: Generator[str, str, None]
    num_read: int = 0
