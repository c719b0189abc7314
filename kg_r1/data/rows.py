"""Questions as parquet rows, in the columns that verl's RLHFDataset reads.

The question itself, path and aliases included, lies in `extra_info.question` as JSON, so that a row gives
back exactly the `Question` that was written; the other columns are what verl wants to see.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from kg_r1.data.files import write_whole
from kg_r1.kg.errors import DataError
from kg_r1.llm_agent.question import Question

AGENT_NAME = "kg_agent"

SCHEMA = pa.schema(
    [
        ("data_source", pa.string()),
        ("agent_name", pa.string()),
        ("prompt", pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))),
        (
            "reward_model",
            pa.struct([("style", pa.string()), ("ground_truth", pa.list_(pa.list_(pa.string())))]),
        ),
        ("extra_info", pa.struct([("index", pa.int64()), ("question", pa.string())])),
    ]
)
COLUMNS = tuple(SCHEMA.names)


def question_to_row(question: Question, index: int) -> dict[str, Any]:
    """One row as plain values; `index` is its place in the file."""
    return {
        "data_source": question.dataset_name,
        "agent_name": AGENT_NAME,
        "prompt": [{"role": "user", "content": question.question}],
        "reward_model": {"style": "rule", "ground_truth": [list(aliases) for aliases in question.gold]},
        "extra_info": {
            "index": index,
            "question": json.dumps(question.to_dict(), ensure_ascii=False, sort_keys=True),
        },
    }


def row_to_question(row: Mapping[str, Any]) -> Question:
    """The question that `question_to_row` wrote.

    Raises ValueError, naming the column, for missing or unknown columns and for a question that is none.
    """
    if missing := [name for name in COLUMNS if name not in row]:
        raise ValueError(f"a row needs the column {', '.join(missing)}")
    if unknown := sorted(set(row) - set(COLUMNS)):
        raise ValueError(f"a row has no column {', '.join(unknown)}; its columns: {', '.join(COLUMNS)}")
    info = row["extra_info"]
    text = info.get("question") if isinstance(info, Mapping) else None
    if not isinstance(text, str):
        raise ValueError("column extra_info lacks question, the question as JSON")
    try:
        fields = json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"column extra_info: question is not JSON ({error})") from error
    if not isinstance(fields, dict):
        raise ValueError("column extra_info: question is not a JSON object")
    return Question.from_dict(fields)


def dataset_names(path: Path) -> list[str]:
    """The data sets that the questions of a parquet file are of, sorted; one column of it is read.

    Raises DataError, naming the file, for one that is not parquet or has no such column.
    """
    try:
        names = pq.read_table(path, columns=["data_source"])["data_source"].unique().to_pylist()
    except (OSError, pa.ArrowInvalid, KeyError) as error:
        raise DataError(f"{path}: has no readable column data_source ({error})") from error
    return sorted(names)


def write_questions(path: Path, questions: Iterable[Question]) -> int:
    """Writes the questions as parquet, whole or not at all; returns how many there are.

    The bytes depend on the questions and on the version of pyarrow only.
    """
    rows = [question_to_row(question, index) for index, question in enumerate(questions)]
    table = pa.Table.from_pylist(rows, schema=SCHEMA)
    write_whole(path, lambda stream: pq.write_table(table, stream, compression="zstd"))
    return len(rows)


def count_questions(path: Path) -> int:
    """Rows of a parquet file, from its footer alone. Raises DataError for a file that is not parquet."""
    try:
        return int(pq.read_metadata(path).num_rows)
    except (OSError, pa.ArrowInvalid) as error:
        raise _unreadable(path, error) from error


def read_questions(path: Path, rows: Sequence[int] | None = None) -> list[Question]:
    """The questions of a parquet file, in its order; with `rows`, those of these places alone.

    Raises DataError, naming the file and the row, for a file that is not parquet, missing or unknown
    columns, and rows that hold no question.
    """
    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowInvalid) as error:
        raise _unreadable(path, error) from error
    if set(table.column_names) != set(COLUMNS):
        missing = ", ".join(sorted(set(COLUMNS) - set(table.column_names))) or "none"
        unknown = ", ".join(sorted(set(table.column_names) - set(COLUMNS))) or "none"
        raise DataError(
            f"{path}: its columns are not those of a question file (missing: {missing}; unknown: {unknown})",
            "Build it with python -m kg_r1.data.build",
        )
    places = range(len(table)) if rows is None else rows
    chosen = table if rows is None else table.take(pa.array(rows, pa.int64()))
    questions = []
    for number, row in zip(places, chosen.to_pylist(), strict=True):
        try:
            questions.append(row_to_question(row))
        except ValueError as error:
            raise DataError(f"{path}: row {number}: {error}") from error
    return questions


def _unreadable(path: Path, error: Exception) -> DataError:
    return DataError(f"{path}: is not a readable parquet file ({error})")
