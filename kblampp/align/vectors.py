"""Vectors of texts on disk, made once: what the teacher said is kept, and the teacher is not asked again."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from kblampp.align.errors import AlignError, NotCached
from kblampp.align.providers import EmbeddingProvider
from kblampp.encoders.cache import VectorCache, vector_key
from kblampp.files import whole, write_text

CHUNK = 128  # texts in one request, and what an interruption loses at most


@dataclass(frozen=True)
class Vectors:
    """Vectors by text: `matrix` is float32 [n, d], `rows` maps a text to its row, `name` the provider's."""

    name: str
    rows: dict[str, int]
    matrix: np.ndarray
    s_per_1000: float | None = None
    """Seconds for a thousand texts, where any was computed and not found."""

    def of(self, texts: Sequence[str]) -> np.ndarray:
        """float32 [len(texts), d]. Raises NotCached for a text that is not there."""
        try:
            return self.matrix[[self.rows[text] for text in texts]]
        except KeyError as error:
            raise NotCached(
                f"there is no vector of {self.name} for the text {error.args[0]!r}; "
                "run `kblampp-align cache-teacher` again after the data set was built anew"
            ) from error


def embed_all(provider: EmbeddingProvider, texts: Sequence[str], store: Path, label: str) -> Vectors:
    """The vectors of all texts; those that the SQLite file `store` has are not computed again.

    Shows a bar on stderr. Raises ProviderError as the provider does; what was made until then is kept.
    """
    unique = list(dict.fromkeys(texts))
    recipe = {"provider": provider.name}
    keys = [vector_key(recipe, text) for text in unique]
    with VectorCache(store) as cache:
        known = cache.get(keys)
        missing = [number for number, key in enumerate(keys) if key not in known]
        with tqdm(total=len(missing), desc=label, unit="text", disable=not missing) as bar:
            started = time.perf_counter()
            for start in range(0, len(missing), CHUNK):
                part = missing[start : start + CHUNK]
                made = provider.embed([unique[number] for number in part])
                new = {keys[number]: vector for number, vector in zip(part, made, strict=True)}
                cache.put(new)
                known.update(new)
                bar.update(len(part))
            seconds = time.perf_counter() - started
    lengths = {len(known[key]) for key in keys}
    if len(lengths) > 1:
        raise AlignError(
            f"{provider.name} gave vectors of lengths {sorted(lengths)}; delete {store} and go on"
        )
    matrix = np.stack([known[key] for key in keys]) if keys else np.zeros((0, 0), dtype=np.float32)
    rows = {text: number for number, text in enumerate(unique)}
    return Vectors(provider.name, rows, matrix, seconds / len(missing) * 1000 if missing else None)


def save_vectors(folder: Path, which: str, vectors: Vectors) -> None:
    """Writes `<which>_embeddings.npy` and `<which>_index.json` (name, speed, texts in the rows' order)."""
    with whole(folder / f"{which}_embeddings.npy") as temporary:
        np.save(temporary, vectors.matrix, allow_pickle=False)
    index = {"name": vectors.name, "s_per_1000": vectors.s_per_1000, "texts": list(vectors.rows)}
    write_text(folder / f"{which}_index.json", json.dumps(index, ensure_ascii=False, indent=0) + "\n")


def load_vectors(folder: Path, which: str) -> Vectors:
    """Maps what `save_vectors` wrote. Raises NotCached when it is not there or the two files do not fit."""
    try:
        matrix = np.load(folder / f"{which}_embeddings.npy", mmap_mode="r", allow_pickle=False)
        index = json.loads((folder / f"{which}_index.json").read_text(encoding="utf-8"))
        texts = index["texts"]
    except (OSError, ValueError, KeyError) as error:
        raise NotCached(
            f"no {which} vectors in {folder} ({error}); `kblampp-align cache-teacher` makes them"
        ) from error
    if len(texts) != len(matrix):
        raise NotCached(
            f"{which}_index.json in {folder} names {len(texts)} texts, {which}_embeddings.npy has "
            f"{len(matrix)} rows; run `kblampp-align cache-teacher` again"
        )
    rows = {text: number for number, text in enumerate(texts)}
    return Vectors(str(index["name"]), rows, matrix, index.get("s_per_1000"))
