"""Question to plain JSON types and back; what is refused."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kg_r1.llm_agent.question import Question

texts = st.text(max_size=8)
questions = st.builds(
    Question,
    question_id=texts,
    question=texts,
    topic_entities=st.lists(texts, max_size=3).map(tuple),
    gold=st.lists(st.lists(texts, max_size=2).map(tuple), max_size=3).map(tuple),
    dataset_name=texts,
    sample_id=st.none() | texts,
    num_hops=st.none() | st.integers(1, 3),
    path=st.lists(st.tuples(st.sampled_from(["tail", "head"]), texts), max_size=3).map(tuple),
)
ROW = {"question_id": "1", "question": "?", "topic_entities": [], "gold": [["a", "b"]], "dataset_name": "toy"}


@given(questions)
def test_a_question_survives_json(question: Question) -> None:
    assert Question.from_dict(json.loads(json.dumps(question.to_dict()))) == question


def test_to_dict_holds_lists_not_tuples() -> None:
    question = Question(
        "1", "?", ("France",), (("Oman",), ("UAE", "Emirates")), "toy", path=(("tail", "capital"),)
    )
    assert question.to_dict() == {
        "question_id": "1",
        "question": "?",
        "topic_entities": ["France"],
        "gold": [["Oman"], ["UAE", "Emirates"]],
        "dataset_name": "toy",
        "sample_id": None,
        "num_hops": None,
        "question_type": "",
        "split": "",
        "path": [["tail", "capital"]],
    }


def test_left_out_fields_take_their_defaults() -> None:
    question = Question.from_dict(ROW)
    assert (question.sample_id, question.path, question.gold) == (None, (), (("a", "b"),))


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"answers": []}, "answers"),
        ({"gold": "Paris"}, "gold"),
        ({"gold": ["Paris"]}, "gold"),
        ({"gold": [[1]]}, "gold"),
        ({"topic_entities": "France"}, "topic_entities"),
        ({"question": None}, "question"),
        ({"sample_id": 3}, "sample_id"),
        ({"num_hops": "2"}, "num_hops"),
        ({"path": [["tail"]]}, "path"),
    ],
)
def test_a_wrong_field_is_refused_by_name(change: dict[str, object], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        Question.from_dict(ROW | change)


@pytest.mark.parametrize("field", sorted(ROW))
def test_a_missing_field_is_refused_by_name(field: str) -> None:
    with pytest.raises(ValueError, match=field):
        Question.from_dict({key: value for key, value in ROW.items() if key != field})
