"""Answers that were given, kept for whoever asks the same next: rollouts of one question do, all the time.

Two generations instead of an order of use: an answer that is asked for again moves to the young one, and when
that is full the old one goes. A hit costs two look-ups and no lock.
"""

from __future__ import annotations

import threading

MAX_KEPT_BYTES = 8 << 20
BYTES_BESIDE = 250  # of a key, its texts and a place in a dictionary

Key = tuple[str, str, str | None, str, str | None]  # action, data set, sample, entity, relation
Answer = tuple[bytes, bytes]  # an item as JSON, before and after the seconds that it took


class AnswerCache:
    """Answers by request. Thread-safe; holds about `max_bytes` at most."""

    def __init__(self, max_bytes: int = MAX_KEPT_BYTES) -> None:
        self.max_bytes = max_bytes
        self._young: dict[Key, Answer] = {}
        self._old: dict[Key, Answer] = {}
        self._num_young_bytes = 0
        self._lock = threading.Lock()

    def get(self, key: Key) -> Answer | None:
        """The answer that was kept under a key, if it still is."""
        answer = self._young.get(key)
        if answer is None:
            answer = self._old.get(key)
            if answer is not None:
                self.keep(key, answer)
        return answer

    def keep(self, key: Key, answer: Answer) -> None:
        """Keeps an answer, unless it would take the place of many others."""
        num_bytes = len(answer[0]) + BYTES_BESIDE
        if num_bytes > self.max_bytes // 8:
            return
        with self._lock:
            if self._num_young_bytes + num_bytes > self.max_bytes // 2:
                self._old, self._young, self._num_young_bytes = self._young, {}, 0
            self._young[key] = answer
            self._num_young_bytes += num_bytes

    def clear(self) -> None:
        """Forgets everything."""
        with self._lock:
            self._old, self._young, self._num_young_bytes = {}, {}, 0
