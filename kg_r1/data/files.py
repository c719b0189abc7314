"""Whole-or-nothing writing of the files that the data builders produce.

A reader never sees half a file: bytes go to a temporary file in the same folder, are flushed to the
disk, and take the final name in one step.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import IO


def write_whole(path: Path, fill: Callable[[IO[bytes]], object]) -> None:
    """Writes `path` by calling `fill` with a binary file; on any error `path` stays as it was.

    Parent folders are made. The file ends up readable by everybody the process' umask allows.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as stream:
            fill(stream)
            stream.flush()
            os.fsync(stream.fileno())
        # mkstemp makes the file private; give it the permissions that open() would have given.
        umask = os.umask(0)
        os.umask(umask)
        Path(temporary).chmod(0o666 & ~umask)
        Path(temporary).replace(path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            Path(temporary).unlink()
        raise


def write_text(path: Path, text: str) -> None:
    """Writes `text` as UTF-8 with the line ends as given, whole or not at all."""
    write_whole(path, lambda stream: stream.write(text.encode("utf-8")))


def write_lines(path: Path, lines: Iterable[str]) -> None:
    """Writes one line for each string (which must hold no line end itself), whole or not at all."""

    def fill(stream: IO[bytes]) -> None:
        for line in lines:
            stream.write(line.encode("utf-8") + b"\n")

    write_whole(path, fill)


def sha256(path: Path) -> str:
    """The hex SHA-256 of a file's bytes."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
