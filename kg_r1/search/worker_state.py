"""One worker's view of the server: its own counts and store, and what it shares with the other workers."""

from __future__ import annotations

from collections.abc import Mapping

from kg_r1.kg.store import GraphStore
from kg_r1.search.metrics import Counts
from kg_r1.search.shared import SharedState


class WorkerState:
    """Counts requests, and keeps cache and counts in step with the other workers. Used by one thread.

    Args:
        store: the graphs of this worker.
        shared: the memory of all workers; None for a server of one.
        worker: this worker's number, from 0. One that takes the place of another goes on with its counts.
    """

    def __init__(self, store: GraphStore, shared: SharedState | None = None, worker: int = 0) -> None:
        self.store = store
        self.shared = SharedState() if shared is None else shared
        self.worker = worker
        self.num_workers = self.shared.num_workers
        self._counts = self.shared.counts(worker)
        self._counts.num_cached = 0
        self._num_clears_seen = self.shared.num_clears()

    def follow_clears(self) -> None:
        """Clears the cache if any worker was asked to since the last look; done before every request."""
        num_clears = self.shared.num_clears()
        if num_clears != self._num_clears_seen:
            self._num_clears_seen = num_clears
            self.store.clear_cache()
            self._counts.num_cached = 0

    def clear_everywhere(self) -> None:
        """Clears this cache now, and every other worker's before it answers its next request."""
        self.shared.add_clear(self.worker)
        self.follow_clears()

    def note(
        self,
        path: str,
        status: int,
        seconds: float,
        items: Mapping[tuple[str, str], int],
        *,
        has_read: bool = False,
    ) -> None:
        """Counts one HTTP request, see `Counts.add`; `has_read`: graphs may have come into the cache."""
        self._counts.add(path, status, seconds, items)
        if has_read:
            self._counts.num_cached = self.store.cache_info().cache_size
        if self.num_workers > 1:
            self.shared.publish(self.worker, self._counts)

    def all_counts(self) -> list[Counts]:
        """The counts of every worker, this one's up to the last request."""
        # Packed in one step, so that a thread may ask while requests are counted.
        return [
            Counts.unpack(self._counts.pack()) if worker == self.worker else self.shared.counts(worker)
            for worker in range(self.num_workers)
        ]
