"""Who plays: the `Policy` protocol, and a policy that plays given texts.

`HuggingFacePolicy` lives in policies_hf.py and is reachable from here too, loaded on first use, so that an
episode played without a model loads no torch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

from kg_r1.llm_agent.tokens import ChatTokenizer, decode, encode

if TYPE_CHECKING:
    from kg_r1.llm_agent.policies_hf import HuggingFacePolicy

__all__ = ["FinishReason", "Generation", "HuggingFacePolicy", "Policy", "ScriptedPolicy"]

FinishReason = Literal["stop", "length", "aborted"]


@dataclass(frozen=True)
class Generation:
    """One sampled turn: ids, their log-probabilities if known (same length), and why sampling ended.

    'stop': a stop string or an end-of-text token came; 'length': `max_tokens` was reached; 'aborted': the
    engine gave up, and the ids are what there was until then (possibly none).
    """

    token_ids: list[int]
    log_probs: list[float] | None
    finish_reason: FinishReason


class Policy(Protocol):
    """Anything that can continue a sequence of token ids."""

    async def generate(
        self, prompt_ids: Sequence[int], *, stop: Sequence[str], max_tokens: int, request_id: str
    ) -> Generation:
        """Continue `prompt_ids` by at most `max_tokens` tokens, until the new text holds a `stop` string.

        The ids are returned uncut: the last token may carry characters beyond the stop string. `request_id`
        is the same for every turn of an episode and unlike any other episode's.
        """
        ...


class ScriptedPolicy:
    """Plays given turn texts as an engine would: token by token, up to a stop string or `max_tokens`.

    Args:
        tokenizer: makes the ids.
        turns: the texts of an episode's turns, the same for every request, or per request id. When they run
            out, the generation is aborted.
        log_prob: what is reported for every token; None reports no log-probabilities.

    `prompts` keeps the ids each request was shown, one list per turn.
    """

    def __init__(
        self,
        tokenizer: ChatTokenizer,
        turns: Sequence[str] | Mapping[str, Sequence[str]],
        log_prob: float | None = -1.0,
    ) -> None:
        self._tokenizer = tokenizer
        self._turns = turns
        self._log_prob = log_prob
        self.prompts: dict[str, list[list[int]]] = {}

    async def generate(
        self, prompt_ids: Sequence[int], *, stop: Sequence[str], max_tokens: int, request_id: str
    ) -> Generation:
        seen = self.prompts.setdefault(request_id, [])
        script = self._turns.get(request_id, ()) if isinstance(self._turns, Mapping) else self._turns
        seen.append(list(prompt_ids))
        if len(seen) > len(script):
            return Generation([], None, "aborted")
        ids = until_stop(self._tokenizer, encode(self._tokenizer, script[len(seen) - 1]), stop)
        finish: FinishReason = "stop" if len(ids) <= max_tokens else "length"
        ids = ids[:max_tokens]
        return Generation(ids, None if self._log_prob is None else [self._log_prob] * len(ids), finish)


def until_stop(tokenizer: ChatTokenizer, ids: list[int], stop: Sequence[str]) -> list[int]:
    """The shortest beginning of `ids` whose text holds one of the `stop` strings, else all of them."""
    for end in range(1, len(ids) + 1):
        text = decode(tokenizer, ids[:end])
        if any(string in text for string in stop):
            return ids[:end]
    return ids


def __getattr__(name: str) -> Any:
    if name == "HuggingFacePolicy":
        from kg_r1.llm_agent.policies_hf import HuggingFacePolicy

        return HuggingFacePolicy
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
