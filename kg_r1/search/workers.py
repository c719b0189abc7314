"""Several processes that serve one address: a parent that starts them, replaces them and stops them.

In: how to run one worker, given its number. Out: workers until a signal comes. The parent answers nothing
itself; a worker that dies is replaced, and workers whose parent dies stop, however it died.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Sequence
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from types import FrameType

logger = logging.getLogger(__name__)

MAX_PAUSE_S = 5.0
"""Longest pause before a worker that dies over and over is started again."""

LONG_LIFE_S = 5.0
"""A worker that lived this long is started again at once."""

STOPPING_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_FIRST_PAUSE_S = 0.1


class WorkerPool:
    """The workers of one server, and the process that looks after them.

    Workers are forked: each starts from what the parent has read, and shares its memory maps and sockets.
    Nothing in the parent may run threads of its own or an event loop.

    Args:
        run: serves as one worker, given its number from 0; returns or exits after SIGTERM.
        listeners: a socket per worker, which it accepts from. The parent's copies keep what connects while a
            worker is replaced; they are closed when the pool stops, so that new connections are refused then,
            and not when the last worker has ended.
        max_stop_s: seconds in which a worker must have stopped; one that has not is killed.
    """

    def __init__(
        self, run: Callable[[int], None], listeners: Sequence[socket.socket], max_stop_s: float
    ) -> None:
        self._run = run
        self._listeners = listeners
        self._max_stop_s = max_stop_s
        self._context = multiprocessing.get_context("fork")
        self._workers = [_Place(number) for number in range(len(listeners))]
        # The workers read from this pipe, and nobody ever writes: its end is the end of the parent.
        self._parent_lives, self._held_by_parent = os.pipe()
        self._wakes, self._wake = os.pipe()
        os.set_blocking(self._wake, False)  # as set_wakeup_fd wants it
        self._stopped_by: list[int] = []

    def start(self) -> None:
        """Starts the workers, and makes SIGTERM and Ctrl-C stop them; to be called in the main thread."""
        for number in STOPPING_SIGNALS:
            signal.signal(number, self._note_signal)
        signal.set_wakeup_fd(self._wake, warn_on_full_buffer=False)
        for place in self._workers:
            self._start_worker(place)

    def run(self) -> int:
        """Replaces workers that die, until a signal comes and all have stopped; gives the signal's number."""
        try:
            while not self._stopped_by:
                self._look_after()
        finally:
            self._stop()
        return self._stopped_by[0]

    def _look_after(self) -> None:
        """Starts what is due, and waits for a signal, a death or the next start."""
        now = time.monotonic()
        for place in self._workers:
            if place.process is None and place.start_at <= now:
                self._start_worker(place)
        pauses = [place.start_at - now for place in self._workers if place.process is None]
        alive = [place.process.sentinel for place in self._workers if place.process is not None]
        wait([self._wakes, *alive], timeout=min(pauses) if pauses else None)
        for place in self._workers:
            if place.process is not None and not place.process.is_alive():
                self._bury(place)

    def _start_worker(self, place: _Place) -> None:
        place.process = self._context.Process(target=self._work, args=(place.number,))
        place.process.start()
        place.started_at = time.monotonic()
        logger.info("worker %d is process %d", place.number, place.process.pid)

    def _bury(self, place: _Place) -> None:
        assert place.process is not None
        now = time.monotonic()
        lived_s = now - place.started_at
        place.pause_s = 0.0 if lived_s >= LONG_LIFE_S else place.next_pause_s()
        place.start_at = now + place.pause_s
        logger.error(
            "worker %d (process %d) ended with exit code %s after %.1f s; another takes its place in %.1f s",
            place.number,
            place.process.pid,
            place.process.exitcode,
            lived_s,
            place.pause_s,
        )
        place.process.close()
        place.process = None

    def _stop(self) -> None:
        for listener in self._listeners:
            listener.close()
        alive = [place.process for place in self._workers if place.process is not None]
        for process in alive:
            process.terminate()
        deadline = time.monotonic() + self._max_stop_s
        for process in alive:
            process.join(max(0.0, deadline - time.monotonic()))
            if process.exitcode is None:
                logger.error(
                    "process %d did not stop within %g s and is killed", process.pid, self._max_stop_s
                )
                process.kill()
                process.join()

    def _work(self, number: int) -> None:
        """The life of a worker, in its own process."""
        os.close(self._held_by_parent)
        for other, listener in enumerate(self._listeners):
            if other != number:
                listener.close()  # it would go on listening, unheard, after its own worker and the parent
        signal.set_wakeup_fd(-1)
        # Ctrl-C reaches every process of the terminal; the workers wait for the parent to stop them.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        threading.Thread(target=self._outlive_parent, daemon=True, name="parent watch").start()
        self._run(number)

    def _outlive_parent(self) -> None:
        os.read(self._parent_lives, 1)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(self._max_stop_s)
        os._exit(1)

    def _note_signal(self, number: int, frame: FrameType | None) -> None:
        self._stopped_by.append(number)


class _Place:
    """A worker's number, the process that works under it now, and when one may be started."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.process: BaseProcess | None = None
        self.started_at = 0.0
        self.start_at = 0.0
        self.pause_s = 0.0

    def next_pause_s(self) -> float:
        """The pause after one more short life."""
        return min(MAX_PAUSE_S, max(_FIRST_PAUSE_S, 2 * self.pause_s))
