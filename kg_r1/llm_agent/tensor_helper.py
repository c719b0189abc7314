"""Token ids of one episode: what the policy saw, what it sampled, and which tokens carry loss."""

from __future__ import annotations

from collections.abc import Sequence


class TokenBuffer:
    """The growing id sequence of an episode, piece by piece as engine and environment produced it.

    No piece is ever tokenised again. The mask is 1 on sampled tokens and 0 on observations, and an
    observation stands between any two sampled turns, so the runs of 1 are exactly the turns.
    """

    def __init__(self, prompt_ids: Sequence[int]) -> None:
        self.prompt_ids: list[int] = list(prompt_ids)  # [num_prompt_tokens]
        self.response_ids: list[int] = []  # [num_response_tokens]
        self.response_mask: list[int] = []  # [num_response_tokens], 1 = sampled
        self.turn_spans: list[tuple[int, int]] = []  # [num_turns], (start, end) in response_ids
        self._log_probs: list[float] = []
        self._has_log_probs = True

    @property
    def all_ids(self) -> list[int]:
        """Prompt and response: what the policy is shown next. A new list. [num_prompt + num_response]"""
        return self.prompt_ids + self.response_ids

    @property
    def response_log_probs(self) -> list[float] | None:
        """Log-probability of each response token, 0.0 on observations; None if some turn came without.

        [num_response_tokens]
        """
        return self._log_probs if self._has_log_probs else None

    def append_sampled(self, ids: Sequence[int], log_probs: Sequence[float] | None = None) -> None:
        """Append one sampled turn.

        Raises ValueError for an empty turn, for log-probs that do not align, or for a turn that follows
        another without an observation between: the mask could not tell the two apart.
        """
        if not ids:
            raise ValueError("a sampled turn must have at least one token")
        if log_probs is not None and len(log_probs) != len(ids):
            raise ValueError(f"{len(log_probs)} log-probs for {len(ids)} sampled tokens")
        start = len(self.response_ids)
        if self.turn_spans and self.turn_spans[-1][1] == start:
            raise ValueError("two sampled turns need an observation between them")
        self._has_log_probs = self._has_log_probs and log_probs is not None
        self._append(ids, 1, log_probs if log_probs is not None else [0.0] * len(ids))
        self.turn_spans.append((start, len(self.response_ids)))

    def append_observation(self, ids: Sequence[int]) -> None:
        """Append the tokens of an observation. Raises ValueError for an empty one."""
        if not ids:
            raise ValueError("an observation must have at least one token")
        self._append(ids, 0, [0.0] * len(ids))

    def _append(self, ids: Sequence[int], mask: int, log_probs: Sequence[float]) -> None:
        self.response_ids.extend(ids)
        self.response_mask.extend([mask] * len(ids))
        self._log_probs.extend(log_probs)
