"""Memory of a training on a processor: who hands it out, and when it goes back to the machine.

Packs differ in length, so that every tensor of an update has another size than the one before. glibc before
2.38 cannot use again what it freed of an aligned allocation for another of the same size (``_int_memalign``
asks for the alignment on top), and PyTorch's are all aligned: a training grew by 90 MB a pack and searched
its lists for a third of its time. jemalloc does neither, and Ray brings it along. oneDNN, besides, keeps a
compiled primitive of every shape it has seen, 1,024 of them unless told (docs/log.md,
benchmarks/allocator.py).
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
from pathlib import Path
from typing import Any

JEMALLOC = "core/libjemalloc.so"  # in Ray's package, on Linux
# Free pages go back after five seconds; large allocations share the arena of the thread that asks for them.
JEMALLOC_SETTINGS = (
    "oversize_threshold:1,background_thread:true,metadata_thp:auto,dirty_decay_ms:5000,muzzy_decay_ms:0"
)
NUM_CACHED_PRIMITIVES = 128  # an update's layers share theirs: about fifty a pack
_ALL_ARENAS = 4096  # MALLCTL_ARENAS_ALL, jemalloc.h


def allocator_environment() -> dict[str, str]:
    """The variables with which a process, and those it starts, use jemalloc and keep few primitives.

    Without jemalloc beside Ray (another system than Linux) only the primitives are bounded. Another library
    that is to be preloaded stays first.
    """
    found = {"ONEDNN_PRIMITIVE_CACHE_CAPACITY": str(NUM_CACHED_PRIMITIVES)}
    ray = importlib.util.find_spec("ray")
    library = Path(ray.origin).parent / JEMALLOC if ray is not None and ray.origin else None
    if library is not None and library.is_file():
        preloaded = [name for name in os.environ.get("LD_PRELOAD", "").split(":") if name]
        if not any("malloc" in Path(name).name for name in preloaded):
            preloaded.append(str(library))
        found |= {
            "LD_PRELOAD": ":".join(preloaded),
            # Ray takes the variable from its workers unless told to leave it.
            "RAY_LD_PRELOAD_ON_WORKERS": "1",
            "MALLOC_CONF": os.environ.get("MALLOC_CONF", JEMALLOC_SETTINGS),
        }
    return found


def give_memory_back(*_: Any, **__: Any) -> None:
    """What emptying its cache is for a GPU's allocator: pages that are free go back to the machine."""
    library = ctypes.CDLL(None)
    if hasattr(library, "mallctl"):
        library.mallctl(f"arena.{_ALL_ARENAS}.purge".encode(), None, None, None, 0)
    elif hasattr(library, "malloc_trim"):
        library.malloc_trim(0)
