"""Judging answers: values worked out by hand."""

from __future__ import annotations

import pytest

from kblampp.eval.metrics import exact_match, groups_of, judge, normalised, summarise, token_f1
from kblampp.questions import REFUSAL, Question


def asked(
    kind: str = "single-hop", answer: str = "Hale Press", supporting: tuple[str, ...] = ("f1",)
) -> Question:
    return Question("q", "d", "Who?", answer, kind, supporting_facts=supporting, tags=("unseen-head",))  # type: ignore[arg-type]


def test_normalisation_and_exact_match() -> None:
    assert normalised(" The  Hale-Press, ") == "halepress"
    assert exact_match("the hale press.", ["Hale Press"]) == 1
    assert exact_match("Hale", ["Hale Press"]) == 0
    assert exact_match("Oman", ["Romania"]) == 0
    assert exact_match("b", ["a", "b"]) == 1


def test_token_f1() -> None:
    assert token_f1("Hale Press", ["Hale Press"]) == 1
    assert token_f1("Hale Bank", ["Hale Press"]) == pytest.approx(0.5)
    assert token_f1("old Hale Press of Arden", ["Hale Press", "Arden"]) == pytest.approx(2 * 2 / (5 + 2))
    assert token_f1("", ["Hale"]) == 0


def test_a_group_by_hand() -> None:
    unanswerable = asked("unanswerable", REFUSAL, ())
    judged = [
        judge(asked(), "Hale Press", 10, ["f1", "f2"]),
        judge(asked(), "Corvo Bank", 20, ["f2", "f3", "f1"]),
        judge(asked(), REFUSAL, 0, ["f2"]),
        judge(unanswerable, REFUSAL, 0, ["f1"]),
        judge(unanswerable, "Hale Press", 0, ["f1"]),
    ]
    scores = summarise(judged, chooses=True)
    assert (scores.num_questions, scores.em) == (5, pytest.approx(2 / 5))
    assert scores.acc == {1: pytest.approx(1 / 3), 5: pytest.approx(2 / 3), 16: pytest.approx(2 / 3)}
    assert (scores.refusal_precision, scores.refusal_recall) == (0.5, 0.5)
    assert scores.num_context_tokens == 6
    assert 0 <= scores.em_low < scores.em < scores.em_high <= 1
    blind = summarise(judged[:2], chooses=False)
    assert set(blind.acc.values()) == {None}
    assert (blind.refusal_precision, blind.refusal_recall) == (None, None)
    with pytest.raises(ValueError, match="no question"):
        summarise([], chooses=True)


def test_the_fact_with_the_answer_is_the_last_hop() -> None:
    question = asked("multi-hop", supporting=("f1", "f2"))
    assert judge(question, "x", 0, ["f1", "f3", "f2"]).gold_rank == 2
    assert judge(question, "x", 0, ["f1"]).gold_rank is None
    assert judge(question, "x", 0).gold_rank is None
    assert groups_of(question) == ["multi-hop", "2 hops", "unseen-head"]
