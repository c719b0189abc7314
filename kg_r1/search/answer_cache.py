"""Answers that were given, kept for whoever asks the same next: rollouts of one question do, all the time.

An answer is kept when it is asked for a second time, so that a stream of questions that never come back costs
a look at one slot and no memory. Two generations stand in for an order of use: an answer asked for again
moves to the young one, and when that is full the old one goes. A hit costs two look-ups and no lock.
"""

from __future__ import annotations

import threading
from array import array

MAX_KEPT_BYTES = 4 << 20
BYTES_BESIDE = 250  # of a key, its texts and a place in a dictionary
NUM_SLOTS = 1 << 16  # of requests that were seen once

Key = tuple[str, str, str | None, str, str | None]  # action, data set, sample, entity, relation
Answer = tuple[bytes, bytes]  # an item as JSON, before and after the seconds that it took


class AnswerCache:
    """Answers by request. Thread-safe; holds about `max_bytes` at most."""

    def __init__(self, max_bytes: int = MAX_KEPT_BYTES) -> None:
        self.max_bytes = max_bytes
        self._young: dict[Key, Answer] = {}
        self._old: dict[Key, Answer] = {}
        self._num_young_bytes = 0
        self._seen_once = array("q", bytes(8 * NUM_SLOTS))
        self._lock = threading.Lock()

    def get(self, key: Key) -> Answer | None:
        """The answer that was kept under a key, if it still is."""
        answer = self._young.get(key)
        if answer is None:
            answer = self._old.get(key)
            if answer is not None:
                self._keep(key, answer)
        return answer

    def offer(self, key: Key, answer: Answer) -> None:
        """Keeps an answer whose request was seen before, unless it would take the place of many others."""
        mark = hash(key)
        slot = mark % NUM_SLOTS
        if self._seen_once[slot] != mark:
            self._seen_once[slot] = mark
        elif len(answer[0]) + BYTES_BESIDE <= self.max_bytes // 8:
            self._keep(key, answer)

    def clear(self) -> None:
        """Forgets everything."""
        with self._lock:
            self._old, self._young, self._num_young_bytes = {}, {}, 0

    def _keep(self, key: Key, answer: Answer) -> None:
        num_bytes = len(answer[0]) + BYTES_BESIDE
        with self._lock:
            if self._num_young_bytes + num_bytes > self.max_bytes // 2:
                self._old, self._young, self._num_young_bytes = self._young, {}, 0
            self._young[key] = answer
            self._num_young_bytes += num_bytes
