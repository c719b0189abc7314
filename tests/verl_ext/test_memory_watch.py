"""When the machine's memory is said to be nearly full."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest

from verl_ext import memory_watch
from verl_ext.memory_watch import GIB, nearly_full, used_and_total


def write_cgroup(folder: Path, limit: str, current: int, inactive_file: int) -> None:
    (folder / "memory.max").write_text(f"{limit}\n")
    (folder / "memory.current").write_text(f"{current}\n")
    (folder / "memory.stat").write_text(f"anon 1\ninactive_file {inactive_file}\nslab 2\n")


def test_a_container_has_the_memory_that_it_was_given(tmp_path: Path) -> None:
    write_cgroup(tmp_path, str(2 * GIB), GIB, GIB // 4)
    assert used_and_total(tmp_path) == (GIB - GIB // 4, 2 * GIB)


@pytest.mark.parametrize("limit", ["max", str(10**15)])
def test_without_a_limit_it_is_the_machines(tmp_path: Path, limit: str) -> None:
    write_cgroup(tmp_path, limit, GIB, 0)
    assert used_and_total(tmp_path)[1] == psutil.virtual_memory().total
    assert used_and_total(tmp_path / "none")[1] == psutil.virtual_memory().total


def test_the_largest_processes_are_named_when_little_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory_watch, "used_and_total", lambda: (87 * GIB, 100 * GIB))
    assert nearly_full() is None
    monkeypatch.setattr(memory_watch, "used_and_total", lambda: (90 * GIB, 100 * GIB))
    told = nearly_full()
    assert told is not None
    assert "90.0 of 100.0 GiB" in told
    assert "python" in told or "pytest" in told
