"""How near mapped vectors come to the teacher's, and what they find: on held-out sentences, beside controls.

A high cosine alone proves little: the vectors of language models lie in a narrow cone, and their mean alone
has a high cosine with each of them. So every cosine is given raw and with the teacher's mean taken off.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import spearmanr

from kblampp.align.closed_form import unit

DEPTHS = (1, 5, 10)
MAX_PAIRED = 500  # sentences whose pairwise similarities are compared
_BLOCK = 256  # queries at once against the index


@dataclass(frozen=True)
class Closeness:
    """Of mapped vectors to the teacher's. `spearman` compares all similarities between two sentences."""

    cosine: float
    p50: float
    p95: float
    centred_cosine: float
    shuffled_cosine: float
    shuffled_centred_cosine: float
    spearman: float


def closeness(mapped: np.ndarray, teacher: np.ndarray, teacher_mean: np.ndarray, seed: int) -> Closeness:
    """Compares row by row.

    Args:
        mapped: [n, d].
        teacher: [n, d], of the same texts.
        teacher_mean: [d], the mean of the teacher's training vectors, each at length 1.
        seed: of the shuffled pairs, a control in which nothing belongs together.
    """
    a, b = unit(mapped), unit(teacher)
    a_centred, b_centred = unit(a - teacher_mean), unit(b - teacher_mean)
    cosines = (a * b).sum(axis=1)
    # A cyclic shift after a shuffle leaves no row with its own.
    order = np.random.default_rng(seed).permutation(len(a))
    other = np.empty_like(order)
    other[order] = np.roll(order, 1)
    return Closeness(
        cosine=float(cosines.mean()),
        p50=float(np.percentile(cosines, 50)),
        p95=float(np.percentile(cosines, 95)),
        centred_cosine=float((a_centred * b_centred).sum(axis=1).mean()),
        shuffled_cosine=float((a * b[other]).sum(axis=1).mean()),
        shuffled_centred_cosine=float((a_centred * b_centred[other]).sum(axis=1).mean()),
        spearman=pairwise_spearman(a, b),
    )


def pairwise_spearman(one: np.ndarray, other: np.ndarray) -> float:
    """Spearman's correlation of all similarities between two rows in either space.

    0 where one space has all rows alike, since nothing is ordered there.
    """
    one, other = unit(one[:MAX_PAIRED]), unit(other[:MAX_PAIRED])
    upper = np.triu_indices(len(one), k=1)
    a, b = (one @ one.T)[upper], (other @ other.T)[upper]
    if np.ptp(a) < 1e-9 or np.ptp(b) < 1e-9:
        return 0.0
    return float(spearmanr(a, b).statistic)


def ranks(queries: np.ndarray, index: np.ndarray, own: Sequence[int]) -> np.ndarray:
    """The rank, from 1, of each query's own row of the index by cosine; ties count against it.

    Args:
        queries: [q, d].
        index: [n, d].
        own: [q], the row that each query should find.
    """
    queries, index = unit(queries), unit(index)
    found = []
    for start in range(0, len(queries), _BLOCK):
        scores = queries[start : start + _BLOCK] @ index.T
        right = scores[np.arange(len(scores)), own[start : start + _BLOCK]]
        found.append((scores >= right[:, None]).sum(axis=1))
    return np.concatenate(found)


def retrieval(found: np.ndarray) -> Mapping[str, float]:
    """recall@1, @5, @10 and the mean reciprocal rank."""
    made = {f"recall@{depth}": float((found <= depth).mean()) for depth in DEPTHS}
    return {**made, "mrr": float((1.0 / found).mean())}


def shared_top(one: np.ndarray, other: np.ndarray, index: np.ndarray, depth: int = 10) -> float:
    """The share of the first `depth` that `other` finds in the index which `one` finds there too.

    Args:
        one, other: [q, d], the same queries by two encoders.
        index: [n, d], n at least `depth`.
    """
    index = unit(index)
    shares = []
    for a, b in zip(unit(one), unit(other), strict=True):
        first, second = (set(np.argsort(-(index @ query), kind="stable")[:depth]) for query in (a, b))
        shares.append(len(first & second) / depth)
    return float(np.mean(shares))
