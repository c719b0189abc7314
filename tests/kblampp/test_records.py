"""Facts and questions on disk: what is read back, and complaints that name file and line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kblampp.errors import DataError
from kblampp.questions import REFUSAL, Question, read_questions, write_questions
from kblampp.quintuples import Quintuple, read_quintuples, write_quintuples
from kblampp.time_window import TIMELESS, TimeWindow

FACT = {"id": "f1", "head": "Ada", "relation": "employer", "tail": "Mill"}
ASKED = {"qid": "q1", "question": "Where?", "answer": "Mill", "type": "single-hop"}


def test_facts_come_back(tmp_path: Path) -> None:
    facts = [
        Quintuple(
            "f1", "Ada", "employer", "Mill", "Ada works.", TimeWindow.from_json(["1990-01-01", None]), "x"
        ),
        Quintuple("f2", "Zoë", "born in", "Århus"),
    ]
    path = tmp_path / "deep" / "facts.jsonl"
    assert write_quintuples(path, facts) == 2
    assert read_quintuples(path) == facts
    assert json.loads(path.read_text().splitlines()[0])["time_window"] == ["1990-01-01", None]


def test_questions_come_back(tmp_path: Path) -> None:
    questions = [
        Question(
            "q1", "d", "Where?", "Mill", "temporal", ("Mill", "The Mill"), ("f1",), TimeWindow(), ("t",)
        ),
        Question("q2", "d", "Who?", REFUSAL, "unanswerable"),
    ]
    path = tmp_path / "questions.jsonl"
    write_questions(path, questions)
    assert read_questions(path, {"f1"}) == questions
    assert questions[1].answers == (REFUSAL,)
    with pytest.raises(DataError, match="supported by 'f1', and no fact has that id"):
        read_questions(path, {"f2"})


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("{", "not JSON"),
        ("[]", "an object belongs here, not list"),
        (json.dumps({**FACT, "tail": " "}), "'tail' must be a text"),
        (json.dumps({**FACT, "head": 3}), "'head' must be a text"),
        (json.dumps({**FACT, "score": 3}), "no field 'score'; there are id, head"),
        (json.dumps({**FACT, "time_window": ["1990"]}), r"\[start, end\] or null"),
        (json.dumps({**FACT, "time_window": ["1990", None]}), "a date such as '1998-02-01'"),
        (json.dumps({**FACT, "time_window": ["1991-01-01", "1990-01-01"]}), "before it starts"),
        (json.dumps({**FACT, "id": "f0"}), "2 facts have the id 'f0'"),
    ],
)
def test_a_bad_fact_is_named_by_file_and_line(tmp_path: Path, line: str, words: str) -> None:
    path = tmp_path / "facts.jsonl"
    path.write_text(json.dumps({**FACT, "id": "f0"}) + "\n\n" + line + "\n")
    with pytest.raises(DataError, match=words) as raised:
        read_quintuples(path)
    assert str(raised.value).startswith(f"{path}:")
    if "have the id" not in words:
        assert str(raised.value).startswith(f"{path}:3:")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"type": "two-hop"}, "no type 'two-hop' of questions; there are single-hop"),
        ({"type": "unanswerable"}, "is answered 'I do not know'"),
        ({"answer": REFUSAL}, "is answered 'I do not know'"),
        ({"answers": ["Bank"]}, "'Mill' is not among the answers"),
        ({"supporting_facts": "f1"}, "'supporting_facts' must be a list of texts"),
        ({"supporting_facts": [0]}, "'supporting_facts' must be a list of texts"),
    ],
)
def test_a_bad_question_is_named_by_file_and_line(
    tmp_path: Path, change: dict[str, object], words: str
) -> None:
    path = tmp_path / "questions.jsonl"
    path.write_text(json.dumps({**ASKED, **change}) + "\n")
    with pytest.raises(DataError, match=words) as raised:
        read_questions(path)
    assert str(raised.value).startswith(f"{path}:1:")


def test_missing_empty_and_broken_files(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="run_pipeline makes it"):
        read_quintuples(tmp_path / "none.jsonl")
    (tmp_path / "empty.jsonl").write_text("\n")
    with pytest.raises(DataError, match="has no facts"):
        read_quintuples(tmp_path / "empty.jsonl")
    with pytest.raises(DataError, match="has no questions"):
        read_questions(tmp_path / "empty.jsonl")
    (tmp_path / "latin.jsonl").write_bytes(b"\xff\n")
    with pytest.raises(DataError, match="not UTF-8"):
        read_quintuples(tmp_path / "latin.jsonl")


def test_windows() -> None:
    nineties = TimeWindow.from_json(["1990-01-01", "1999-12-31"])
    assert nineties.overlaps(TimeWindow.from_json(["1999-12-31", None]))
    assert not nineties.overlaps(TimeWindow.from_json(["2000-01-01", None]))
    assert not nineties.overlaps(TimeWindow.from_json([None, "1989-12-31"]))
    assert nineties.overlaps(TIMELESS) and TIMELESS.is_timeless and TIMELESS.to_json() is None
