"""A compiled store on disk: whole or not at all, and an error for anything that is not what was written."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from kg_r1.kg.compiled.file_set import MANIFEST, FileSet, FileSetWriter, StoreError, new_folder
from kg_r1.kg.compiled.source import CompiledSource
from kg_r1.kg.compiled.texts import escaped, quick_fold, unescaped
from kg_r1.kg.errors import DataError
from kg_r1.kg.names import fold
from kg_r1.kg.readers import find_format
from kg_r1.kg.store import GraphStore


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    with new_folder(tmp_path / "set") as fresh:
        files = FileSetWriter(fresh)
        files.section("numbers", "H").write(b"\x01\x00\x02\x00")
        files.section("none", "I")
        files.close({"kind": "test"})
    return tmp_path / "set"


def test_what_was_written_is_read(folder: Path) -> None:
    files = FileSet(folder)
    assert files.view("numbers").tolist() == [1, 2]
    assert files.view("none").tolist() == []
    assert files.facts["kind"] == "test"
    with pytest.raises(StoreError, match="has no section 'others'"):
        files.view("others")
    assert [path.name for path in folder.parent.iterdir()] == ["set"]


def test_a_block_that_fails_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="half way"), new_folder(tmp_path / "set") as fresh:
        (fresh / "numbers.bin").write_bytes(b"1")
        raise RuntimeError("half way")
    assert list(tmp_path.iterdir()) == []


def test_two_builders_of_one_folder(folder: Path) -> None:
    with new_folder(folder) as fresh:
        FileSetWriter(fresh).close({"kind": "second"})
    assert FileSet(folder).facts["kind"] == "test"
    assert [path.name for path in folder.parent.iterdir()] == ["set"]


def edited(change: Callable[[dict[str, object]], object]) -> Callable[[Path], object]:
    def edit(folder: Path) -> None:
        manifest = json.loads((folder / MANIFEST).read_text())
        change(manifest)
        (folder / MANIFEST).write_text(json.dumps(manifest))

    return edit


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (
            lambda folder: (folder / "numbers.bin").write_bytes(b"\x01\x00"),
            "has 2 bytes, and its manifest says 4",
        ),
        (lambda folder: (folder / "numbers.bin").write_bytes(b"\x01\x00\x03\x00"), "was altered"),
        (lambda folder: (folder / "numbers.bin").unlink(), "cannot be read"),
        (lambda folder: (folder / MANIFEST).unlink(), "cannot be read"),
        (lambda folder: (folder / MANIFEST).write_text("{"), "is not JSON"),
        (lambda folder: (folder / MANIFEST).write_text("[]"), "is not the manifest of a compiled store"),
        (
            edited(lambda manifest: manifest.update(version=0)),
            "is of format version 0, and this release reads",
        ),
        (edited(lambda manifest: manifest.update(sections=[])), "lists no sections"),
        (edited(lambda manifest: manifest.update(sections={"../a": {}})), "in a way that is not readable"),
        (edited(lambda manifest: manifest.update(sections={"numbers": {"item": "x"}})), "not readable"),
    ],
)
def test_damage_is_a_clear_error(folder: Path, damage: Callable[[Path], object], message: str) -> None:
    damage(folder)
    with pytest.raises(StoreError, match=message) as caught:
        FileSet(folder)
    assert "kg-r1 build store" in str(caught.value)


def test_a_file_cut_short_is_seen_without_reading_it(folder: Path) -> None:
    (folder / "numbers.bin").write_bytes(b"\x01\x00\x03\x00")
    assert FileSet(folder, verify=False).view("numbers").tolist() == [1, 3]
    (folder / "numbers.bin").write_bytes(b"\x01\x00\x03")
    with pytest.raises(StoreError, match="has 3 bytes"):
        FileSet(folder, verify=False)


@pytest.mark.parametrize(
    "text", ['a"b', "back\\slash", "new\nline", "\x00\x1f\x7f", "é😀\u2028", "\u202edlrow"]
)
def test_a_text_survives_its_slice(text: str) -> None:
    slice_ = escaped(text)
    assert slice_ is not None and unescaped(slice_) == text
    assert json.loads(b'"' + slice_ + b'"') == text
    assert quick_fold(text) == fold(text)


def test_a_lone_surrogate_has_no_slice() -> None:
    assert escaped("\ud800") is None


def raw(base: Path, name: str = "films") -> Path:
    (base / name).mkdir(parents=True)
    (base / name / "triples.tsv").write_text("Heat\tdirected_by\tMann\n")
    return base / name


def test_raw_files_are_compiled_once_and_again_when_they_change(tmp_path: Path) -> None:
    folder, cache = raw(tmp_path), tmp_path / ".compiled"
    raw(tmp_path, "films-0123456789abcdef")
    for name in ("films", "films-0123456789abcdef"):
        assert GraphStore(tmp_path).graph(name).num_triples == 1
    first = {path: path.stat().st_mtime_ns for path in cache.iterdir()}
    old_graph = GraphStore(tmp_path).graph("films")
    assert {path: path.stat().st_mtime_ns for path in cache.iterdir()} == first
    (folder / "triples.tsv").write_text("Heat\tdirected_by\tMann\nAlien\tdirected_by\tScott\n")
    assert GraphStore(tmp_path).graph("films").num_triples == 2
    # The old state is gone but for those who have it open; the other data set's store is untouched.
    assert len(list(cache.iterdir())) == 2 and len(set(cache.iterdir()) & set(first)) == 1
    assert old_graph.labels(old_graph.tails(old_graph.resolve("Heat")[0], "directed_by")) == ["Mann"]


def test_a_store_is_served_as_it_lies(tmp_path: Path) -> None:
    raw(tmp_path / "raw")
    (compiled,) = list_stores(tmp_path / "raw")
    served = tmp_path / "served"
    served.mkdir()
    compiled.rename(served / "films")
    store = GraphStore(served)
    assert store.datasets() == ["films"] and store.is_shared("films")
    assert list(store.graph("films").triples()) == [("Heat", "directed_by", "Mann")]
    assert not (served / ".compiled").exists()
    form = find_format(served / "films")
    assert form is not None
    with pytest.raises(DataError, match="layout 'compiled', which is not compiled"):
        form.opened_triples(served / "films")
    (served / "films" / "names.bin").write_bytes(b"x" * (served / "films" / "names.bin").stat().st_size)
    with pytest.raises(StoreError, match="was altered"):
        CompiledSource(served / "films", "films")


def list_stores(base: Path) -> list[Path]:
    store = GraphStore(base)
    for name in store.datasets():
        store.prepare(name)
    return sorted((base / ".compiled").iterdir())


def test_where_nothing_can_be_written_the_process_has_a_folder_of_its_own(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    raw(tmp_path)
    blocked = tmp_path / "file"
    blocked.write_text("no folder")
    store = GraphStore(tmp_path, cache_path=blocked / "cache")
    assert store.graph("films").num_triples == 1
    assert "nothing can be written" in caplog.text and "--cache_path" in caplog.text


def test_a_store_that_is_there_needs_no_writable_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    raw(tmp_path)
    list_stores(tmp_path)

    def refuse(*args: object, **kwargs: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("tempfile.TemporaryFile", refuse)  # root may write anywhere
    assert GraphStore(tmp_path).graph("films").num_triples == 1
    assert caplog.text == ""


def test_a_bad_sample_fails_alone(tmp_path: Path) -> None:
    samples = tmp_path / "webqsp" / "subgraphs"
    samples.mkdir(parents=True)
    (samples / "good.json").write_text('{"triples": [["a", "r", "b"]]}')
    (samples / "bad.json").write_text('{"triples": [["a", "r", "b"], ["a"]]}')
    store = GraphStore(tmp_path)
    assert store.graph("webqsp", "good").num_triples == 1
    with pytest.raises(DataError, match=r"bad\.json: triple 2 is not"):
        store.graph("webqsp", "bad")
    (samples / "bad.json").write_text('{"triples": [["c", "r", "d"]]}')
    assert list(store.graph("webqsp", "bad").triples()) == [("c", "r", "d")]
