"""Ends a run that has stopped moving, and says where it stood.

A weight synchronisation that fails on one side leaves the other waiting for ever; Ray reports nothing. The
watchdog is a thread of the trainer's process: when no stage has begun for ``max_stage_s`` seconds it writes
the name of the stage and the stacks of all threads, and ends the process, which ends the run.
"""

from __future__ import annotations

import faulthandler
import math
import os
import sys
import threading
import time
from collections.abc import Callable

EXIT_STATUS = 70  # EX_SOFTWARE of sysexits.h


def end_process(message: str) -> None:
    """Write the message and every thread's stack to stderr and leave without waiting for anything."""
    sys.stderr.write(message + "\n")
    faulthandler.dump_traceback(file=sys.stderr)
    sys.stderr.flush()
    os._exit(EXIT_STATUS)


class Watchdog:
    """Watches stages; :meth:`enter` at the beginning of each.

    Args:
        max_stage_s: seconds that one stage may take; 0 watches nothing.
        on_stall: what to do then, given one line that names the stage.
    """

    def __init__(self, max_stage_s: float, on_stall: Callable[[str], None] = end_process) -> None:
        self.max_stage_s = max_stage_s
        self._on_stall = on_stall
        self._stage = "start"
        self._entered = time.monotonic()
        self._limit_s = max_stage_s
        self._stopped = threading.Event()
        if max_stage_s > 0:
            threading.Thread(target=self._watch, name="watchdog", daemon=True).start()

    def enter(self, stage: str, max_s: float = math.inf) -> None:
        """A stage begins; `max_s` is a limit of its own where that is lower than the run's."""
        self._stage, self._entered, self._limit_s = stage, time.monotonic(), min(max_s, self.max_stage_s)

    def stop(self) -> None:
        self._stopped.set()

    def _watch(self) -> None:
        while not self._stopped.wait(min(1.0, self.max_stage_s / 10)):
            seconds = time.monotonic() - self._entered
            if seconds > self._limit_s:
                name = "max_stage_s" if self._limit_s == self.max_stage_s else "max_sync_s"
                self._on_stall(
                    f"error [stalled]: the stage {self._stage!r} has taken {seconds:.0f} s, more than "
                    f"trainer.kg.{name}={self._limit_s:.0f}: look above for an actor that died, "
                    "or raise the limit"
                )
                return
