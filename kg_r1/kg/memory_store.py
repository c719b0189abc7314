"""A store whose graphs are in memory already: for a built-in graph, where there is no folder to read."""

from __future__ import annotations

from collections.abc import Mapping

from kg_r1.kg.compiled.graph import MappedGraph
from kg_r1.kg.errors import UnknownDataset, listed, quoted
from kg_r1.kg.knowledge_graph import KnowledgeGraph
from kg_r1.kg.store import CacheInfo, GraphStore


class MemoryStore(GraphStore):
    """Graphs by the name of their data set, each shared by all samples. Thread-safe.

    It has no `base_data_path`: an action that reads files of its own beside a graph finds none here.
    """

    def __init__(self, graphs: Mapping[str, KnowledgeGraph]) -> None:
        # Nothing of the folder that the base class looks after is there.
        self._in_memory = dict(graphs)
        self.generation = 0

    def datasets(self) -> list[str]:
        """The names, sorted."""
        return sorted(self._in_memory)

    def uncompiled(self) -> list[str]:
        """Nothing needs compiling."""
        return []

    def prepare(self, dataset_name: str) -> None:
        """Makes sure of the name. Raises UnknownDataset."""
        self.graph(dataset_name)

    def is_shared(self, dataset_name: str) -> bool:
        """True of every graph here. Raises UnknownDataset."""
        self.graph(dataset_name)
        return True

    def at_hand(self, dataset_name: str, sample_id: str | None) -> MappedGraph | None:
        """None: no graph here is a mapped one."""
        return None

    def graph(self, dataset_name: str, sample_id: str | None = None) -> KnowledgeGraph:
        """The graph of that name. Raises UnknownDataset."""
        found = self._in_memory.get(dataset_name)
        if found is None:
            known = listed(map(quoted, self.datasets()))
            raise UnknownDataset(f"there is no data set {quoted(dataset_name)}", f"Data sets: {known}")
        return found

    def cache_info(self) -> CacheInfo:
        """Everything is always at hand."""
        return CacheInfo(False, len(self._in_memory), len(self._in_memory), self.datasets())

    def clear_cache(self) -> None:
        """Nothing can be forgotten."""
