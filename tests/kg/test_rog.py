"""RoG-style parquet folders."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from kg_r1.kg.errors import DataError, UnknownSample
from kg_r1.kg.readers import find_format
from kg_r1.kg.rog import RoGSource


def row(sample_id: Any, graph: Any) -> dict[str, Any]:
    return {
        "id": sample_id,
        "question": "who?",
        "answer": ["b"],
        "q_entity": ["a"],
        "a_entity": ["b"],
        "graph": graph,
    }


def write(path: Path, rows: list[dict[str, Any]], row_group_size: int = 2) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path, row_group_size=row_group_size)


def test_rows_of_every_row_group_and_file(tmp_path: Path) -> None:
    rows = [row(f"s{n}", [["a", "r", f"t{n}"], ["a", "r", "b"]]) for n in range(5)]
    write(tmp_path / "train-00000.parquet", rows)
    write(tmp_path / "data" / "test.parquet", [row("t", [["x", "y", "z"]])])
    found = find_format(tmp_path)
    assert found is not None and found.name == "rog"
    source = found.opened_triples(tmp_path)
    for n in (4, 0, 2, 3, 1):
        assert list(source.load(f"s{n}").triples()) == [("a", "r", "b"), ("a", "r", f"t{n}")]
    assert list(source.load("t").triples()) == [("x", "y", "z")]
    with pytest.raises(UnknownSample, match="among its 6"):
        source.load("s5")


def test_question_files_without_a_graph_are_no_data_set(tmp_path: Path) -> None:
    pyarrow.parquet.write_table(
        pyarrow.Table.from_pylist([{"id": "a", "question": "?"}]), tmp_path / "q.parquet"
    )
    assert find_format(tmp_path) is None


@pytest.mark.parametrize(
    ("graph", "problem"),
    [([["a", "r"]], "triple 1 is not"), ([["a", "r", ""]], "tail is empty"), (None, "graph is not a list")],
)
def test_a_bad_graph_is_named(tmp_path: Path, graph: Any, problem: str) -> None:
    write(tmp_path / "train.parquet", [row("good", [["a", "r", "b"]]), row("bad", graph)])
    source = RoGSource(tmp_path)
    assert source.load("good").num_triples == 1
    with pytest.raises(DataError, match=problem) as caught:
        source.load("bad")
    assert "train.parquet:2" in str(caught.value)


def test_two_rows_with_one_id_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "a.parquet", [row("s", [["a", "r", "b"]])])
    write(tmp_path / "b.parquet", [row("s", [["a", "r", "b"]])])
    with pytest.raises(DataError, match=r"b\.parquet:1: id 's' stands already at .*a\.parquet:1"):
        RoGSource(tmp_path)


def test_a_file_that_is_no_parquet_is_refused(tmp_path: Path) -> None:
    (tmp_path / "train.parquet").write_bytes(b"text")
    with pytest.raises(DataError, match=r"train\.parquet: is not a parquet file"):
        find_format(tmp_path)
