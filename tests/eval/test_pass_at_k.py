"""pass@k against the mean over every subset, and against what it estimates."""

from __future__ import annotations

from itertools import combinations
from math import comb

import pytest

from kg_r1.eval.pass_at_k import pass_at_k, powers_of_two


@pytest.mark.parametrize("num_samples", [1, 2, 5, 8])
def test_it_is_the_mean_over_all_subsets(num_samples: int) -> None:
    for num_right in range(num_samples + 1):
        samples = [1] * num_right + [0] * (num_samples - num_right)
        for k in range(1, num_samples + 1):
            subsets = list(combinations(samples, k))
            counted = sum(any(subset) for subset in subsets) / len(subsets)
            assert pass_at_k(num_samples, num_right, k) == pytest.approx(counted, abs=1e-12)


def test_its_expectation_is_the_chance_of_k_fresh_samples() -> None:
    share, num_samples = 0.3, 6
    for k in (1, 2, 4):
        expected = sum(
            comb(num_samples, right)
            * share**right
            * (1 - share) ** (num_samples - right)
            * pass_at_k(num_samples, right, k)
            for right in range(num_samples + 1)
        )
        assert expected == pytest.approx(1 - (1 - share) ** k)


@pytest.mark.parametrize(("num_samples", "num_right", "k"), [(4, 5, 1), (4, -1, 1), (4, 2, 5), (4, 2, 0)])
def test_what_is_not_defined_is_refused(num_samples: int, num_right: int, k: int) -> None:
    with pytest.raises(ValueError, match="not defined"):
        pass_at_k(num_samples, num_right, k)


@pytest.mark.parametrize(
    ("num_samples", "powers"), [(1, [1]), (2, [1, 2]), (7, [1, 2, 4]), (8, [1, 2, 4, 8])]
)
def test_the_k_reported_are_the_powers_of_two(num_samples: int, powers: list[int]) -> None:
    assert powers_of_two(num_samples) == powers
