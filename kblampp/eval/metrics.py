"""How answers are judged: exact match, token F1, refusals, and whether the right fact was chosen."""

from __future__ import annotations

import re
import string
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kblampp.questions import REFUSAL, Question

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)
CUTS = (1, 5, 16)
_NUM_RESAMPLES = 1000


def normalised(text: str) -> str:
    """As SQuAD compares answers (Rajpurkar et al. 2016), after NFKC."""
    text = unicodedata.normalize("NFKC", text).lower().translate(_PUNCTUATION)
    return " ".join(_ARTICLES.sub(" ", text).split())


def exact_match(text: str, answers: Sequence[str]) -> float:
    """1 when the text equals an answer after `normalised`, else 0; never a substring."""
    return float(normalised(text) in {normalised(answer) for answer in answers})


def token_f1(text: str, answers: Sequence[str]) -> float:
    """Harmonic mean of precision and recall over words, the best over the answers."""
    return max(_f1(normalised(text).split(), normalised(answer).split()) for answer in answers)


def _f1(said: list[str], wanted: list[str]) -> float:
    common = sum((Counter(said) & Counter(wanted)).values())
    return 2 * common / (len(said) + len(wanted)) if common else 0.0


@dataclass(frozen=True)
class Judged:
    """One question answered."""

    question: Question
    text: str
    em: float
    f1: float
    gold_rank: int | None
    """Place of the fact with the answer among the chosen, from 0; None when it is not among them, or when
    the question has none."""
    num_context_tokens: int
    """Tokens of the prompt beyond those of the question alone."""
    refusal_alpha: float | None = None


def judge(
    question: Question,
    text: str,
    num_context_tokens: int,
    chosen: Sequence[str] | None = None,
    refusal_alpha: float | None = None,
) -> Judged:
    """Compares an answer with the question's.

    Args:
        question: as it stands in the file.
        text: what was said.
        num_context_tokens: as in `Judged`.
        chosen: ids of the facts that were looked at, best first; None for a system that looks at none.
        refusal_alpha: weight of the null fact.
    """
    rank = None
    if chosen is not None and question.supporting_facts and question.supporting_facts[-1] in chosen:
        rank = list(chosen).index(question.supporting_facts[-1])
    return Judged(
        question,
        text,
        exact_match(text, question.answers),
        token_f1(text, question.answers),
        rank,
        num_context_tokens,
        refusal_alpha,
    )


@dataclass(frozen=True)
class Scores:
    """Means over a group of questions."""

    num_questions: int
    em: float
    em_low: float
    """95 % interval of EM, by 1,000 resamplings of the questions."""
    em_high: float
    f1: float
    acc: dict[int, float | None]
    """Share of answerable questions whose fact is among the first k chosen; None where none is chosen."""
    refusal_precision: float | None
    """Of the refusals, the share that was right; None where there is none."""
    refusal_recall: float | None
    """Of the unanswerable questions, the share that was refused; None where there is none."""
    num_context_tokens: float


def summarise(judged: Sequence[Judged], *, chooses: bool, seed: int = 0) -> Scores:
    """Raises ValueError for no questions at all."""
    if not judged:
        raise ValueError("no question was judged")
    em = np.array([it.em for it in judged])
    draws = np.random.default_rng(seed).integers(len(em), size=(_NUM_RESAMPLES, len(em)))
    low, high = np.quantile(em[draws].mean(-1), [0.025, 0.975])
    answerable = [it for it in judged if it.question.supporting_facts]
    ranks = [it.gold_rank for it in answerable]
    refused = [it for it in judged if normalised(it.text) == normalised(REFUSAL)]
    unanswerable = [it for it in judged if it.question.type == "unanswerable"]
    right = [it for it in refused if it.question.type == "unanswerable"]
    return Scores(
        num_questions=len(judged),
        em=float(em.mean()),
        em_low=float(low),
        em_high=float(high),
        f1=float(np.mean([it.f1 for it in judged])),
        acc={
            k: sum(rank is not None and rank < k for rank in ranks) / len(ranks)
            if chooses and ranks
            else None
            for k in CUTS
        },
        refusal_precision=len(right) / len(refused) if refused else None,
        refusal_recall=len(right) / len(unanswerable) if unanswerable else None,
        num_context_tokens=float(np.mean([it.num_context_tokens for it in judged])),
    )


def groups_of(question: Question) -> list[str]:
    """Names of the groups that a report tells apart: its type, its hops, its tags."""
    hops = [f"{question.num_hops} hops"] if question.type == "multi-hop" else []
    return [question.type, *hops, *question.tags]
