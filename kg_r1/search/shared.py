"""What the workers of one server share: that a cache was cleared, and what each has counted.

In and out: a piece of memory that the parent maps before it starts its workers. Every byte has one writer,
the worker whose slot it lies in, so that no lock is needed and a worker that is killed leaves none behind.

A slot is four numbers of 8 bytes (how often its worker was asked to clear, how often it has published its
counts, and a length per half), then two halves for packed counts, written in turn. A half is whole before
it is made the one that counts, so that a worker killed while it writes leaves what it published before.
"""

from __future__ import annotations

import logging
import mmap

from kg_r1.search.metrics import Counts

logger = logging.getLogger(__name__)

HALF_BYTES = 256 * 1024  # a page that is never written takes no memory
_CLEARS, _PUBLISHED, _LENGTHS = 0, 1, 2  # the numbers of a slot
_NUM_NUMBERS = 4
_NUMBER_BYTES = 8
_SLOT_BYTES = _NUM_NUMBERS * _NUMBER_BYTES + 2 * HALF_BYTES
_MAX_READS = 1000


class SharedState:
    """The memory that the workers of one server share.

    Args:
        num_workers: how many slots there are.
    """

    def __init__(self, num_workers: int = 1) -> None:
        self.num_workers = num_workers
        self._memory = mmap.mmap(-1, num_workers * _SLOT_BYTES)
        # As numbers of the machine: one is read and written at once, never in part.
        self._numbers = memoryview(self._memory).cast("Q")

    def num_clears(self) -> int:
        """How often any worker was asked to clear the cache."""
        return sum([self._numbers[_number(worker, _CLEARS)] for worker in range(self.num_workers)])

    def add_clear(self, worker: int) -> None:
        """Tells all workers that this one was asked to clear the cache."""
        self._numbers[_number(worker, _CLEARS)] += 1

    def publish(self, worker: int, counts: Counts) -> None:
        """Lets all workers read what this one has counted."""
        packed = counts.pack()
        if len(packed) > HALF_BYTES:
            logger.error("worker %d has %d bytes of counts; its metrics stand still", worker, len(packed))
            return
        num_published = self._numbers[_number(worker, _PUBLISHED)] + 1
        half = num_published % 2
        start = _start(worker, half)
        self._memory[start : start + len(packed)] = packed
        self._numbers[_number(worker, _LENGTHS + half)] = len(packed)
        self._numbers[_number(worker, _PUBLISHED)] = num_published

    def counts(self, worker: int) -> Counts:
        """What a worker has published last, whether it still runs or not.

        Raises:
            RuntimeError: the worker publishes faster than it can be read.
        """
        for _ in range(_MAX_READS):
            num_published = self._numbers[_number(worker, _PUBLISHED)]
            half = num_published % 2
            start = _start(worker, half)
            packed = self._memory[start : start + self._numbers[_number(worker, _LENGTHS + half)]]
            # Unchanged: nobody has begun to write the half that was read.
            if self._numbers[_number(worker, _PUBLISHED)] == num_published:
                return Counts.unpack(packed)
        raise RuntimeError(f"the counts of worker {worker} cannot be read")


def _number(worker: int, which: int) -> int:
    return worker * (_SLOT_BYTES // _NUMBER_BYTES) + which


def _start(worker: int, half: int) -> int:
    return worker * _SLOT_BYTES + _NUM_NUMBERS * _NUMBER_BYTES + half * HALF_BYTES
