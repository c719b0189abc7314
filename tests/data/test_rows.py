"""A question survives the way through parquet, and a file that is no question file is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kg_r1.data.rows import (
    COLUMNS,
    dataset_names,
    question_to_row,
    read_questions,
    row_to_question,
    write_questions,
)
from kg_r1.kg.errors import DataError
from kg_r1.llm_agent.question import Question

FRANCE = Question(
    question_id="world-train-00001",
    question="What is the capital of France?",
    topic_entities=("France",),
    gold=(("Paris", "Lutetia"),),
    dataset_name="world",
    num_hops=1,
    question_type="capital",
    split="train",
    path=(("tail", "capital"),),
)

names = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
questions = st.builds(
    Question,
    question_id=names,
    question=names,
    topic_entities=st.lists(names, max_size=3).map(tuple),
    gold=st.lists(st.lists(names, min_size=1, max_size=3).map(tuple), max_size=3).map(tuple),
    dataset_name=names,
    sample_id=st.none() | names,
    num_hops=st.none() | st.integers(1, 9),
    question_type=names,
    split=names,
    path=st.lists(st.tuples(names, names), max_size=4).map(tuple),
)


def test_the_columns_are_those_that_verl_reads() -> None:
    row = question_to_row(FRANCE, 7)
    assert set(row) == set(COLUMNS)
    assert row["data_source"] == "world"
    assert row["agent_name"] == "kg_agent"
    assert row["prompt"] == [{"role": "user", "content": "What is the capital of France?"}]
    assert row["reward_model"] == {"style": "rule", "ground_truth": [["Paris", "Lutetia"]]}
    assert row["extra_info"]["index"] == 7
    assert json.loads(row["extra_info"]["question"]) == FRANCE.to_dict()


def test_the_data_sets_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "questions.parquet"
    write_questions(path, [replace(FRANCE, dataset_name=name) for name in ("world", "metaqa", "world")])
    assert dataset_names(path) == ["metaqa", "world"]
    write_questions(path, [])
    assert dataset_names(path) == []
    pq.write_table(pa.table({"question": ["?"]}), path)
    with pytest.raises(DataError, match=r"questions\.parquet: has no readable column data_source"):
        dataset_names(path)
    path.write_text("no parquet")
    with pytest.raises(DataError, match=r"questions\.parquet"):
        dataset_names(path)


@given(question=questions)
def test_a_row_gives_back_its_question(question: Question) -> None:
    assert row_to_question(question_to_row(question, 0)) == question


def test_a_file_gives_back_its_questions_in_order(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "questions.parquet"
    asked = [FRANCE, Question("x", "Ünï | \n?", ("a", "b"), (), "sub", sample_id="s/1"), FRANCE]
    assert write_questions(path, asked) == 3
    assert read_questions(path) == asked
    before = path.read_bytes()
    write_questions(path, asked)
    assert path.read_bytes() == before


def test_an_empty_file_has_the_columns_too(tmp_path: Path) -> None:
    path = tmp_path / "none.parquet"
    assert write_questions(path, []) == 0
    assert read_questions(path) == []


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"extra_info": None}, "extra_info lacks question"),
        ({"extra_info": {"index": 0}}, "extra_info lacks question"),
        ({"extra_info": {"question": "{"}}, "is not JSON"),
        ({"extra_info": {"question": "[]"}}, "is not a JSON object"),
        ({"extra_info": {"question": json.dumps({**FRANCE.to_dict(), "hops": 1})}}, "hops"),
        ({"surprise": 1}, "no column surprise"),
    ],
)
def test_a_bad_row_says_what_is_wrong(change: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        row_to_question({**question_to_row(FRANCE, 0), **change})


def test_a_missing_column_is_named() -> None:
    row = question_to_row(FRANCE, 0)
    del row["prompt"]
    with pytest.raises(ValueError, match="needs the column prompt"):
        row_to_question(row)


def test_a_file_with_other_columns_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.parquet"
    pq.write_table(pa.table({"prompt": ["x"], "colour": ["red"]}), path)
    with pytest.raises(DataError, match=r"missing: agent_name, .*unknown: colour") as caught:
        read_questions(path)
    assert str(path) in str(caught.value)


def test_a_file_that_is_no_parquet_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "text.parquet"
    path.write_text("not parquet")
    with pytest.raises(DataError, match=r"text\.parquet: is not a readable parquet file"):
        read_questions(path)
    with pytest.raises(DataError, match=r"gone\.parquet"):
        read_questions(tmp_path / "gone.parquet")


def test_a_bad_row_of_a_file_is_located(tmp_path: Path) -> None:
    path = tmp_path / "bad.parquet"
    write_questions(path, [FRANCE, FRANCE])
    rows = pq.read_table(path).to_pylist()
    rows[1]["extra_info"]["question"] = "{}"
    pq.write_table(pa.Table.from_pylist(rows, schema=pq.read_schema(path)), path)
    with pytest.raises(DataError, match=r"bad\.parquet: row 1: a question needs the field question_id"):
        read_questions(path)


def test_verl_reads_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("verl", reason="verl is not installed")
    import datasets
    from omegaconf import OmegaConf
    from verl.utils.dataset.rl_dataset import RLHFDataset

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    path = tmp_path / "questions.parquet"
    write_questions(path, [FRANCE])
    config = OmegaConf.create({"cache_dir": str(tmp_path), "filter_overlong_prompts": False})
    dataset = RLHFDataset(str(path), tokenizer=None, config=config)
    item = dataset[0]
    assert item["raw_prompt"] == [{"role": "user", "content": "What is the capital of France?"}]
    assert item["agent_name"] == "kg_agent"
    assert item["data_source"] == "world"
    assert Question.from_dict(json.loads(item["extra_info"]["question"])) == FRANCE
