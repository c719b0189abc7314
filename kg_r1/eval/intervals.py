"""How sure a mean is: percentile bootstrap over questions (Efron 1979), alone and for a change.

A question is drawn with all that was measured on it, so that two runs over the same questions are compared
question by question; the spread between questions, by far the largest, then falls out of the difference.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

NUM_RESAMPLES = 2000
LEVEL = 0.95
MAX_DRAWS_AT_ONCE = 4_000_000  # 64 MB, whatever the number of questions


@dataclass(frozen=True)
class Interval:
    """A mean and the ends of its interval."""

    mean: float
    low: float
    high: float

    @property
    def is_clear(self) -> bool:
        """Whether zero lies outside: a change that resampling the questions does not undo."""
        return self.low > 0 or self.high < 0

    def __str__(self) -> str:
        return f"{self.mean:.3f} [{self.low:.3f}, {self.high:.3f}]"


def mean_interval(
    values: Sequence[float], *, level: float = LEVEL, num_resamples: int = NUM_RESAMPLES, seed: int = 0
) -> Interval:
    """The mean of one value per question, and its interval.

    Args:
        values: [num_questions].
        level: share of resampled means that lie inside.
        num_resamples: how often the questions are drawn anew, with replacement.
        seed: of the draws.

    Raises:
        ValueError: no values, or a level that is no share.
    """
    if not values or not 0 < level < 1:
        raise ValueError(f"an interval needs values and a level between 0 and 1, not {len(values)}, {level}")
    column = np.asarray(values, dtype=np.float64)
    rng = np.random.default_rng(seed)
    rows = max(1, MAX_DRAWS_AT_ONCE // len(column))
    means = np.concatenate(
        [
            column[rng.integers(len(column), size=(min(rows, num_resamples - first), len(column)))].mean(
                axis=1
            )
            for first in range(0, num_resamples, rows)
        ]
    )
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(column.mean()), float(low), float(high))


def change_interval(
    before: Sequence[float], after: Sequence[float], *, level: float = LEVEL, seed: int = 0
) -> Interval:
    """The mean change from ``before`` to ``after``, which hold the same questions in the same order.

    Raises:
        ValueError: as :func:`mean_interval`, and when the two differ in length.
    """
    if len(before) != len(after):
        raise ValueError(f"{len(before)} values before but {len(after)} after: not the same questions")
    changes = [later - earlier for earlier, later in zip(before, after, strict=True)]
    return mean_interval(changes, level=level, seed=seed)
