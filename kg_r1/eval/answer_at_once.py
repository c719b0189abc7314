"""For baselines with one turn: a model that does not answer in it is asked again, from the answer tag on.

A model that has learned little but to search searches even where it must answer, and would then be scored
for its habit and not for what it knows.
"""

from __future__ import annotations

from collections.abc import Sequence

from kg_r1.llm_agent.policies import Generation, Policy
from kg_r1.llm_agent.tokens import ChatTokenizer, decode, encode
from kg_r1.llm_agent.turn_form import THINK

ANSWER_TAG = "<answer>"
THOUGHT = f"{THINK}This is the last turn.</think>\n"


class AnswerAtOnce:
    """A policy whose turns are the other's wherever these answer, and else begin with the answer tag.

    Args:
        policy: who writes, both times.
        tokenizer: the policy's own.
        with_think: whether a turn must have a thought before its answer.
        begun_with_think: whether each turn comes with its think tag, which is then not written again.
    """

    def __init__(
        self,
        policy: Policy,
        tokenizer: ChatTokenizer,
        *,
        with_think: bool,
        begun_with_think: bool = False,
    ) -> None:
        self._policy = policy
        self._tokenizer = tokenizer
        thought = THOUGHT.removeprefix(THINK) if begun_with_think else THOUGHT
        self._start = encode(tokenizer, (thought if with_think else "") + ANSWER_TAG)

    async def generate(
        self, prompt_ids: Sequence[int], *, stop: Sequence[str], max_tokens: int, request_id: str
    ) -> Generation:
        first = await self._policy.generate(
            prompt_ids, stop=stop, max_tokens=max_tokens, request_id=request_id
        )
        room = max_tokens - len(self._start)
        answers = ANSWER_TAG in decode(self._tokenizer, first.token_ids)
        if answers or first.finish_reason == "aborted" or room < 1:
            return first
        rest = await self._policy.generate(
            [*prompt_ids, *self._start], stop=stop, max_tokens=room, request_id=request_id
        )
        if not rest.token_ids:
            return first
        return Generation([*self._start, *rest.token_ids], None, rest.finish_reason)
