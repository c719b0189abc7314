"""A set of flat binary files with a manifest: how a compiled store lies on disk.

In: arrays, written piece by piece. Out: the same arrays, mapped read-only, so that every process that opens
the set shares one copy of it in the page cache. A folder is a file set if and only if its manifest stands in
it; the manifest is written last, and the folder gets its final name by one rename.
"""

from __future__ import annotations

import json
import mmap
import os
import shutil
import sys
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import xxhash

from kg_r1.kg.errors import DataError, quoted

MANIFEST = "store.json"
FORMAT = "kg-r1 graph store"
VERSION = 2
ITEM_SIZES = {"B": 1, "H": 2, "I": 4, "Q": 8}  # memoryview formats; all little-endian and unsigned
READ_BYTES = 1 << 20


class StoreError(DataError):
    """A compiled store that cannot be used: truncated, altered, of another format version."""


@dataclass
class Section:
    """One array of a file set while it is written."""

    file: BinaryIO
    item: str
    num_bytes: int = 0
    digest: Any = field(default_factory=xxhash.xxh3_128)

    def write(self, piece: bytes | memoryview) -> None:
        """Appends the bytes of some items."""
        self.file.write(piece)
        self.digest.update(piece)
        self.num_bytes += len(piece)


class FileSetWriter:
    """Writes the sections of a file set into a folder that exists. Close it to write the manifest.

    Args:
        folder: an empty folder, which nobody reads yet.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._sections: dict[str, Section] = {}

    def section(self, name: str, item: str) -> Section:
        """A new section of items of one of `ITEM_SIZES`."""
        if name in self._sections or item not in ITEM_SIZES:
            raise ValueError(f"section {name!r} of {item!r} stands already, or has no such item")
        # Closed by `close`: sections are filled side by side.
        file = (self.folder / f"{name}.bin").open("wb")
        return self._sections.setdefault(name, Section(file, item))

    def close(self, facts: Mapping[str, Any]) -> None:
        """Flushes every section to the disk and writes the manifest, with `facts` beside the sections."""
        described = {}
        for name, section in self._sections.items():
            section.file.flush()
            os.fsync(section.file.fileno())
            section.file.close()
            described[name] = {
                "item": section.item,
                "num_bytes": section.num_bytes,
                "xxh3_128": section.digest.hexdigest(),
            }
        manifest = {"format": FORMAT, "version": VERSION, **facts, "sections": described}
        with (self.folder / MANIFEST).open("w", encoding="utf-8") as file:
            json.dump(manifest, file, indent=1)
            file.flush()
            os.fsync(file.fileno())


class FileSet:
    """A file set that is open: `facts` of its manifest, and its sections as read-only memory views.

    Args:
        folder: a folder with a manifest.
        verify: compare every file with its checksum, which reads all of it once.

    Raises:
        StoreError: there is none, it is of another version, or a file is missing, cut short or altered.
    """

    def __init__(self, folder: Path, verify: bool = True) -> None:
        if sys.byteorder != "little":
            raise StoreError(f"{folder}: compiled stores are for little-endian machines")
        self.folder = folder
        self.facts = read_manifest(folder)
        self._views: dict[str, memoryview] = {}
        sections = self.facts.get("sections")
        if not isinstance(sections, dict):
            raise broken(folder / MANIFEST, "lists no sections")
        for name, described in sections.items():
            self._views[name] = _mapped(folder, name, described, verify)

    def data(self, name: str) -> mmap.mmap | bytes:
        """One section of bytes, uncast: a slice of it is bytes.

        Raises:
            StoreError: the manifest has no such section.
        """
        held = self.view(name).obj
        assert isinstance(held, mmap.mmap | bytes)  # `_mapped` made the view of one of the two
        return held

    def view(self, name: str) -> memoryview:
        """One section, cast to its items; indexing gives integers.

        Raises:
            StoreError: the manifest has no such section.
        """
        if name not in self._views:
            raise broken(self.folder / MANIFEST, f"has no section {quoted(name)}")
        return self._views[name]


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a file set.

    Raises:
        StoreError: there is none, it is not JSON, or is of another format or version.
    """
    path = folder / MANIFEST
    try:
        facts = json.loads(path.read_bytes())
    except OSError as error:
        raise broken(path, f"cannot be read ({error.strerror})") from error
    except (ValueError, RecursionError) as error:
        raise broken(path, "is not JSON") from error
    if not isinstance(facts, dict) or facts.get("format") != FORMAT:
        raise broken(path, "is not the manifest of a compiled store")
    if facts.get("version") != VERSION:
        raise broken(path, f"is of format version {facts.get('version')!r}, and this release reads {VERSION}")
    return facts


def broken(path: Path, problem: str) -> StoreError:
    """The error for a file of a store, with the way out."""
    return StoreError(f"{path}: {problem}", "Remove the folder; `kg-r1 build store` makes it again")


def _mapped(folder: Path, name: str, described: object, verify: bool) -> memoryview:
    path = folder / f"{name}.bin"
    if (
        not name.replace(".", "").replace("_", "").isalnum()
        or not isinstance(described, dict)
        or described.get("item") not in ITEM_SIZES
        or not isinstance(described.get("num_bytes"), int)
    ):
        raise broken(folder / MANIFEST, f"describes section {quoted(name)} in a way that is not readable")
    item, num_bytes = described["item"], described["num_bytes"]
    try:
        with path.open("rb") as file:
            actual = os.fstat(file.fileno()).st_size
            if actual != num_bytes or num_bytes % ITEM_SIZES[item]:
                raise broken(path, f"has {actual} bytes, and its manifest says {num_bytes}")
            # Read, not mapped: pages touched through a map would count as this process's own memory.
            if verify and _digest(file) != described.get("xxh3_128"):
                raise broken(path, "was altered: its checksum is another one than in the manifest")
            held = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if num_bytes else b""
            items: memoryview = memoryview(held).cast(item)  # type: ignore[assignment]
            return items
    except OSError as error:
        raise broken(path, f"cannot be read ({error.strerror})") from error


def _digest(file: BinaryIO) -> str:
    digest = xxhash.xxh3_128()
    while piece := file.read(READ_BYTES):
        digest.update(piece)
    return str(digest.hexdigest())


@contextmanager
def new_folder(final: Path) -> Iterator[Path]:
    """A folder to write in that becomes `final` at the end of the block, or is removed if the block fails.

    When another process has made `final` meanwhile, its folder stays and ours is removed.
    """
    final.parent.mkdir(parents=True, exist_ok=True)
    folder = final.with_name(f".{final.name}.{uuid.uuid4().hex}")
    folder.mkdir()
    try:
        yield folder
        _sync_folder(folder)
        try:
            folder.rename(final)
        except OSError:
            if not (final / MANIFEST).is_file():
                raise
        _sync_folder(final.parent)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
