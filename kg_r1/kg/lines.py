"""Reading text data files line by line, with errors that say where."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kg_r1.kg.errors import DataError, quoted


def data_error(path: Path, line: int | None, problem: str) -> DataError:
    """A `DataError` whose message starts with 'file:line:' (or 'file:' where a line makes no sense)."""
    place = f"{path}:{line}" if line is not None else str(path)
    return DataError(f"{place}: {problem}")


def numbered_lines(path: Path) -> Iterator[tuple[int, str]]:
    """(line number from 1, text without its line end) for each line that is not blank.

    Only \\n ends a line: names may hold the other characters that `str.splitlines` cuts at.

    Raises:
        DataError: the file cannot be opened, or a line is not UTF-8.
    """
    for number, _, raw in located_lines(path):
        text = decoded(path, number, raw).rstrip("\r\n")
        if text.strip():
            yield number, text


def located_lines(path: Path) -> Iterator[tuple[int, int, bytes]]:
    """(line number from 1, byte offset, raw bytes) for every line of a file.

    Raises:
        DataError: the file cannot be opened or read.
    """
    offset = 0
    try:
        with path.open("rb") as file:
            for number, raw in enumerate(file, start=1):
                yield number, offset, raw
                offset += len(raw)
    except OSError as error:
        raise data_error(path, None, f"cannot be read ({error.strerror})") from error


def read_bytes(path: Path) -> bytes:
    """The whole file.

    Raises:
        DataError: the file cannot be opened or read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise data_error(path, None, f"cannot be read ({error.strerror})") from error


def decoded(path: Path, line: int | None, raw: bytes) -> str:
    """UTF-8 text, a byte-order mark at the start of the file dropped.

    Raises:
        DataError: the bytes are not UTF-8.
    """
    try:
        return raw.decode("utf-8-sig" if line in (None, 1) else "utf-8")
    except UnicodeDecodeError as error:
        raise data_error(path, line, f"not UTF-8 text ({error.reason} at byte {error.start})") from error


def parsed_json(path: Path, line: int | None, text: str) -> Any:
    """The JSON value of `text`; `line` is the line it stands on, None when `text` is the whole file.

    Raises:
        DataError: the text is not JSON, or is nested too deeply to read.
    """
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        place = error.lineno if line is None else line
        raise data_error(path, place, f"not JSON ({error.msg} at column {error.colno})") from error
    except (ValueError, RecursionError) as error:
        raise data_error(path, line, f"not JSON ({error})") from error


def checked_name(path: Path, line: int | None, value: object, what: str) -> str:
    """`value` as an id, relation or name: text that is not blank and is valid Unicode.

    Raises:
        DataError: it is not.
    """
    if not isinstance(value, str):
        raise data_error(path, line, f"{what} is {quoted(repr(value))}, not text")
    if not value.strip():
        raise data_error(path, line, f"{what} is empty")
    try:
        value.encode("utf-8")
    except UnicodeEncodeError as error:
        raise data_error(path, line, f"{what} {quoted(value)} is not valid Unicode") from error
    return value


def split_fields(path: Path, line: int, text: str, separator: str, names: tuple[str, ...]) -> list[str]:
    """The fields of one separated line, exactly one for each of `names`, none of them blank.

    Raises:
        DataError: another number of fields, or an empty one.
    """
    fields = text.split(separator)
    if len(fields) != len(names):
        wanted = repr(separator).strip("'").join(names)
        raise data_error(path, line, f"has {len(fields)} fields where {len(names)} belong ({wanted})")
    return [checked_name(path, line, value, what) for value, what in zip(fields, names, strict=True)]
