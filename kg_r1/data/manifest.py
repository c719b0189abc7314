"""The manifest of a built data set: where it came from, what it holds, and a checksum of every file."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from kg_r1.data.files import sha256, write_text

MANIFEST = "manifest.json"


def write_manifest(folder: Path, files: Iterable[Path], facts: Mapping[str, Any]) -> None:
    """Writes `folder`/manifest.json: `facts`, and size and SHA-256 of each file by its path below `folder`.

    It is written last, so a folder with a manifest is complete.
    """
    listed = {
        path.relative_to(folder).as_posix(): {"bytes": path.stat().st_size, "sha256": sha256(path)}
        for path in sorted(files)
    }
    text = json.dumps({**facts, "files": listed}, indent=2, sort_keys=True, ensure_ascii=False)
    write_text(folder / MANIFEST, text + "\n")


def drop_manifest(folder: Path) -> None:
    """Removes the manifest before anything else of the folder changes."""
    (folder / MANIFEST).unlink(missing_ok=True)
