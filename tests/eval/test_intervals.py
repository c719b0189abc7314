"""Bootstrap intervals against what they should cover, and the pairing of questions."""

from __future__ import annotations

import numpy as np
import pytest

from kg_r1.eval.intervals import change_interval, mean_interval


def test_equal_values_leave_no_doubt() -> None:
    interval = mean_interval([0.5] * 20)
    assert (interval.mean, interval.low, interval.high) == (0.5, 0.5, 0.5)


def test_it_covers_the_true_mean_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    covered = 0
    for trial in range(300):
        sample = (rng.random(80) < 0.3).astype(float).tolist()
        interval = mean_interval(sample, num_resamples=400, seed=trial)
        covered += interval.low <= 0.3 <= interval.high
    assert 0.90 <= covered / 300 <= 0.99


def test_the_same_seed_gives_the_same_interval() -> None:
    values = [0.0, 1.0, 1.0, 0.0, 1.0]
    assert mean_interval(values, seed=3) == mean_interval(values, seed=3)


def test_pairing_finds_a_small_change_among_questions_that_differ_much() -> None:
    before = [float(number % 2) for number in range(100)]
    after = [value + 0.05 for value in before]
    assert change_interval(before, after).is_clear
    unpaired = mean_interval(before)
    assert unpaired.low < np.mean(after) < unpaired.high


def test_no_change_is_not_clear() -> None:
    rng = np.random.default_rng(1)
    before, after = rng.random(50).round(), rng.random(50).round()
    assert not change_interval(before.tolist(), after.tolist()).is_clear


@pytest.mark.parametrize(("before", "after"), [([], []), ([1.0], [1.0, 0.0])])
def test_nothing_to_compare_is_refused(before: list[float], after: list[float]) -> None:
    with pytest.raises(ValueError, match="values"):
        change_interval(before, after)


def test_many_questions_are_drawn_in_parts_with_the_same_result(monkeypatch: pytest.MonkeyPatch) -> None:
    values = [float(number % 3 == 0) for number in range(50)]
    whole = mean_interval(values, num_resamples=101, seed=5)
    for limit in (1, 170, 5050):
        monkeypatch.setattr("kg_r1.eval.intervals.MAX_DRAWS_AT_ONCE", limit)
        assert mean_interval(values, num_resamples=101, seed=5) == whole
