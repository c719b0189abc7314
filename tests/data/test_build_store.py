"""Compiling by hand and before a server starts: what is written, what is told, what is refused."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from kg_r1.data.build import main
from kg_r1.kg.prepare import main as prepare
from kg_r1.kg.prepare import prepare_in_own_process
from kg_r1.kg.store import GraphStore


@pytest.fixture
def base(tmp_path: Path) -> Path:
    folder = tmp_path / "raw"
    (folder / "films").mkdir(parents=True)
    (folder / "films" / "triples.tsv").write_text("q1\tdirected_by\tq2\nq3\tdirected_by\tq2\n")
    (folder / "films" / "names.tsv").write_text("q1\tHeat\nq2\tMann\n")
    (folder / "broken" / "subgraphs").mkdir(parents=True)
    (folder / "broken" / "subgraphs" / "s.json").write_text("{")
    return folder


def build(base: Path, *more: str) -> int:
    return main(["store", "--base_data_path", str(base), *more])


def test_a_store_is_built_checked_and_served(
    base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "stores" / "films"
    assert build(base, "--kg", "films", "--out", str(out)) == 0
    said = capsys.readouterr().out
    assert "one shared graph, 2 triples, 3 entities, 1 relations" in said
    assert sorted(path.name for path in out.parent.iterdir()) == ["films"]
    assert main(["store", "--check", str(out)]) == 0
    assert capsys.readouterr().out == said
    store = GraphStore(out.parent)
    graph = store.graph("films")
    assert graph.labels(graph.heads(graph.resolve("Mann")[0], "directed_by")) == ["Heat", "q3"]
    assert store.uncompiled() == []
    (out / "names.bin").write_bytes(b"x" * (out / "names.bin").stat().st_size)
    assert main(["store", "--check", str(out)]) == 2
    assert "was altered" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (["--kg", "nothing", "--out", "new"], "there is no data set 'nothing'. Data sets: 'broken', 'films'"),
        (["--kg", "films", "--out", "."], "exists"),
        (["--kg", "broken", "--out", "new"], "s.json:1: not JSON"),
        (["--kg", "films"], "give --kg and --out"),
        (["--kg", "films", "--out", "new", "--max-memory-mib", "1"], "must be at least 64"),
        (["--check", "nowhere"], "nowhere/store.json: cannot be read"),
    ],
)
def test_a_mistake_is_one_line_and_leaves_nothing(
    base: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    more: list[str],
    told: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert build(base, *more) == 2
    said = capsys.readouterr()
    assert told in said.err.splitlines()[-1] and said.out == ""
    assert [path.name for path in tmp_path.iterdir()] == ["raw"]


def test_a_data_path_is_prepared_in_a_process_of_its_own(
    base: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    store = GraphStore(base, cache_path=tmp_path / "cache")
    assert store.uncompiled() == ["broken", "films"]
    prepare_in_own_process(store)
    # A sample that cannot be read is noted in its store; it is no reason to compile again.
    assert store.uncompiled() == []
    facts = [json.loads(path.read_text()) for path in sorted((tmp_path / "cache").glob("*/store.json"))]
    assert [list(one["failures"]) for one in facts] == [["s"], []]
    caplog.clear()
    prepare_in_own_process(store)
    assert caplog.text == ""
    (base / "films" / "triples.tsv").write_text("no triple\n")
    assert store.uncompiled() == ["films"]
    assert prepare([str(base), "--cache_path", str(tmp_path / "cache")]) == 0
    assert "triples.tsv:1" in caplog.text
    assert prepare([str(tmp_path / "nothing")]) == 2
