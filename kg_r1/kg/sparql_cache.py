"""A bounded cache of answers: the one used longest ago goes first. Thread-safe."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Any

Key = tuple[str, ...]


class BoundedCache:
    """Values by key, the sum of their sizes bounded.

    A value's size is 1, plus its number of items when it is a tuple. One that is larger than the bound
    is not kept at all.

    Args:
        max_items: the bound.
    """

    def __init__(self, max_items: int) -> None:
        self._max_items = max_items
        self._num_items = 0
        self._values: OrderedDict[Key, Any] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        """The sum of the sizes of what is kept."""
        return self._num_items

    def get(self, key: Key) -> Any:
        """The value under `key`, which then counts as just used; None when there is none."""
        with self._lock:
            if key not in self._values:
                return None
            self._values.move_to_end(key)
            return self._values[key]

    def put(self, key: Key, value: Any) -> None:
        """Keeps a value (not None), and lets go of others until the bound is met."""
        with self._lock:
            if key in self._values:
                self._num_items -= _size(self._values.pop(key))
            if _size(value) > self._max_items:
                return
            self._values[key] = value
            self._num_items += _size(value)
            while self._num_items > self._max_items:
                _, dropped = self._values.popitem(last=False)
                self._num_items -= _size(dropped)


def _size(value: Any) -> int:
    return 1 + (len(value) if isinstance(value, tuple) else 0)
