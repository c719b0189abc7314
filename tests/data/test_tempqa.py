"""The converter of TempQA-WD's facts: its files, its errors, its command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kg_r1.data.tempqa import SOURCE_FILE, build_tempqa, main, name_of
from kg_r1.kg.errors import DataError
from kg_r1.kg.store import GraphStore
from kg_r1.kg.timed_facts import TimedFacts

LINES = """\
Rome\tcountry\tRoman_Kingdom\t"-0752-01-01T00:00:00Z"^^xsd:dateTime
Ann_Lee\tmember_of\tThe_Club\t"1998-07-15T00:00:00Z"^^xsd:dateTime
Ann_Lee\tmember_of\tThe_Club\t"2001-01-01T00:00:00Z"^^xsd:dateTime
Ann_Lee\tmember_of\tThe_Club\t"2001-01-01T00:00:00Z"^^xsd:dateTime
"""


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    folder.mkdir()
    (folder / SOURCE_FILE).write_text(LINES, encoding="utf-8")
    return folder


def test_a_data_set_with_timed_facts(source: Path, tmp_path: Path) -> None:
    text = build_tempqa(source, tmp_path / "out")
    assert text.endswith("tempqa: 2 triples, 3 timed facts, 4 entities, 2 relations")
    folder = tmp_path / "out" / "tempqa"
    graph = GraphStore(tmp_path / "out").graph("tempqa")
    assert graph.labels(range(graph.num_entities)) == ["Ann Lee", "Roman Kingdom", "Rome", "The Club"]
    facts = TimedFacts(folder / "facts_timed.tsv")
    assert [fact.window.text() for fact in facts.of("Ann_Lee")] == ["1998-07-15", "2001"]
    assert [fact.window.text() for fact in facts.of("Rome")] == ["-0752"]
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["num_timed_facts"] == 3
    assert set(manifest["files"]) == {"triples.tsv", "facts_timed.tsv", "names.tsv"}


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("a\tb\tc", "has 3 fields where 4 belong"),
        ("a\tb\tc\t1998", "1998 is no time such as"),
        ('a\tb\tc\t"1998-02-30T00:00:00Z"^^xsd:dateTime', "'1998-02-30' has no day 30"),
    ],
)
def test_a_bad_line_is_named(source: Path, tmp_path: Path, line: str, problem: str) -> None:
    (source / SOURCE_FILE).write_text(f"{LINES}{line}\n", encoding="utf-8")
    with pytest.raises(DataError, match=rf"{SOURCE_FILE}:5: {problem}"):
        build_tempqa(source, tmp_path / "out")
    assert not (tmp_path / "out" / "tempqa" / "manifest.json").exists()


def test_names_have_spaces() -> None:
    assert [name_of(one) for one in ("Ann_Lee", "_x__y_", "___")] == ["Ann Lee", "x y", "___"]


def test_the_command_line(source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--source", str(source), "--out", str(tmp_path / "out")]) == 0
    assert "3 timed facts" in capsys.readouterr().out
    assert main(["--source", str(tmp_path), "--out", str(tmp_path / "out")]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert f"has no {SOURCE_FILE}" in captured.err
