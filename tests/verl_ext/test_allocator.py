"""Which allocator a training gets, and that what it frees goes back."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from verl_ext.allocator import allocator_environment

# Sizes that all differ, as packs do; then the resident memory before and after it is given back.
PROGRAM = """
import psutil, torch
from verl_ext.allocator import give_memory_back
kept = [torch.ones(1000) for _ in range(100)]
blocks = [torch.ones(100_000 + 977 * number) for number in range(400)]
used = psutil.Process().memory_info().rss
del blocks
give_memory_back()
maps = open("/proc/self/maps").read()
print(used - psutil.Process().memory_info().rss, "libjemalloc" in maps)
"""

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads Linux's account of the process")


def run(environment: dict[str, str]) -> tuple[int, bool]:
    """Bytes given back, and whether jemalloc gave them."""
    command = [sys.executable, "-c", PROGRAM]
    output = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    given_back, is_jemalloc = output.split()
    return int(given_back), is_jemalloc == "True"


def plain() -> dict[str, str]:
    ours = allocator_environment()
    return {name: value for name, value in os.environ.items() if name not in ours}


def test_a_training_gets_jemalloc_and_gives_back_what_is_free() -> None:
    given_back, is_jemalloc = run({**plain(), **allocator_environment()})
    assert is_jemalloc
    assert given_back > 300e6  # the blocks are 472 MB


def test_without_it_glibc_gives_back_as_well() -> None:
    given_back, is_jemalloc = run(
        {**plain(), "MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": "10000000000"}
    )
    assert not is_jemalloc
    assert given_back > 300e6


def test_a_library_that_the_user_preloads_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LD_PRELOAD", "/opt/libother.so")
    first, second = allocator_environment()["LD_PRELOAD"].split(":")
    assert first == "/opt/libother.so"
    assert second.endswith("libjemalloc.so")
    monkeypatch.setenv("LD_PRELOAD", "/opt/libtcmalloc.so.4")
    assert allocator_environment()["LD_PRELOAD"] == "/opt/libtcmalloc.so.4"
