"""Find and end every process that this one started, children of children whose parents are gone included.

Ray's daemons outlive the command that started them, and its workers write their titles over their
environment, so that neither parents nor variables would find them all. Linux can hand a process the orphans
among its descendants; then a walk down the tree is complete.
"""

from __future__ import annotations

import ctypes
import signal
import sys
from collections.abc import Collection, Sequence
from contextlib import suppress

import psutil

PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h
MAX_KILL_ROUNDS = 3  # a daemon may start another between the listing and its end


def adopt_orphans() -> None:
    """From now on, descendants that lose their parent become this process's children (Linux only).

    Raises:
        OSError: when the kernel refuses.
    """
    if sys.platform != "linux":
        return
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "cannot adopt orphaned processes")


def descendants(spared: Collection[int] = ()) -> list[psutil.Process]:
    """All processes below this one, but those whose ids are in ``spared``."""
    return [process for process in psutil.Process().children(recursive=True) if process.pid not in spared]


def stop_descendants(grace_s: float = 5.0, spared: Collection[int] = ()) -> None:
    """Ask them to end; after ``grace_s`` seconds make them, and any that they started meanwhile."""
    _signal_and_wait(descendants(spared), signal.SIGTERM, grace_s)
    for _ in range(MAX_KILL_ROUNDS):
        _signal_and_wait(descendants(spared), signal.SIGKILL, 1.0)


def _signal_and_wait(processes: Sequence[psutil.Process], number: signal.Signals, timeout_s: float) -> None:
    for process in processes:
        with suppress(psutil.NoSuchProcess):  # it ended by itself
            process.send_signal(number)
    psutil.wait_procs(processes, timeout=timeout_s)
