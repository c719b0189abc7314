"""Every format but NSM and RoG: what is read, and where a bad line is said to be."""

from __future__ import annotations

from pathlib import Path

import pytest

from kg_r1.kg.errors import DataError, UnknownSample
from kg_r1.kg.graph import Subgraph
from kg_r1.kg.readers import find_format


def load(folder: Path, sample_id: str | None = None) -> Subgraph:
    found = find_format(folder)
    assert found is not None
    return found.opened_triples(folder).load(sample_id)


def write(path: Path, text: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def test_tsv_with_names(tmp_path: Path) -> None:
    write(tmp_path / "triples.tsv", "\ufeffq1\tcapital\tq2\r\n\nq1\tcapital\tq2\nq3\tin line\u2028\tq 4")
    write(tmp_path / "names.tsv", "q1\tFrance\nq2\tParis\nq99\tUnused\n")
    graph = load(tmp_path)
    assert list(graph.triples()) == [("q1", "capital", "q2"), ("q3", "in line\u2028", "q 4")]
    assert graph.labels(range(4)) == ["q 4", "France", "Paris", "q3"]


def test_metaqa(tmp_path: Path) -> None:
    write(tmp_path / "kb.txt", "Kismet|directed_by|William Dieterle\n$9.99|release_year|2008\n")
    assert list(load(tmp_path).triples()) == [
        ("$9.99", "release_year", "2008"),
        ("Kismet", "directed_by", "William Dieterle"),
    ]


def test_seed_subgraphs(tmp_path: Path) -> None:
    write(tmp_path / "subgraphs" / "s.1.json", '{"triples": [["m.1", "r", "m.2"]], "extra": 1}')
    write(tmp_path / "subgraphs" / "s2.json", '{"triples": []}')
    write(tmp_path / "subgraphs" / "notes.txt", "no graph")
    write(tmp_path / "names.tsv", "m.1\tOne\n")
    assert load(tmp_path, "s.1").labelled_triples() == [("One", "r", "m.2")]
    assert load(tmp_path, "s2").num_triples == 0


@pytest.mark.parametrize(
    "sample_id", ["s9", "", "notes", "s1.json", "../subgraphs/s1", "s1\x00", "s" * 100_000, None]
)
def test_a_sample_id_is_looked_up_and_never_a_path(tmp_path: Path, sample_id: str | None) -> None:
    write(tmp_path / "subgraphs" / "s1.json", '{"triples": []}')
    with pytest.raises(UnknownSample):
        load(tmp_path, sample_id)


@pytest.mark.parametrize(
    ("name", "text", "place", "problem"),
    [
        ("triples.tsv", "a\tr\tb\na\tr\n", "triples.tsv:2", "2 fields where 3 belong"),
        ("triples.tsv", "a\tr\tb\tc\n", "triples.tsv:1", "4 fields where 3 belong"),
        ("triples.tsv", "a\tr\tb\n\n a\t \tb\n", "triples.tsv:3", "relation is empty"),
        ("triples.tsv", b"a\tr\tb\na\tr\t\xff\n", "triples.tsv:2", "not UTF-8"),
        ("kb.txt", "a|r|b\na|r|b|c\n", "kb.txt:2", "4 fields where 3 belong"),
        ("kb.txt", "a r b\n", "kb.txt:1", "1 fields where 3 belong"),
        ("subgraphs/s1.json", '{"triples":\n [["a", "r"\n', "s1.json:3", "not JSON"),
        ("subgraphs/s1.json", "[]", "s1.json", 'is not an object with a list "triples"'),
        ("subgraphs/s1.json", '{"triples": {}}', "s1.json", 'is not an object with a list "triples"'),
        ("subgraphs/s1.json", '{"triples": [["a", "r", "b"], ["a", "r"]]}', "s1.json", "triple 2 is not"),
        ("subgraphs/s1.json", '{"triples": [["a", "r", 5]]}', "s1.json", "triple 1: tail is '5', not text"),
        ("subgraphs/s1.json", '{"triples": [["a", "", "b"]]}', "s1.json", "triple 1: relation is empty"),
        ("subgraphs/s1.json", '{"triples": [["a", "r", "\\ud800"]]}', "s1.json", "not valid Unicode"),
        ("subgraphs/s1.json", "[" * 100_000, "s1.json", "not JSON"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, name: str, text: str | bytes, place: str, problem: str) -> None:
    write(tmp_path / name, text)
    with pytest.raises(DataError) as caught:
        load(tmp_path, "s1")
    assert place in str(caught.value)
    assert problem in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "place", "problem"),
    [("q1\n", "names.tsv:1", "1 fields"), ("q1\tA\nq1\tA\nq1\tB\n", "names.tsv:3", "second name, 'B'")],
)
def test_a_bad_name_is_named(tmp_path: Path, text: str, place: str, problem: str) -> None:
    write(tmp_path / "triples.tsv", "q1\tr\tq2\n")
    write(tmp_path / "names.tsv", text)
    with pytest.raises(DataError, match=problem) as caught:
        load(tmp_path)
    assert place in str(caught.value)


def test_a_folder_without_a_graph_has_no_format(tmp_path: Path) -> None:
    write(tmp_path / "README.md", "text")
    assert find_format(tmp_path) is None


def test_a_file_that_is_gone_is_a_data_error(tmp_path: Path) -> None:
    path = write(tmp_path / "subgraphs" / "s1.json", '{"triples": []}')
    found = find_format(tmp_path)
    assert found is not None
    source = found.opened_triples(tmp_path)
    path.unlink()
    with pytest.raises(DataError, match=r"s1\.json: cannot be read"):
        source.load("s1")
