"""Raw data sets compiled on first use: which compiled folder belongs to which state of the raw files.

In: the folder of a raw data set. Out: the folder of its compiled store, below a cache folder, made if it is
not there yet. Its name holds a fingerprint of the raw files, so that a changed file leads to a new store, and
processes that have the old one mapped are not disturbed.
"""

from __future__ import annotations

import hashlib
import logging
import re
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from kg_r1.kg.compiled.file_set import MANIFEST, VERSION
from kg_r1.kg.errors import DataError

if TYPE_CHECKING:
    from kg_r1.kg.readers import Format

logger = logging.getLogger(__name__)

FINGERPRINT_CHARS = 16


def fingerprint(form: Format, folder: Path) -> str:
    """What the raw files look like now: their names, sizes and times, and the format's version.

    Raises:
        DataError: a file cannot be looked at.
    """
    digest = hashlib.sha256(f"{VERSION}:{form.name}".encode())
    for path in form.files(folder):
        try:
            status = path.stat()
        except OSError as error:
            raise DataError(f"{path}: cannot be read ({error.strerror})") from error
        name = str(path.relative_to(folder)).encode("utf-8", "surrogateescape")
        digest.update(b"\0%b\0%d\0%d" % (name, status.st_size, status.st_mtime_ns))
    return digest.hexdigest()[:FINGERPRINT_CHARS]


def store_folder(form: Format, folder: Path, cache_path: Path) -> Path:
    """Where the compiled store of the raw files as they are now lies, or would lie. Raises DataError."""
    return cache_path / f"{folder.name}-{fingerprint(form, folder)}"


def is_compiled(form: Format, folder: Path, cache_path: Path) -> bool:
    """Whether the raw files as they are now have a store. Raises DataError."""
    return (store_folder(form, folder, cache_path) / MANIFEST).is_file()


def compiled_folder(form: Format, folder: Path, cache_path: Path) -> Path:
    """The compiled store of a raw data set, made if it is not there.

    Args:
        form: the layout of the raw files.
        folder: the data set's folder.
        cache_path: where compiled stores lie. It need not be writable where the store is there already;
            else, if nothing can be written, a folder of this process alone is used.

    Raises:
        DataError: the raw files cannot be read, or the disk is full.
    """
    final = store_folder(form, folder, cache_path)
    if not (final / MANIFEST).is_file():
        final = usable_cache(cache_path) / final.name
    if not (final / MANIFEST).is_file():
        # Imported here: who finds everything compiled needs neither the database nor its memory.
        from kg_r1.kg.compiled.build import build_store

        logger.info("data set %s is compiled into %s", folder.name, final)
        try:
            mark = final.name.rpartition("-")[2]
            build_store(form.opened_triples(folder), final, mark, keep_going=True)
        except OSError as error:
            raise DataError(
                f"{final}: cannot be written ({error.strerror or error})",
                "Name a folder that can be with --cache_path, or make room",
            ) from error
        _remove_older(folder.name, final)
    return final


def usable_cache(cache_path: Path) -> Path:
    """`cache_path` if files can be made there, else a folder of this process alone, with a warning."""
    if can_write(cache_path):
        return cache_path
    own = _own_folder()
    logger.warning(
        "nothing can be written in %s: data sets are compiled into %s, again by every process; "
        "name a better folder with --cache_path",
        cache_path,
        own,
    )
    return own


def can_write(cache_path: Path) -> bool:
    """Whether files can be made in a folder, which is made itself where it is not there."""
    try:
        cache_path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=cache_path):
            return True
    except OSError:
        return False


_own: list[tempfile.TemporaryDirectory[str]] = []  # removed when the process ends


def _own_folder() -> Path:
    if not _own:
        _own.append(tempfile.TemporaryDirectory(prefix="kg_r1_stores_"))
    return Path(_own[0].name)


def _remove_older(name: str, kept: Path) -> None:
    """Removes the stores of earlier states of the data set; a process that has one mapped keeps it."""
    pattern = re.compile(re.escape(name) + f"-[0-9a-f]{{{FINGERPRINT_CHARS}}}")
    older: Sequence[Path] = [
        path for path in kept.parent.iterdir() if path != kept and pattern.fullmatch(path.name)
    ]
    for path in older:
        shutil.rmtree(path, ignore_errors=True)
