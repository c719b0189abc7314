"""Long listings of a compiled data set, put together once and kept, the one used longest ago going first."""

from __future__ import annotations

import threading
from collections import OrderedDict

MIN_LABELS = 16
"""Shorter listings are put together faster than they are worth keeping."""

MAX_KEPT_BYTES = 8 << 20


class ListingCache:
    """Joined labels by a key that is unique in the data set. Thread-safe; holds at most `MAX_KEPT_BYTES`."""

    def __init__(self) -> None:
        self._kept: OrderedDict[int, bytes] = OrderedDict()
        self._num_bytes = 0
        self._lock = threading.Lock()

    def get(self, key: int) -> bytes | None:
        """What was kept under a key, if it still is."""
        with self._lock:
            joined = self._kept.get(key)
            if joined is not None:
                self._kept.move_to_end(key)
            return joined

    def keep(self, key: int, joined: bytes) -> None:
        """Keeps a listing, unless it would take the place of many others."""
        if len(joined) > MAX_KEPT_BYTES // 8:
            return
        with self._lock:
            if key in self._kept:
                return
            self._kept[key] = joined
            self._num_bytes += len(joined)
            while self._num_bytes > MAX_KEPT_BYTES:
                self._num_bytes -= len(self._kept.popitem(last=False)[1])
