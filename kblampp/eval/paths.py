"""Chains of chosen facts: the tail of one is the head of the next.

A path's score is the mean of the logarithms of its facts' alphas, the logarithm of their geometric mean: it
compares paths of one length. By it a longer path never beats its own heaviest fact, and the first facts of a
chain hardly weigh, since the last one alone has the answer. So the path of an answer is not the one that
weighs most but the one that was taken: over which its heaviest fact was found.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from kblampp.answering import Evidence

BEAM_WIDTH = 16
NUM_BEST = 3


@dataclass(frozen=True)
class FactPath:
    """Facts in the order in which they are followed, at least one."""

    evidence: tuple[Evidence, ...]

    @property
    def fact_ids(self) -> tuple[str, ...]:
        """Their ids."""
        return tuple(it.fact.id for it in self.evidence)

    @property
    def score(self) -> float:
        """Mean of log alpha; at most 0."""
        return sum(math.log(it.alpha) for it in self.evidence) / len(self.evidence)


def find_paths(
    evidence: Iterable[Evidence],
    num_hops: int,
    *,
    beam_width: int = BEAM_WIDTH,
    num_best: int = NUM_BEST,
) -> list[FactPath]:
    """Beam search over the graph of the chosen facts.

    Args:
        evidence: the facts of an answer; those without weight are left out.
        num_hops: most facts of a path.
        beam_width: how many paths of one length are followed on.
        num_best: how many paths of each length are given.

    Returns:
        Paths of 1 to num_hops facts, the shorter first and by score within a length. None comes back to an
        entity that it has passed.

    Raises:
        ValueError: num_hops, beam_width or num_best is less than 1.
    """
    if min(num_hops, beam_width, num_best) < 1:
        raise ValueError("num_hops, beam_width and num_best must be at least 1")
    by_head: dict[str, list[Evidence]] = defaultdict(list)
    for it in evidence:
        if it.alpha > 0:
            by_head[it.fact.head].append(it)
    beam = _best([FactPath((it,)) for some in by_head.values() for it in some], beam_width)
    found = beam[:num_best]
    for _ in range(1, num_hops):
        longer = [
            FactPath((*path.evidence, it))
            for path in beam
            for it in by_head.get(path.evidence[-1].fact.tail, ())
            if not _has_loop(path) and it.fact.tail not in _entities(path)
        ]
        beam = _best(longer, beam_width)
        found += beam[:num_best]
    return found


def path_taken(evidence: Sequence[Evidence], refusal_alpha: float = 0.0) -> FactPath | None:
    """The facts over which the heaviest one was found; None when the refusal weighs more.

    What lies before a fact that is not among the chosen is left out.
    """
    heaviest = max(evidence, key=lambda it: it.alpha, default=None)
    if heaviest is None or heaviest.alpha <= refusal_alpha:
        return None
    by_row = {it.row: it for it in evidence}
    taken = [heaviest]
    for row in reversed(heaviest.way[:-1]):
        if row not in by_row:
            break
        taken.insert(0, by_row[row])
    return FactPath(tuple(taken))


def path_f1(path_fact_ids: Iterable[str], supporting_facts: Iterable[str]) -> float:
    """F1 of two sets of facts; 1 when both are empty, 0 when only one is."""
    found, wanted = set(path_fact_ids), set(supporting_facts)
    if not found and not wanted:
        return 1.0
    return 2 * len(found & wanted) / (len(found) + len(wanted))


def _best(paths: Sequence[FactPath], number: int) -> list[FactPath]:
    return sorted(paths, key=lambda path: (-path.score, path.fact_ids))[:number]


def _has_loop(path: FactPath) -> bool:
    return len(_entities(path)) <= len(path.evidence)


def _entities(path: FactPath) -> set[str]:
    return {path.evidence[0].fact.head, *(it.fact.tail for it in path.evidence)}
