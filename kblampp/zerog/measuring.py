"""Seconds and peak memory of a piece of work."""

from __future__ import annotations

import re
import resource
import sys
import time
from pathlib import Path
from types import TracebackType

import torch

_STATUS = Path("/proc/self/status")
_CLEAR = Path("/proc/self/clear_refs")
_MIB = 1 << 20


class Measured:
    """A context; afterwards `seconds` and `peak_mib` are of what ran in it.

    The peak is the accelerator's where there is one, else this process's whole resident memory, libraries
    included. Linux lets a process start that peak anew; elsewhere it is the highest since the process began.
    """

    def __init__(self) -> None:
        self.seconds = 0.0
        self.peak_mib = 0.0

    def __enter__(self) -> Measured:
        if torch.cuda.is_available():
            torch.cuda.reset_peak_memory_stats()
        else:
            _start_peak_anew()
        self._started = time.monotonic()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.seconds = time.monotonic() - self._started
        self.peak_mib = torch.cuda.max_memory_allocated() / _MIB if torch.cuda.is_available() else _peak_mib()


def _start_peak_anew() -> None:
    try:
        _CLEAR.write_text("5")  # proc(5): sets the peak to the present size
    except OSError:
        return  # another system, or not allowed: the peak is then of the whole process, as documented


def _peak_mib() -> float:
    if _STATUS.is_file() and (found := re.search(r"^VmHWM:\s+(\d+) kB", _STATUS.read_text(), re.MULTILINE)):
        return int(found.group(1)) / 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / _MIB if sys.platform == "darwin" else peak / 1024
