"""Every graph under one data path: opened on demand, kept in an LRU cache.

In: a folder with one folder per data set (formats: `kg_r1.kg.readers`). Out: graphs by data set and sample.
Raw data sets are compiled once into a cache folder; what is kept in memory is a small view of each graph,
while the triples stay in mapped files that all processes share. A slow build holds up nobody who asks for
another data set or a graph that is at hand.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from kg_r1.kg.compiled.cache import can_write, compiled_folder, fingerprint, is_compiled
from kg_r1.kg.compiled.dataset import MappedDataset
from kg_r1.kg.compiled.graph import MappedGraph
from kg_r1.kg.compiled.source import CompiledSource
from kg_r1.kg.errors import DataError, KGError, UnknownDataset, listed, quoted
from kg_r1.kg.knowledge_graph import KnowledgeGraph
from kg_r1.kg.readers import Format, find_format
from kg_r1.kg.records import Source, unknown_sample

Key = tuple[str, str | None]  # (data set, sample id); the sample id is None for a shared graph
K = TypeVar("K")
V = TypeVar("V")

CACHE_FOLDER = ".compiled"


@dataclass(frozen=True)
class CacheInfo:
    """What the cache holds: one item per graph, 'dataset:sample' or 'dataset' for a shared one."""

    cache_enabled: bool
    cache_size: int
    max_cache_size: int
    cached_items: list[str]


@dataclass(frozen=True)
class Dataset:
    """One data set that is open, with the state of the files that it was opened from."""

    source: Source
    form: Format
    folder: Path
    mark: str

    def has_changed(self) -> bool:
        """Whether the files are others than those that were opened."""
        return fingerprint(self.form, self.folder) != self.mark


class GraphStore:
    """The graphs under one data path. Thread-safe.

    Args:
        base_data_path: a folder with one folder per data set.
        max_cache_size: most graphs kept at hand; the one used longest ago goes first.
        cache_path: where raw data sets are compiled to; by default `.compiled` in the data path, or a
            folder of this process alone where nothing can be written there.

    Raises:
        DataError: `base_data_path` is not a folder.
        ValueError: `max_cache_size` is below 1.
    """

    def __init__(
        self, base_data_path: Path, max_cache_size: int = 1000, cache_path: Path | None = None
    ) -> None:
        if max_cache_size < 1:
            raise ValueError(f"max_cache_size is {max_cache_size}; it must be at least 1")
        self.base_data_path = Path(base_data_path)
        self.max_cache_size = max_cache_size
        self.cache_path = self.base_data_path / CACHE_FOLDER if cache_path is None else Path(cache_path)
        if not self.base_data_path.is_dir():
            raise DataError(f"there is no folder {self.base_data_path}", "Name the folder of the data sets")
        self._lock = threading.Lock()  # never held while a file is read
        self._graphs: OrderedDict[Key, KnowledgeGraph] = OrderedDict()
        self._datasets: dict[str, Future[Dataset]] = {}
        self._loading: dict[Key, Future[KnowledgeGraph]] = {}
        self._mapped: dict[str, MappedDataset] = {}  # those that have been opened
        self.generation = 0
        """How often something was forgotten: what others keep of an earlier time may be out of date."""

    def datasets(self) -> list[str]:
        """The folders that hold a graph in a known format, sorted; their files are not read."""
        return sorted(name for name, folder in self._folders().items() if find_format(folder) is not None)

    def uncompiled(self) -> list[str]:
        """The raw data sets that have no compiled store yet, sorted; [] where none could be written.

        Raises:
            DataError: a file cannot be looked at.
        """
        names = []
        for name, folder in sorted(self._folders().items()):
            form = find_format(folder)
            if form is not None and form.open is None and not is_compiled(form, folder, self.cache_path):
                names.append(name)
        return names if names and can_write(self.cache_path) else []

    def prepare(self, dataset_name: str) -> None:
        """Opens a data set, which compiles it where that is needed, so that the first question need not wait.

        Raises:
            UnknownDataset, DataError: as `is_shared`.
        """
        self._dataset(dataset_name)

    def is_shared(self, dataset_name: str) -> bool:
        """Whether the data set is one graph for all samples, so that a sample id is not needed.

        Raises:
            UnknownDataset: there is no such data set.
            DataError: its files cannot be read.
        """
        return self._dataset(dataset_name).source.is_shared

    def at_hand(self, dataset_name: str, sample_id: str | None) -> MappedGraph | None:
        """What `graph` gives, if the data set is mapped already; None when `graph` must be asked."""
        dataset = self._mapped.get(dataset_name)
        if dataset is None:
            return None
        key = (dataset_name, None if dataset.is_shared else sample_id)
        with self._lock:
            graph = self._graphs.get(key)
            if graph is not None:
                self._graphs.move_to_end(key)
                return graph if type(graph) is MappedGraph else None
        try:
            opened = MappedGraph(dataset, dataset.sample_number(sample_id))
        except KGError:
            return None
        with self._lock:
            # Not if the cache was cleared or another thread was faster: then the general way tells.
            if self._mapped.get(dataset_name) is dataset and key not in self._graphs:
                self._graphs[key] = opened
                if len(self._graphs) > self.max_cache_size:
                    self._graphs.popitem(last=False)
        return opened

    def graph(self, dataset_name: str, sample_id: str | None = None) -> KnowledgeGraph:
        """The graph of one sample, or the shared graph of the data set (`sample_id` is then ignored).

        Raises:
            UnknownDataset: there is no such data set.
            UnknownSample: there is no such sample, or none was named where one is needed.
            DataError: a file cannot be read; names file and line.
        """
        dataset = self._dataset(dataset_name)
        try:
            return self._graph(dataset, dataset_name, sample_id)
        except DataError:
            # The failure is not kept: by now the files may have been mended.
            if not dataset.has_changed():
                raise
        with self._lock:
            self.generation += 1
            self._datasets.pop(dataset_name, None)
            self._mapped.pop(dataset_name, None)
        return self._graph(self._dataset(dataset_name), dataset_name, sample_id)

    def cache_info(self) -> CacheInfo:
        """What the cache holds now, the graph used longest ago first."""
        with self._lock:
            items = [name if sample is None else f"{name}:{sample}" for name, sample in self._graphs]
        return CacheInfo(True, len(items), self.max_cache_size, items)

    def clear_cache(self) -> None:
        """Forgets every graph and every listing, so that files added or changed since are seen."""
        with self._lock:
            self.generation += 1
            self._graphs.clear()
            self._datasets.clear()
            self._loading.clear()
            self._mapped.clear()

    def _graph(self, dataset: Dataset, dataset_name: str, sample_id: str | None) -> KnowledgeGraph:
        is_shared = dataset.source.is_shared
        key = (dataset_name, None if is_shared else sample_id)
        if sample_id is None and not is_shared:
            raise unknown_sample(dataset_name, None, 0)
        with self._lock:
            if key in self._graphs:
                self._graphs.move_to_end(key)
                return self._graphs[key]
            future, is_ours = _claim(self._loading, key)
        if is_ours:
            self._fulfil(self._loading, key, future, lambda: dataset.source.load(sample_id))
            if future.exception() is None:
                self._keep(key, future, dataset)
        return future.result()

    def _cut(self) -> None:
        while len(self._graphs) > self.max_cache_size:
            self._graphs.popitem(last=False)

    def _dataset(self, name: str) -> Dataset:
        with self._lock:
            future, is_ours = _claim(self._datasets, name)
        if is_ours:
            self._fulfil(self._datasets, name, future, lambda: self._open(name))
            with self._lock:
                is_current = self._datasets.get(name) is future
                if is_current and isinstance(source := future.result().source, CompiledSource):
                    self._mapped[name] = source.dataset
        return future.result()

    def _open(self, name: str) -> Dataset:
        folder = self._folders().get(name)
        form = find_format(folder) if folder is not None else None
        if folder is None or form is None:
            known = listed(map(quoted, self.datasets()))
            raise UnknownDataset(f"there is no data set {quoted(name)}", f"Data sets: {known}")
        mark = fingerprint(form, folder)
        if form.open is not None:
            return Dataset(form.open(folder), form, folder, mark)
        compiled = compiled_folder(form, folder, self.cache_path)
        return Dataset(CompiledSource(compiled, name), form, folder, mark)

    def _keep(self, key: Key, future: Future[KnowledgeGraph], dataset: Dataset) -> None:
        with self._lock:
            # After clear_cache() claim and data set are gone: what was read before it must not come back.
            if self._loading.get(key) is not future:
                return
            del self._loading[key]
            current = self._datasets.get(key[0])
            if current is not None and current.done() and current.result() is dataset:
                self._graphs[key] = future.result()
                self._cut()

    def _fulfil(
        self, claims: dict[K, Future[V]], key: K, future: Future[V], produce: Callable[[], V]
    ) -> None:
        try:
            future.set_result(produce())
        except BaseException as error:  # noqa: BLE001 -- raised again in everyone who waits, ourselves included
            with self._lock:
                if claims.get(key) is future:
                    del claims[key]
            future.set_exception(error)

    def _folders(self) -> dict[str, Path]:
        try:
            return {
                path.name: path
                for path in self.base_data_path.iterdir()
                if path.is_dir() and path.name != CACHE_FOLDER
            }
        except OSError as error:
            raise DataError(f"{self.base_data_path}: cannot be listed ({error.strerror})") from error


def _claim(claims: dict[K, Future[V]], key: K) -> tuple[Future[V], bool]:
    """The future under `key`, and whether the caller has just made it and so must fulfil it."""
    is_ours = key not in claims
    return claims.setdefault(key, Future()), is_ours
