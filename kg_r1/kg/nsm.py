"""Reader of KG-R1 / NSM folders: *_simple.jsonl or *_simple.json, with entities.txt and relations.txt.

Each entry holds an `id` and a `subgraph` whose `tuples` are triples of strings, or of line numbers (from 0)
in entities.txt and relations.txt. A *_simple.json file may hold one entry a line, as NSM writes it, or one
JSON array. Names come from entities_names.json ({id: name}) or entities_text.txt (one name a line, beside
entities.txt).

The files are read through once to note where each entry stands; a graph is read when it is asked for.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from kg_r1.kg.errors import DataError, quoted
from kg_r1.kg.knowledge_graph import Triple
from kg_r1.kg.lines import checked_name, data_error, decoded, located_lines, parsed_json, read_bytes
from kg_r1.kg.records import TripleSource, checked_triple, unknown_sample

WHITE_SPACE = " \t\r\n"


@dataclass(frozen=True)
class Location:
    """Where one entry stands in a file: first line (from 1), byte offset and length."""

    path: Path
    line: int
    offset: int
    num_bytes: int


@dataclass(frozen=True)
class Vocabulary:
    """The texts behind the numbers in a tuple; a list is empty when its file is absent."""

    entities: list[str]
    relations: list[str]

    def triple(self, where: Location, value: object, number: int) -> Triple:
        """One tuple of an entry as a triple of texts.

        Raises:
            DataError: wrong shape, or a number without a line in the vocabulary.
        """
        what = f"tuple {number}"
        if isinstance(value, list) and len(value) == 3:
            lists = (self.entities, self.relations, self.entities)
            value = [self._text(where, part, texts, what) for part, texts in zip(value, lists, strict=True)]
        return checked_triple(where.path, where.line, value, what)

    def _text(self, where: Location, part: object, texts: list[str], what: str) -> object:
        if not isinstance(part, int) or isinstance(part, bool):
            return part
        if not 0 <= part < len(texts):
            name = "relations.txt" if texts is self.relations else "entities.txt"
            raise data_error(
                where.path, where.line, f"{what} names number {part}, but {name} has {len(texts)} lines"
            )
        return texts[part]


class NSMSource(TripleSource):
    """The graphs of one KG-R1 / NSM folder; see the module's text.

    Raises:
        DataError: a file cannot be read, an entry has no id, or two entries share one.
    """

    is_shared = False

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._vocabulary = Vocabulary(
            vocabulary_lines(folder / "entities.txt"), vocabulary_lines(folder / "relations.txt")
        )
        self.names = entity_names(folder, self._vocabulary.entities)
        self._locations: dict[str, Location] = {}
        for path in nsm_files(folder):
            for where, text in located_entries(path):
                sample_id = entry_id(where, parsed_json(path, where.line, text))
                earlier = self._locations.setdefault(sample_id, where)
                if earlier is not where:
                    problem = f"id {quoted(sample_id)} stands already at {earlier.path}:{earlier.line}"
                    raise data_error(path, where.line, problem)

    def sample_ids(self) -> Collection[str]:
        """One an entry; see `TripleSource`."""
        return self._locations.keys()

    def triples(self, sample_id: str | None) -> list[Triple]:
        """The triples of one entry; see `TripleSource`."""
        where = self._locations.get(sample_id) if sample_id is not None else None
        if where is None:
            raise unknown_sample(self.folder.name, sample_id, len(self._locations))
        entry = parsed_json(where.path, where.line, decoded(where.path, where.line, read_slice(where)))
        subgraph = entry.get("subgraph") if isinstance(entry, Mapping) else None
        tuples = subgraph.get("tuples") if isinstance(subgraph, Mapping) else None
        if not isinstance(tuples, list):
            raise data_error(where.path, where.line, 'has no list "tuples" in "subgraph"')
        return [self._vocabulary.triple(where, value, n) for n, value in enumerate(tuples, start=1)]


def nsm_files(folder: Path) -> list[Path]:
    """The folder's files of entries, sorted; [] when it holds none."""
    return sorted([*folder.glob("*_simple.jsonl"), *folder.glob("*_simple.json")])


def nsm_source_files(folder: Path) -> list[Path]:
    """`nsm_files` with the vocabulary and the names beside them."""
    beside = ("entities.txt", "relations.txt", "entities_names.json", "entities_text.txt")
    return [*nsm_files(folder), *(folder / name for name in beside if (folder / name).is_file())]


def vocabulary_lines(path: Path) -> list[str]:
    """The lines of entities.txt or relations.txt, blank ones kept so that numbers stay right; [] if absent.

    Raises:
        DataError: the file cannot be read.
    """
    if not path.is_file():
        return []
    return [decoded(path, number, raw).rstrip("\r\n") for number, _, raw in located_lines(path)]


def entity_names(folder: Path, entities: list[str]) -> dict[str, str]:
    """Entity id -> name, from entities_names.json or else entities_text.txt; {} when neither is there.

    Raises:
        DataError: the file cannot be read, or does not fit entities.txt.
    """
    path = folder / "entities_names.json"
    if path.is_file():
        names = parsed_json(path, None, decoded(path, None, read_bytes(path)))
        if not isinstance(names, dict):
            raise data_error(path, None, "is not an object of id: name")
        named = {entity: name for entity, name in names.items() if name != ""}
        return {entity: checked_name(path, None, name, quoted(entity)) for entity, name in named.items()}
    path = folder / "entities_text.txt"
    texts = vocabulary_lines(path)
    if texts and len(texts) != len(entities):
        raise data_error(path, None, f"has {len(texts)} lines, and entities.txt beside it {len(entities)}")
    return dict(zip(entities, texts, strict=False))


def entry_id(where: Location, entry: object) -> str:
    """The id of one entry.

    Raises:
        DataError: the entry is not an object with an id.
    """
    if not isinstance(entry, Mapping):
        raise data_error(where.path, where.line, "is not an object")
    return checked_name(where.path, where.line, entry.get("id"), "id")


def located_entries(path: Path) -> Iterator[tuple[Location, str]]:
    """Every entry of one file with its place and its JSON text.

    Raises:
        DataError: the file cannot be read; an array is not JSON.
    """
    first = next((raw for _, _, raw in located_lines(path) if raw.removeprefix(b"\xef\xbb\xbf").strip()), b"")
    if first.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"["):
        yield from _array_entries(path)
        return
    for number, offset, raw in located_lines(path):
        if raw.strip():
            yield Location(path, number, offset, len(raw)), decoded(path, number, raw)


def _array_entries(path: Path) -> Iterator[tuple[Location, str]]:
    raw = read_bytes(path)
    text = decoded(path, None, raw)
    position = text.index("[") + 1
    line = 1 + text.count("\n", 0, position)
    offset = len(raw) - len(text.encode("utf-8")) + len(text[:position].encode("utf-8"))
    decoder = json.JSONDecoder()
    num_entries = 0
    while True:
        start = _skip_white_space(text, position)
        if num_entries and text[start : start + 1] == ",":
            start = _skip_white_space(text, start + 1)
        elif text[start : start + 1] == "]" or num_entries:
            break
        line += text.count("\n", position, start)
        offset += len(text[position:start].encode("utf-8"))
        try:
            _, position = decoder.raw_decode(text, start)
        except (ValueError, RecursionError) as error:
            raise data_error(path, line, f"not JSON ({error})") from error
        num_bytes = len(text[start:position].encode("utf-8"))
        yield Location(path, line, offset, num_bytes), text[start:position]
        line += text.count("\n", start, position)
        offset += num_bytes
        num_entries += 1
    if text[start:].strip(WHITE_SPACE) != "]":
        line += text.count("\n", position, start)
        raise data_error(path, line, "not JSON (expected ',' or the end of the array)")


def _skip_white_space(text: str, position: int) -> int:
    while position < len(text) and text[position] in WHITE_SPACE:
        position += 1
    return position


def read_slice(where: Location) -> bytes:
    """The bytes of one entry.

    Raises:
        DataError: the file is gone, or shorter than it was when it was read through.
    """
    try:
        with where.path.open("rb") as file:
            file.seek(where.offset)
            raw = file.read(where.num_bytes)
    except OSError as error:
        raise data_error(where.path, where.line, f"cannot be read ({error.strerror})") from error
    if len(raw) != where.num_bytes:
        raise DataError(f"{where.path}:{where.line}: changed since it was read", "Clear the cache")
    return raw
