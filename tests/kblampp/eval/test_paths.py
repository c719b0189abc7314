"""Paths over chosen facts, with values worked out by hand."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from kblampp.answering import Evidence
from kblampp.eval.paths import find_paths, path_f1, path_taken
from kblampp.quintuples import Quintuple


def chosen(*facts: tuple[str, str, float]) -> list[Evidence]:
    """Facts as head, tail and alpha; the id is head and tail."""
    return [
        Evidence(Quintuple(head + tail, head, "leads to", tail), row, alpha)
        for row, (head, tail, alpha) in enumerate(facts)
    ]


def test_paths_of_each_length_come_by_score() -> None:
    found = find_paths(chosen(("a", "b", 0.5), ("b", "c", 0.3), ("b", "d", 0.1), ("x", "y", 0.1)), 3)
    assert [path.fact_ids for path in found] == [("ab",), ("bc",), ("bd",), ("ab", "bc"), ("ab", "bd")]
    assert found[3].score == pytest.approx(math.log(math.sqrt(0.5 * 0.3)))


def test_three_facts_are_followed_and_no_more_than_hops() -> None:
    evidence = chosen(("a", "b", 0.4), ("b", "c", 0.3), ("c", "d", 0.2), ("d", "e", 0.1))
    assert max(len(path.fact_ids) for path in find_paths(evidence, 2)) == 2
    longest = [path for path in find_paths(evidence, 3) if len(path.fact_ids) == 3]
    assert [path.fact_ids for path in longest] == [("ab", "bc", "cd"), ("bc", "cd", "de")]
    assert longest[0].score == pytest.approx(math.log(0.4 * 0.3 * 0.2) / 3)


def test_no_path_comes_back_to_where_it_was() -> None:
    evidence = chosen(("a", "b", 0.5), ("b", "a", 0.3), ("a", "a", 0.2))
    assert [path.fact_ids for path in find_paths(evidence, 3)] == [("ab",), ("ba",), ("aa",)]


def test_the_beam_keeps_the_heaviest() -> None:
    evidence = chosen(("a", "b", 0.5), ("c", "d", 0.3), ("d", "e", 0.2))
    wide = find_paths(evidence, 2)
    narrow = find_paths(evidence, 2, beam_width=1)
    assert ("cd", "de") in [path.fact_ids for path in wide]
    assert [path.fact_ids for path in narrow] == [("ab",)]
    assert len(find_paths(evidence, 1, num_best=2)) == 2


def test_facts_without_weight_are_on_no_path() -> None:
    assert find_paths(chosen(("a", "b", 0.0)), 2) == []
    assert find_paths([], 2) == []


@pytest.mark.parametrize(("hops", "width", "best"), [(0, 1, 1), (1, 0, 1), (1, 1, 0)])
def test_numbers_below_one_are_refused(hops: int, width: int, best: int) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        find_paths([], hops, beam_width=width, num_best=best)


def found_over(alphas: list[float], *ways: tuple[int, ...]) -> list[Evidence]:
    """Facts of a chain a, b, c ... with what each was found over."""
    facts = chosen(*((chr(97 + row), chr(98 + row), alpha) for row, alpha in enumerate(alphas)))
    return [replace(it, way=way) for it, way in zip(facts, ways, strict=True)]


def test_the_path_is_what_the_heaviest_fact_was_found_over() -> None:
    taken = path_taken(found_over([0.01, 0.09, 0.8], (0,), (0, 1), (0, 1, 2)), 0.1)
    assert taken is not None and taken.fact_ids == ("ab", "bc", "cd")
    alone = path_taken(found_over([0.6, 0.4], (0,), (0, 1)))
    assert alone is not None and alone.fact_ids == ("ab",)


def test_what_lies_before_a_fact_that_was_not_chosen_is_left_out() -> None:
    taken = path_taken(found_over([0.1, 0.1, 0.8], (0,), (0, 1), (0, 7, 1, 2)))
    assert taken is not None and taken.fact_ids == ("bc", "cd")
    unknown = path_taken(chosen(("a", "b", 0.4)))
    assert unknown is not None and unknown.fact_ids == ("ab",)


def test_a_refusal_that_weighs_more_leaves_no_path() -> None:
    evidence = chosen(("a", "b", 0.4))
    assert path_taken(evidence, 0.5) is None
    assert path_taken(evidence, 0.3) is not None
    assert path_taken([]) is None


@pytest.mark.parametrize(
    ("found", "wanted", "expected"),
    [
        (["a", "b"], ["a", "b"], 1.0),
        (["b", "a"], ["a", "b"], 1.0),
        (["a"], ["a", "b"], 2 / 3),
        (["a", "c"], ["a", "b"], 0.5),
        (["c"], ["a"], 0.0),
        ([], ["a"], 0.0),
        (["a"], [], 0.0),
        ([], [], 1.0),
    ],
)
def test_path_f1(found: list[str], wanted: list[str], expected: float) -> None:
    assert path_f1(found, wanted) == pytest.approx(expected)
