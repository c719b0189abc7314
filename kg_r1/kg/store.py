"""Every graph under one data path, read on demand and kept in an in-memory LRU cache.

In: a folder with one folder per data set (formats: `kg_r1.kg.readers`). Out: graphs by data set and
sample. Each graph is read once however many threads ask for it, and a slow read holds up nobody who asks
for another data set or a cached graph.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from kg_r1.kg.errors import DataError, UnknownDataset, listed, quoted
from kg_r1.kg.knowledge_graph import KnowledgeGraph
from kg_r1.kg.readers import find_format
from kg_r1.kg.records import Source, unknown_sample

Key = tuple[str, str | None]  # (data set, sample id); the sample id is None for a shared graph
K = TypeVar("K")
V = TypeVar("V")


@dataclass(frozen=True)
class CacheInfo:
    """What the cache holds: one item per graph, 'dataset:sample' or 'dataset' for a shared one."""

    cache_enabled: bool
    cache_size: int
    max_cache_size: int
    cached_items: list[str]


class Dataset:
    """One data set's source with the lock that its reads go through."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self._lock = threading.Lock()

    def load(self, sample_id: str | None) -> KnowledgeGraph:
        """Reads one graph; see `Source.load`."""
        with self._lock:
            return self.source.load(sample_id)


class GraphStore:
    """The graphs under one data path. Thread-safe.

    Args:
        base_data_path: a folder with one folder per data set.
        max_cache_size: most graphs kept in memory; the one used longest ago goes first.

    Raises:
        DataError: `base_data_path` is not a folder.
        ValueError: `max_cache_size` is below 1.
    """

    def __init__(self, base_data_path: Path, max_cache_size: int = 1000) -> None:
        if max_cache_size < 1:
            raise ValueError(f"max_cache_size is {max_cache_size}; it must be at least 1")
        self.base_data_path = Path(base_data_path)
        self.max_cache_size = max_cache_size
        if not self.base_data_path.is_dir():
            raise DataError(f"there is no folder {self.base_data_path}", "Name the folder of the data sets")
        self._lock = threading.Lock()  # never held while a file is read
        self._graphs: OrderedDict[Key, KnowledgeGraph] = OrderedDict()
        self._datasets: dict[str, Future[Dataset]] = {}
        self._loading: dict[Key, Future[KnowledgeGraph]] = {}

    def datasets(self) -> list[str]:
        """The folders that hold a graph in a known format, sorted; their files are not read."""
        return sorted(name for name, folder in self._folders().items() if find_format(folder) is not None)

    def is_shared(self, dataset_name: str) -> bool:
        """Whether the data set is one graph for all samples, so that a sample id is not needed.

        Raises:
            UnknownDataset: there is no such data set.
            DataError: its files cannot be read.
        """
        return self._dataset(dataset_name).source.is_shared

    def graph(self, dataset_name: str, sample_id: str | None = None) -> KnowledgeGraph:
        """The graph of one sample, or the shared graph of the data set (`sample_id` is then ignored).

        Raises:
            UnknownDataset: there is no such data set.
            UnknownSample: there is no such sample, or none was named where one is needed.
            DataError: a file cannot be read; names file and line.
        """
        dataset = self._dataset(dataset_name)
        key = (dataset_name, None if dataset.source.is_shared else sample_id)
        if sample_id is None and not dataset.source.is_shared:
            raise unknown_sample(dataset_name, None, 0)
        with self._lock:
            if key in self._graphs:
                self._graphs.move_to_end(key)
                return self._graphs[key]
            future, is_ours = _claim(self._loading, key)
        if is_ours:
            self._fulfil(self._loading, key, future, lambda: dataset.load(sample_id))
            if future.exception() is None:
                self._keep(key, future)
        return future.result()

    def cache_info(self) -> CacheInfo:
        """What the cache holds now, the graph used longest ago first."""
        with self._lock:
            items = [name if sample is None else f"{name}:{sample}" for name, sample in self._graphs]
        return CacheInfo(True, len(items), self.max_cache_size, items)

    def clear_cache(self) -> None:
        """Forgets every graph and every listing, so that files added or changed since are seen."""
        with self._lock:
            self._graphs.clear()
            self._datasets.clear()
            self._loading.clear()

    def _dataset(self, name: str) -> Dataset:
        with self._lock:
            future, is_ours = _claim(self._datasets, name)
        if is_ours:
            self._fulfil(self._datasets, name, future, lambda: self._open(name))
        return future.result()

    def _open(self, name: str) -> Dataset:
        folder = self._folders().get(name)
        found = find_format(folder) if folder is not None else None
        if folder is None or found is None:
            known = listed(map(quoted, self.datasets()))
            raise UnknownDataset(f"there is no data set {quoted(name)}", f"Data sets: {known}")
        return Dataset(found.open(folder))

    def _keep(self, key: Key, future: Future[KnowledgeGraph]) -> None:
        with self._lock:
            # After clear_cache() the claim is gone: what was read from before it must not come back.
            if self._loading.get(key) is not future:
                return
            del self._loading[key]
            self._graphs[key] = future.result()
            while len(self._graphs) > self.max_cache_size:
                self._graphs.popitem(last=False)

    def _fulfil(
        self, claims: dict[K, Future[V]], key: K, future: Future[V], produce: Callable[[], V]
    ) -> None:
        try:
            future.set_result(produce())
        except BaseException as error:  # noqa: BLE001 -- raised again in everyone who waits, ourselves included
            # The failure is not kept: by the next request the files may have been mended.
            with self._lock:
                if claims.get(key) is future:
                    del claims[key]
            future.set_exception(error)

    def _folders(self) -> dict[str, Path]:
        try:
            return {path.name: path for path in self.base_data_path.iterdir() if path.is_dir()}
        except OSError as error:
            raise DataError(f"{self.base_data_path}: cannot be listed ({error.strerror})") from error


def _claim(claims: dict[K, Future[V]], key: K) -> tuple[Future[V], bool]:
    """The future under `key`, and whether the caller has just made it and so must fulfil it."""
    is_ours = key not in claims
    return claims.setdefault(key, Future()), is_ours
