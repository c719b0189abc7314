"""The nearest keys of a query: exactly, or by FAISS's graph of near neighbours."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

import faiss
import numpy as np

from kblampp.config import StoreConfig
from kblampp.errors import ArtefactMissing, ArtefactStale
from kblampp.files import whole, write_text
from kblampp.kb_store import KBStore

INDEX_FOLDER = "index_hnsw"
Kind = Literal["exact", "hnsw"]
_CHUNK = 100_000


class KnowledgeIndex:
    """Inner products over the keys of a store.

    Args:
        index: of FAISS.
        kind: exact, the reference, or hnsw (Malkov and Yashunin 2016).
    """

    def __init__(self, index: Any, kind: Kind) -> None:
        self._index = index
        self.kind = kind

    def __len__(self) -> int:
        return int(self._index.ntotal)

    @property
    def ef_search(self) -> int:
        """How many nodes the graph keeps in sight while it searches; 0 for exact search."""
        return int(self._index.hnsw.efSearch) if self.kind == "hnsw" else 0

    @ef_search.setter
    def ef_search(self, value: int) -> None:
        self._index.hnsw.efSearch = value

    def search(self, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """The best keys of each query, best first.

        Args:
            queries: float32 [B, d].
            k: how many; as many as there are when there are fewer.

        Returns:
            Inner products, float32 [B, k], and rows, int64 [B, k].
        """
        k = min(k, len(self))
        if self.kind == "hnsw":
            self.ef_search = max(self.ef_search, k)
        scores, rows = self._index.search(np.ascontiguousarray(queries, dtype=np.float32), k)
        # A graph that is searched with a short list may come back with fewer than k; the best stands in.
        rows = np.where(rows < 0, rows[:, :1], rows)
        return scores, rows


def exact_index(store: KBStore) -> KnowledgeIndex:
    """Every key is compared; needs d * 4 bytes of memory a fact."""
    return exact_over(store.array("K"))


def exact_over(keys: np.ndarray) -> KnowledgeIndex:
    """As `exact_index`, of keys [N, d]."""
    index = faiss.IndexFlatIP(keys.shape[1])
    _add_all(index, keys)
    return KnowledgeIndex(index, "exact")


def build_hnsw(store: KBStore, config: StoreConfig) -> KnowledgeIndex:
    """A graph of near neighbours over all keys."""
    return hnsw_over(store.array("K"), config)


def hnsw_over(keys: np.ndarray, config: StoreConfig) -> KnowledgeIndex:
    """As `build_hnsw`, of keys [N, d]."""
    index = faiss.IndexHNSWFlat(keys.shape[1], config.hnsw_m, faiss.METRIC_INNER_PRODUCT)
    index.hnsw.efConstruction = config.ef_construction
    index.hnsw.efSearch = config.ef_search
    _add_all(index, keys)
    return KnowledgeIndex(index, "hnsw")


def _add_all(index: faiss.Index, keys: np.ndarray) -> None:
    for start in range(0, len(keys), _CHUNK):
        index.add(np.asarray(keys[start : start + _CHUNK], dtype=np.float32))


def save_hnsw(index: KnowledgeIndex, store: KBStore, config: StoreConfig) -> Path:
    """Writes the graph beside the store, with what it was made from; returns the folder."""
    folder = store.folder / INDEX_FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "index.json").unlink(missing_ok=True)
    with whole(folder / "keys.faiss") as temporary:
        faiss.write_index(index._index, str(temporary))
    write_text(folder / "index.json", json.dumps(_recipe(store, config)) + "\n")
    return folder


def load_index(store: KBStore, config: StoreConfig) -> KnowledgeIndex:
    """Exact up to `config.max_exact` facts, beyond them the graph that `build_index` wrote.

    Raises:
        ArtefactMissing: there is no graph.
        ArtefactStale: it was made from other keys, or with other settings.
    """
    if len(store) <= config.max_exact:
        return exact_index(store)
    folder = store.folder / INDEX_FOLDER
    try:
        recipe = json.loads((folder / "index.json").read_text(encoding="utf-8"))
    except OSError as error:
        raise ArtefactMissing(
            f"{folder}/index.json is not there; python -m kblampp.offline.run_pipeline --steps index makes it"
        ) from error
    if recipe != _recipe(store, config):
        raise ArtefactStale(f"{folder} was made from other keys or settings; build the index anew")
    index: Any = faiss.read_index(str(folder / "keys.faiss"))
    index.hnsw.efSearch = config.ef_search
    return KnowledgeIndex(index, "hnsw")


def _recipe(store: KBStore, config: StoreConfig) -> dict[str, object]:
    return {
        "keys": store.manifest.checksums["K.npy"],
        "hnsw_m": config.hnsw_m,
        "ef_construction": config.ef_construction,
    }
