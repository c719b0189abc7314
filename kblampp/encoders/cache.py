"""Vectors kept on disk: one SQLite file that several processes may read and write at once."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType

import numpy as np

BUSY_S = 60.0  # another process may be writing that long
_MAX_VARIABLES = 900  # in one SQL statement; SQLite's own limit was 999 for long


class VectorCache:
    """float32 vectors by key.

    A key is made from everything that decides a vector (`vector_key`), so a vector never goes stale: what
    nobody asks for any more only takes space. Two writers that have made the same vector keep the first.

    Args:
        path: the file; made, with its folder, when it is missing.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._database = sqlite3.connect(path, timeout=BUSY_S)
        # The lock is taken at once: two that open a new file and ask for it later may both be told that it is
        # locked, without waiting. A write-ahead log is not worth it: to switch it on does not wait either.
        with self._database:
            self._database.execute("BEGIN IMMEDIATE")
            self._database.execute(
                "CREATE TABLE IF NOT EXISTS vectors "
                "(key BLOB PRIMARY KEY, vector BLOB NOT NULL) WITHOUT ROWID"
            )

    def get(self, keys: Sequence[bytes]) -> dict[bytes, np.ndarray]:
        """The vectors ([d] each) of those keys that are there."""
        found: dict[bytes, np.ndarray] = {}
        for start in range(0, len(keys), _MAX_VARIABLES):
            part = list(keys[start : start + _MAX_VARIABLES])
            marks = ",".join("?" * len(part))
            rows = self._database.execute(f"SELECT key, vector FROM vectors WHERE key IN ({marks})", part)
            found.update((key, np.frombuffer(vector, dtype="<f4")) for key, vector in rows)
        return found

    def put(self, vectors: Mapping[bytes, np.ndarray] | Iterable[tuple[bytes, np.ndarray]]) -> None:
        """Adds vectors, all or none of them; a key that is there keeps its vector."""
        pairs = vectors.items() if isinstance(vectors, Mapping) else vectors
        rows = [(key, np.ascontiguousarray(vector, dtype="<f4").tobytes()) for key, vector in pairs]
        with self._database:
            self._database.executemany("INSERT OR IGNORE INTO vectors VALUES (?, ?)", rows)

    def __len__(self) -> int:
        return int(self._database.execute("SELECT COUNT(*) FROM vectors").fetchone()[0])

    def close(self) -> None:
        """Closes the file; what was put is on disk already."""
        self._database.close()

    def __enter__(self) -> VectorCache:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def vector_key(recipe: Mapping[str, object], text: str) -> bytes:
    """The key of a text's vector: a digest of the text and of all that its vector depends on.

    Args:
        recipe: such as the model's revision, the pooling and the precision; JSON values.
        text: with its prefix.
    """
    whole = json.dumps([recipe, text], sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(whole.encode("ascii")).digest()
