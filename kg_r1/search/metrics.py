"""What the server counts, and how Prometheus reads it.

In: one call per HTTP request, with its items counted per action and code. Out: the metrics of all workers
together. Counting touches plain dictionaries; what Prometheus wants is made when it asks.
"""

from __future__ import annotations

import marshal
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

SECONDS_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
OTHER_PATH = "other"


class Counts:
    """What one worker has counted since its server started. Used by one thread.

    Attributes:
        requests: HTTP requests per (path, status).
        items: requests of batches per (action, code).
        buckets: HTTP requests per path and bucket of seconds, the last bucket without an upper end.
        seconds: seconds of all HTTP requests per path.
        num_cached: graphs in the worker's cache when it last looked.
    """

    def __init__(self) -> None:
        self.requests: Counter[tuple[str, int]] = Counter()
        self.items: Counter[tuple[str, str]] = Counter()
        self.buckets: dict[str, list[int]] = {}
        self.seconds: dict[str, float] = {}
        self.num_cached = 0

    def add(self, path: str, status: int, seconds: float, items: Mapping[tuple[str, str], int]) -> None:
        """Counts one HTTP request.

        Args:
            path: one of a bounded set; `OTHER_PATH` for what the server does not know.
            status: of the reply.
            seconds: from the request's head to the reply's end.
            items: requests of its batch per (action, code).
        """
        self.requests[path, status] += 1
        buckets = self.buckets.get(path)
        if buckets is None:
            buckets = self.buckets[path] = [0] * (len(SECONDS_BUCKETS) + 1)
        buckets[bisect_left(SECONDS_BUCKETS, seconds)] += 1
        self.seconds[path] = self.seconds.get(path, 0.0) + seconds
        for key, number in items.items():
            self.items[key] += number

    def pack(self) -> bytes:
        """The counts as bytes, for a process that runs the same code."""
        parts = (dict(self.requests), dict(self.items), self.buckets, self.seconds, self.num_cached)
        return marshal.dumps(parts)

    @classmethod
    def unpack(cls, packed: bytes) -> Counts:
        """The counts that `pack` made bytes of; none at all for b""."""
        counts = cls()
        if packed:
            requests, items, counts.buckets, counts.seconds, counts.num_cached = marshal.loads(packed)
            counts.requests.update(requests)
            counts.items.update(items)
        return counts


class CountsCollector(Collector):
    """The metrics of all workers.

    Args:
        read: gives the counts of every worker, in the order of their numbers.
        num_datasets: gives the number of data sets.
    """

    def __init__(self, read: Callable[[], list[Counts]], num_datasets: Callable[[], int]) -> None:
        self._read = read
        self._num_datasets = num_datasets

    def collect(self) -> Iterable[Metric]:
        """The metrics as they are now."""
        workers = self._read()
        yield _counter(
            "kg_http_requests",
            "HTTP requests.",
            ("path", "status"),
            sum((one.requests for one in workers), Counter()),
        )
        yield _counter(
            "kg_items",
            "Requests of batches, by how they ended.",
            ("action", "code"),
            sum((one.items for one in workers), Counter()),
        )
        yield _histogram(workers)
        yield GaugeMetricFamily(
            "kg_store_datasets", "Data sets under the data path.", value=self._num_datasets()
        )
        cached = GaugeMetricFamily(
            "kg_store_cached_graphs", "Graphs in the cache of a worker.", labels=("worker",)
        )
        for number, one in enumerate(workers):
            cached.add_metric((str(number),), one.num_cached)
        yield cached

    def exposition(self) -> bytes:
        """The metrics in Prometheus's text format."""
        registry = CollectorRegistry(auto_describe=False)
        registry.register(self)
        return generate_latest(registry)

    def describe(self) -> Iterable[Metric]:
        """Nothing: a registry that asks would have the workers read before anybody wants their counts."""
        return ()


def _counter(name: str, text: str, labels: tuple[str, ...], counted: Mapping[tuple, int]) -> Metric:
    family = CounterMetricFamily(name, text, labels=labels)
    for key, number in sorted(counted.items(), key=lambda pair: tuple(map(str, pair[0]))):
        family.add_metric(tuple(map(str, key)), number)
    return family


def _histogram(workers: list[Counts]) -> Metric:
    family = HistogramMetricFamily(
        "kg_request_seconds", "Seconds from a request's head to its reply's end.", labels=("path",)
    )
    for path in sorted({path for one in workers for path in one.buckets}):
        per_worker = [one.buckets[path] for one in workers if path in one.buckets]
        seconds = sum(one.seconds.get(path, 0.0) for one in workers)
        family.add_metric((path,), list(_cumulative(map(sum, zip(*per_worker, strict=True)))), seconds)
    return family


def _cumulative(numbers: Iterable[int]) -> Iterator[tuple[str, int]]:
    total = 0
    for end, number in zip((*map(str, SECONDS_BUCKETS), "+Inf"), numbers, strict=True):
        total += number
        yield end, total
