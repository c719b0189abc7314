"""A compiled data set as a source of graphs."""

from __future__ import annotations

from pathlib import Path

from kg_r1.kg.compiled.dataset import MappedDataset
from kg_r1.kg.compiled.graph import MappedGraph


class CompiledSource:
    """The graphs of one compiled store; see `Source`. Safe to use from many threads.

    Args:
        folder: the store.
        name: what messages call the data set.

    Raises:
        StoreError: the store cannot be used.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self.dataset = MappedDataset(folder, name)

    @property
    def is_shared(self) -> bool:
        """See `Source`."""
        return self.dataset.is_shared

    def load(self, sample_id: str | None) -> MappedGraph:
        """The graph of one sample; see `Source.load`. Reads nothing but the sample's place."""
        return MappedGraph(self.dataset, self.dataset.sample_number(sample_id))
