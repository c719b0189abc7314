"""How well a fact fits a question: its key, its context, its time."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from kblampp.name_words import NO_WORD
from kblampp.time_features import NUM_FEATURES, OPEN_END, OPEN_START, is_timeless, time_features

_DECADE_DAYS = 3652.5


class QueryMap(nn.Module):
    """W_q: the question's vector into the space of the keys, starting as the identity. [B, d] -> [B, d]"""

    def __init__(self, d: int) -> None:
        super().__init__()
        self.change = nn.Parameter(torch.zeros(d, d))

    def forward(self, question: Tensor) -> Tensor:
        """float [B, d], of length 1 like the keys."""
        return nn.functional.normalize(question + question @ self.change.T, dim=-1)

    def distance_from_identity(self) -> Tensor:
        """Squared Frobenius norm of W_q - I, over d: 0 to start."""
        return self.change.square().sum() / self.change.shape[0]


class SemanticScorer(nn.Module):
    """z . k / sqrt(d) for z and k scaled to a root mean square of 1: sqrt(d) times their cosine."""

    def forward(self, queries: Tensor, keys: Tensor) -> Tensor:
        """float [B, K] of queries [B, d] and keys [B, K, d], both of length 1."""
        return torch.einsum("bd,bkd->bk", queries, keys) * keys.shape[-1] ** 0.5


class ContextScorer(nn.Module):
    """Cosine of the question and the sentence that states the fact."""

    def forward(self, question: Tensor, contexts: Tensor) -> Tensor:
        """float [B, K] of question [B, d] and contexts [B, K, d]; 0 where a fact has no sentence."""
        return torch.einsum("bd,bkd->bk", question, contexts)


class NameScorer(nn.Module):
    """Whether the fact's head is named in the question: the share of its words that stand there.

    A sentence's vector hardly tells apart two names that differ in one part; their words do.
    """

    def forward(self, question_words: Tensor, name_words: Tensor) -> Tensor:
        """float [B, K] of question_words int [B, W] and name_words int [B, K, MAX_WORDS]."""
        is_word = name_words != NO_WORD
        stands = (name_words[..., None] == question_words[:, None, None]).any(-1) & is_word
        return stands.sum(-1) / is_word.sum(-1).clamp(min=1)


class TimeScorer(nn.Module):
    """Whether a fact holds at the time that the question asks about.

    The share of the question's time that the fact covers, less the decades between the two if they are apart
    (at most 1); and a bilinear form of their waves, zero to start, that learns the rest. 0 where the question
    has no time or the fact is timeless.
    """

    def __init__(self) -> None:
        super().__init__()
        self.form = nn.Parameter(torch.zeros(NUM_FEATURES, NUM_FEATURES))

    def forward(self, asked: Tensor, facts: Tensor) -> Tensor:
        """float [B, K] of asked int [B, 2] and facts int [B, K, 2], in days (`time_features.as_days`)."""
        asked = asked[:, None]
        latest_start = torch.maximum(asked[..., 0], facts[..., 0])
        earliest_end = torch.minimum(asked[..., 1], facts[..., 1])
        overlap = (earliest_end - latest_start + 1).clamp(min=0).float()
        covered = overlap / (asked[..., 1] - asked[..., 0] + 1).float()
        apart = (latest_start - earliest_end).clamp(min=0).float() / _DECADE_DAYS
        # A question open to one side covers so many days that a share of them says nothing.
        is_open = (asked == torch.tensor([OPEN_START, OPEN_END], device=asked.device)).any(-1)
        fits = torch.where(is_open, (overlap > 0).float(), covered)
        learned = torch.einsum(
            "bkf,fg,bkg->bk",
            time_features(asked).expand(*facts.shape[:2], -1),
            self.form,
            time_features(facts),
        )
        counts = ~(is_timeless(asked) | is_timeless(facts))
        return (fits - apart.clamp(max=1.0) + learned) * counts


def holds_at(asked: Tensor, facts: Tensor) -> Tensor:
    """bool [B, K]: the two share a day. True where the question has no time. Arguments as `TimeScorer`."""
    return torch.maximum(asked[:, None, 0], facts[..., 0]) <= torch.minimum(asked[:, None, 1], facts[..., 1])
