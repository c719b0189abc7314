"""KG-R1 / NSM folders."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from kg_r1.kg.errors import DataError, UnknownSample
from kg_r1.kg.nsm import NSMSource, located_entries
from kg_r1.kg.readers import find_format

NUMBERS = {"id": "q-1", "question": "?", "entities": [0], "subgraph": {"tuples": [[0, 1, 2], [2, 0, 0]]}}
STRINGS = {"id": "q-2", "entities": ["m.a"], "subgraph": {"tuples": [["m.a", "rel.x", "m.é"]]}}


def make(
    folder: Path, entries: list[Any], name: str = "train_simple.jsonl", *, with_vocabulary: bool = True
) -> None:
    lines = "\n".join(json.dumps(entry, ensure_ascii=False) for entry in entries)
    (folder / name).write_text(lines, encoding="utf-8")
    if with_vocabulary:
        (folder / "entities.txt").write_text("m.0\nm.1\nm.2\n", encoding="utf-8")
        (folder / "relations.txt").write_text("rel.a\nrel.b\n", encoding="utf-8")


def test_numbers_are_lines_of_the_vocabulary(tmp_path: Path) -> None:
    make(tmp_path, [NUMBERS, STRINGS])
    found = find_format(tmp_path)
    assert found is not None and found.name == "nsm"
    source = found.opened_triples(tmp_path)
    assert list(source.load("q-1").triples()) == [("m.0", "rel.b", "m.2"), ("m.2", "rel.a", "m.0")]
    assert list(source.load("q-2").triples()) == [("m.a", "rel.x", "m.é")]


def test_entries_of_several_files_are_one_data_set(tmp_path: Path) -> None:
    make(tmp_path, [NUMBERS], "train_simple.json")
    make(tmp_path, [STRINGS], "dev_simple.jsonl")
    source = NSMSource(tmp_path)
    assert source.load("q-1").num_triples == 2
    assert source.load("q-2").num_triples == 1


@pytest.mark.parametrize("start", ["", "\ufeff", " \n\n"])
def test_a_json_array_is_read_entry_by_entry(tmp_path: Path, start: str) -> None:
    array = (
        start + json.dumps([STRINGS, {**STRINGS, "id": "ü-3"}, NUMBERS], ensure_ascii=False, indent=1) + "\n"
    )
    make(tmp_path, [])
    path = tmp_path / "test_simple.json"
    path.write_text(array, encoding="utf-8")
    source = NSMSource(tmp_path)
    assert list(source.load("ü-3").triples()) == [("m.a", "rel.x", "m.é")]
    assert source.load("q-1").num_triples == 2
    raw = path.read_bytes()
    for where, text in located_entries(path):
        assert json.loads(raw[where.offset : where.offset + where.num_bytes]) == json.loads(text)
        assert raw[: where.offset].count(b"\n") + 1 == where.line


def test_an_empty_array_holds_no_samples(tmp_path: Path) -> None:
    (tmp_path / "train_simple.json").write_text("[]", encoding="utf-8")
    with pytest.raises(UnknownSample, match="among its 0"):
        NSMSource(tmp_path).load("q-1")


def test_names_from_json(tmp_path: Path) -> None:
    make(tmp_path, [NUMBERS])
    (tmp_path / "entities_names.json").write_text('{"m.0": "Zero", "m.2": ""}', encoding="utf-8")
    assert NSMSource(tmp_path).load("q-1").labelled_triples() == [
        ("Zero", "rel.b", "m.2"),
        ("m.2", "rel.a", "Zero"),
    ]


def test_names_from_lines(tmp_path: Path) -> None:
    make(tmp_path, [NUMBERS])
    (tmp_path / "entities_text.txt").write_text("Zero\nOne\nTwo\n", encoding="utf-8")
    assert NSMSource(tmp_path).load("q-1").labelled_triples()[0] == ("Zero", "rel.b", "Two")


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        ({"id": "x", "subgraph": {"tuples": [[0, 1, 3]]}}, "number 3, but entities.txt has 3 lines"),
        ({"id": "x", "subgraph": {"tuples": [[0, 2, 1]]}}, "number 2, but relations.txt has 2 lines"),
        ({"id": "x", "subgraph": {"tuples": [[0, -1, 1]]}}, "number -1, but relations.txt"),
        ({"id": "x", "subgraph": {"tuples": [[True, 1, 1]]}}, "head is 'True', not text"),
        ({"id": "x", "subgraph": {"tuples": [[0, 1]]}}, "tuple 1 is not"),
        ({"id": "x", "subgraph": {"tuples": 7}}, 'no list "tuples"'),
        ({"id": "x", "subgraph": []}, 'no list "tuples"'),
    ],
)
def test_a_bad_tuple_is_named(tmp_path: Path, entry: Any, problem: str) -> None:
    make(tmp_path, [STRINGS, entry])
    source = NSMSource(tmp_path)
    assert source.load("q-2").num_triples == 1
    with pytest.raises(DataError, match=problem) as caught:
        source.load("x")
    assert "train_simple.jsonl:2" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "place", "problem"),
    [
        ('{"id": "a"}\n{"id": \n', "train_simple.jsonl:2", "not JSON"),
        ('{"id": "a"}\n\n{"id": "a"}\n', "train_simple.jsonl:3", "stands already at"),
        ('{"name": "a"}\n', "train_simple.jsonl:1", "id is 'None', not text"),
        ('"a"\n', "train_simple.jsonl:1", "is not an object"),
        ('[{"id": "a"},\n{"id": }]', "train_simple.jsonl:2", "not JSON"),
        ('[{"id": "a"}\n', "train_simple.jsonl:2", "not JSON"),
        ('[{"id": "a"},]', "train_simple.jsonl:1", "not JSON"),
        ('[{"id": "a"}] x', "train_simple.jsonl:1", "not JSON"),
        ("[,]", "train_simple.jsonl:1", "not JSON"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, text: str, place: str, problem: str) -> None:
    (tmp_path / "train_simple.jsonl").write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=problem) as caught:
        NSMSource(tmp_path)
    assert place in str(caught.value)


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("entities_names.json", "[]", "not an object"),
        ("entities_names.json", '{"m.0": 4}', "not text"),
        ("entities_text.txt", "Zero\n", "has 1 lines"),
    ],
)
def test_names_that_do_not_fit_are_refused(tmp_path: Path, name: str, text: str, problem: str) -> None:
    make(tmp_path, [NUMBERS])
    (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=problem):
        NSMSource(tmp_path)


def test_numbers_without_a_vocabulary_are_refused(tmp_path: Path) -> None:
    make(tmp_path, [NUMBERS], with_vocabulary=False)
    with pytest.raises(DataError, match=r"entities\.txt has 0 lines"):
        NSMSource(tmp_path).load("q-1")


def test_a_file_that_shrank_is_noticed(tmp_path: Path) -> None:
    make(tmp_path, [STRINGS, NUMBERS])
    source = NSMSource(tmp_path)
    make(tmp_path, [STRINGS])
    with pytest.raises(DataError, match="changed since it was read"):
        source.load("q-1")
