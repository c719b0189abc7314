"""Files are written whole or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import IO

import pytest

from kg_r1.data.files import sha256, write_lines, write_text, write_whole


def test_parents_are_made_and_bytes_are_as_given(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b.txt"
    write_lines(path, ["São Tomé", "x"])
    assert path.read_bytes() == "São Tomé\nx\n".encode()
    write_text(path, "\r\n")
    assert path.read_bytes() == b"\r\n"
    assert [entry.name for entry in path.parent.iterdir()] == ["b.txt"]


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "kept.txt"
    write_text(path, "old")

    def fail(stream: IO[bytes]) -> None:
        stream.write(b"half of the new")
        raise RuntimeError("disk on fire")

    with pytest.raises(RuntimeError, match="disk on fire"):
        write_whole(path, fail)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_sha256_of_a_known_text(tmp_path: Path) -> None:
    write_text(tmp_path / "x", "abc")
    assert sha256(tmp_path / "x") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
