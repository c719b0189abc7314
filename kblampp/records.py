"""JSON lines read with the file and the line in every complaint."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from kblampp.errors import DataError
from kblampp.files import whole

Record = TypeVar("Record")


def read_jsonl(path: Path, parse: Callable[[Mapping[str, Any]], Record], made_by: str) -> Iterator[Record]:
    """The records of a file, one a line; empty lines are passed over.

    Args:
        path: the file, in UTF-8.
        parse: makes a record of a JSON object; raises DataError or TypeError for what is malformed.
        made_by: what to do when the file is missing, such as a command.

    Raises:
        DataError: the file cannot be read, or a line is malformed; names the file and the line.
    """
    try:
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    yield _parsed(path, number, line, parse)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); {made_by}") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 text ({error.reason} at byte {error.start})") from error


def _parsed(path: Path, number: int, line: str, parse: Callable[[Mapping[str, Any]], Record]) -> Record:
    try:
        value = json.loads(line)
    except json.JSONDecodeError as error:
        raise DataError(f"{path}:{number}: not JSON ({error.msg} at column {error.colno})") from error
    if not isinstance(value, dict):
        raise DataError(f"{path}:{number}: an object belongs here, not {type(value).__name__}")
    try:
        return parse(value)
    except DataError as error:
        raise DataError(f"{path}:{number}: {error}") from error


def write_jsonl(path: Path, records: Iterable[Mapping[str, Any]]) -> int:
    """Writes the file whole or not at all; returns how many lines it has."""
    number = 0
    with whole(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        for record in records:
            file.write(json.dumps(record, ensure_ascii=False) + "\n")
            number += 1
    return number


def text_field(record: Mapping[str, Any], name: str, *, default: str | None = None) -> str:
    """A field that must be a text with something in it. Raises DataError."""
    value = record.get(name, default)
    if not isinstance(value, str) or not (value.strip() or value == default):
        raise DataError(f"{name!r} must be a text that is not empty, not {value!r}")
    return value


def refuse_unknown(record: Mapping[str, Any], known: Iterable[str]) -> None:
    """Raises DataError for a field that nobody reads."""
    names = tuple(known)
    if unknown := sorted(set(record) - set(names)):
        raise DataError(f"there is no field {unknown[0]!r}; there are {', '.join(names)}")
