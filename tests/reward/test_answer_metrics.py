"""Hit, Hits@1, EM and F1 on values worked out by hand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kg_r1.reward.metrics import exact_match, f1, hit, hits_at_1


def golds(*answers: str) -> list[tuple[str, ...]]:
    return [tuple(answer.split("=")) for answer in answers]


# predicted, gold ('=' between aliases), hit, hits@1, em, f1
CASES = [
    (["Paris"], ["Paris"], 1, 1, 1, 1.0),
    (["the PARIS."], ["Paris"], 1, 1, 1, 1.0),
    (["Oman"], ["Romania"], 0, 0, 0, 0.0),
    (["Romania"], ["Oman"], 0, 0, 0, 0.0),
    (["New York"], ["York"], 0, 0, 0, 0.0),
    (["a1", "x", "y", "z", "w"], ["a1"], 1, 1, 0, 1 / 3),
    (["x", "y", "z", "w", "a1"], ["a1"], 1, 0, 0, 1 / 3),
    (["r1", "x"], ["r1", "r2", "r3"], 1, 1, 0, 2 * (1 / 2) * (1 / 3) / (1 / 2 + 1 / 3)),
    (["r2", "r1"], ["r1", "r2"], 1, 1, 1, 1.0),
    (["r1", "r1", "R1!"], ["r1"], 1, 1, 1, 1.0),
    (["USA"], ["United States=USA=US"], 1, 1, 1, 1.0),
    (["USA", "United States"], ["United States=USA"], 1, 1, 1, 1.0),
    (["USA", "United States"], ["United States=USA", "Canada"], 1, 1, 0, 2 / 3),
    (["Georgia"], ["Georgia", "Georgia"], 1, 1, 1, 1.0),
    ([], ["Paris"], 0, 0, 0, 0.0),
    (["Paris"], [], 0, 0, 0, 0.0),
    ([], [], 0, 0, 0, 0.0),
    ([""], ["Paris"], 0, 0, 0, 0.0),
]


@pytest.mark.parametrize(("predicted", "gold", "hit_", "first", "em", "f1_"), CASES)
def test_by_hand(
    predicted: list[str], gold: list[str], hit_: float, first: float, em: float, f1_: float
) -> None:
    aliases = golds(*gold)
    assert (hit(predicted, aliases), hits_at_1(predicted, aliases)) == (hit_, first)
    assert exact_match(predicted, aliases) == em
    assert f1(predicted, aliases) == pytest.approx(f1_)


names = st.lists(st.sampled_from(["a1", "b", "c", "d", "The b", "C."]), max_size=5)


@given(names, st.lists(st.sampled_from(["a1", "b", "c"]), min_size=1, max_size=3, unique=True))
def test_the_metrics_agree_with_each_other(predicted: list[str], gold: list[str]) -> None:
    aliases = golds(*gold)
    em, score = exact_match(predicted, aliases), f1(predicted, aliases)
    assert 0 <= score <= 1
    assert (em == 1) == (score == 1)
    assert (hit(predicted, aliases) == 1) == (score > 0)
    assert hits_at_1(predicted, aliases) <= hit(predicted, aliases)
    assert f1(predicted + predicted[::-1], aliases) == score
    assert f1([*predicted, "wrong answer"], aliases) <= score
