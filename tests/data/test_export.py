"""`kg-r1 export`: the two tables, from every kind of data set."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kg_r1.cli import main
from kg_r1.kg.graph import Subgraph
from kg_r1.kg.store import GraphStore


def stores(tmp_path: Path) -> Path:
    base = tmp_path / "data_kg"
    for name in ("tables", "films", "samples/subgraphs"):
        (base / name).mkdir(parents=True)
    (base / "tables" / "triples.tsv").write_text("a:1\tin\tb:1\nb:1\tin\tb:2\n", encoding="utf-8")
    (base / "tables" / "names.tsv").write_text("a:1\tUlm\nb:1\tÅland\n", encoding="utf-8")
    (base / "films" / "kb.txt").write_text("Heat|directed_by|Mann\n", encoding="utf-8")
    graph = {"triples": [["x\ty", "r", "z"], ["z", "r", "line\none"]]}
    (base / "samples" / "subgraphs" / "q1.json").write_text(json.dumps(graph), encoding="utf-8")
    return base


def export(base: Path, out: Path, *more: str) -> int:
    return main(["export", "--base_data_path", str(base), "--out", str(out), *more])


def tables(out: Path) -> tuple[str, str]:
    return (out / "triples.tsv").read_text("utf-8"), (out / "names.tsv").read_text("utf-8")


def test_tables_come_out_as_they_went_in(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    base, out = stores(tmp_path), tmp_path / "out" / "tables"
    assert export(base, out, "--kg", "tables") == 0
    assert tables(out) == ("a:1\tin\tb:1\nb:1\tin\tb:2\n", "a:1\tUlm\nb:1\tÅland\n")
    assert capsys.readouterr().out == f"{out}: 2 triples, 2 names, 0 fields with a tab or line end cleaned\n"
    again: Subgraph = GraphStore(out.parent).graph("tables")
    assert list(again.triples()) == list(GraphStore(base).graph("tables").triples())


def test_a_graph_whose_ids_are_names_has_no_names(tmp_path: Path) -> None:
    assert export(stores(tmp_path), tmp_path / "out", "--kg", "films") == 0
    assert tables(tmp_path / "out") == ("Heat\tdirected_by\tMann\n", "")


def test_tabs_and_line_ends_become_spaces(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert export(stores(tmp_path), tmp_path / "out", "--kg", "samples", "--sample", "q1") == 0
    triples, names = tables(tmp_path / "out")
    assert triples == "x y\tr\tz\nz\tr\tline one\n"
    assert names == ""  # ids are names
    assert "2 fields" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (("--kg", "none"), "there is no data set 'none'. Data sets: 'films', 'samples', 'tables'"),
        (("--kg", "samples"), "sample"),
        (("--kg", "samples", "--sample", "../q1"), "sample"),
    ],
)
def test_what_is_not_there_is_one_line(
    tmp_path: Path, more: tuple[str, ...], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert export(stores(tmp_path), tmp_path / "out", *more) == 2
    error = capsys.readouterr().err
    assert error.startswith("kg-r1 export: ") and error.count("\n") == 1
    assert words in error
    assert not (tmp_path / "out" / "triples.tsv").exists()


def test_a_broken_line_leaves_no_table_of_triples(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    base = stores(tmp_path)
    (base / "tables" / "triples.tsv").write_text("a:1\tin\tb:1\na:1\n", encoding="utf-8")
    assert export(base, tmp_path / "out", "--kg", "tables") == 2
    assert "triples.tsv" in capsys.readouterr().err
    assert not (tmp_path / "out" / "triples.tsv").exists()
    assert not list((tmp_path / "out").glob(".*"))


def test_a_data_set_is_not_written_over_itself(tmp_path: Path) -> None:
    base = stores(tmp_path)
    before = tables(base / "tables")
    assert export(base, base / "tables", "--kg", "tables") == 2
    assert tables(base / "tables") == before
