"""The buffer's pieces, mask, log-probs and turn spans."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kg_r1.llm_agent.tensor_helper import TokenBuffer


def runs_of_one(mask: list[int]) -> list[tuple[int, int]]:
    pairs = zip([0, *mask], [*mask, 0], strict=True)
    edges = [index for index, (before, here) in enumerate(pairs) if before != here]
    return list(zip(edges[::2], edges[1::2], strict=True))


def test_two_turns_around_an_observation() -> None:
    buffer = TokenBuffer([1, 2])
    buffer.append_sampled([3, 4, 5], [-0.5, -0.25, -1.0])
    buffer.append_observation([6, 7])
    buffer.append_sampled([8], [-2.0])
    assert buffer.all_ids == [1, 2, 3, 4, 5, 6, 7, 8]
    assert buffer.response_ids == [3, 4, 5, 6, 7, 8]
    assert buffer.response_mask == [1, 1, 1, 0, 0, 1]
    assert buffer.response_log_probs == [-0.5, -0.25, -1.0, 0.0, 0.0, -2.0]
    assert buffer.turn_spans == [(0, 3), (5, 6)]


@given(st.lists(st.tuples(st.lists(st.integers(0, 9), min_size=1), st.lists(st.integers(0, 9), min_size=1))))
def test_spans_are_the_runs_of_one_in_the_mask(pieces: list[tuple[list[int], list[int]]]) -> None:
    buffer = TokenBuffer([0])
    for sampled, observed in pieces:
        buffer.append_sampled(sampled, [-1.0] * len(sampled))
        buffer.append_observation(observed)
    assert buffer.turn_spans == runs_of_one(buffer.response_mask)
    assert buffer.all_ids == [0] + [token for pair in pieces for piece in pair for token in piece]


def test_turns_without_an_observation_between_are_refused() -> None:
    buffer = TokenBuffer([])
    buffer.append_sampled([1])
    with pytest.raises(ValueError, match="between"):
        buffer.append_sampled([2])


def test_log_probs_must_align_and_are_absent_as_a_whole() -> None:
    buffer = TokenBuffer([])
    with pytest.raises(ValueError, match="2 log-probs for 1"):
        buffer.append_sampled([1], [0.0, 0.0])
    buffer.append_sampled([1], [-1.0])
    buffer.append_observation([2])
    buffer.append_sampled([3], None)
    assert buffer.response_log_probs is None


def test_empty_pieces_are_refused() -> None:
    buffer = TokenBuffer([1])
    with pytest.raises(ValueError, match="at least one token"):
        buffer.append_sampled([])
    with pytest.raises(ValueError, match="at least one token"):
        buffer.append_observation([])


def test_all_ids_is_a_copy() -> None:
    buffer = TokenBuffer([1])
    buffer.all_ids.append(9)
    assert buffer.all_ids == [1]
