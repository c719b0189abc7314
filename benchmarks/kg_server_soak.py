"""Full load on the KG retrieval server for minutes, while its workers are killed one after another.

    python benchmarks/kg_server_soak.py --minutes 10 --workers 2

In: graphs and queries as for benchmarks/kg_server.py. Every `--kill_every_s` seconds one worker gets
SIGKILL; the load client sends a request whose connection broke again. Out: what was asked, wrong
answers, requests lost after all retries, how long each worker took to come back, and the memory of all
the server's processes over time with its slope. Progress goes to stderr.

Exit status: 0; 1 when an answer was wrong or missing, a worker did not come back, the server ended, or
memory grew; 2 for a mistake at the command line or a server that does not start.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

if not __package__:
    # As a script, Python looks for modules beside this file, where `benchmarks` is not.
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from benchmarks import kg_server_measure as measure
from benchmarks.kg_server import (
    EXIT_USAGE,
    add_data_options,
    check_options,
    command_of,
    prepared_data,
    say,
    tell_problems,
)
from benchmarks.kg_server_measure import LARGEST
from benchmarks.kg_server_process import (
    BenchmarkError,
    Helper,
    Server,
    has_workers_option,
    memory_of,
    workers_of,
)
from kg_r1.kg.errors import KGError

MAX_RETRIES = 12  # about three seconds of pauses in all
CHUNK_S = 10.0  # seconds of load between two checks of whole answers
RETURN_LIMIT_S = 30.0
POLL_S = 0.05
MEMORY_EVERY_S = 2.0
MIN_GROWTH_BYTES, MAX_GROWTH_SHARE = 20e6, 0.10
COUNTS = (
    *("num_requests", "num_queries", "num_checked", "num_wrong"),
    *("num_short", "num_refused", "num_lost", "num_retries"),
)


@dataclass
class Soak:
    """What has happened so far.

    Attributes:
        totals: sums of the load client's counts.
        return_s: for every kill, seconds until there were as many workers as before.
        memory: (seconds since the start, proportional bytes of all processes).
        problems: each is a reason for exit status 1.
    """

    totals: dict[str, int] = field(default_factory=lambda: dict.fromkeys(COUNTS, 0))
    return_s: list[float] = field(default_factory=list)
    memory: list[tuple[float, int]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def add(self, outcome: dict[str, Any]) -> None:
        """Adds one run of the load client."""
        for name in COUNTS:
            self.totals[name] += outcome[name]
        self.problems += measure.problems(outcome)


class Watcher(threading.Thread):
    """Kills a worker now and then, waits for its successor, and notes memory, until told to stop.

    Args:
        kill_every_s: seconds between two kills; 0 for none.
    """

    def __init__(self, server: Server, soak: Soak, num_workers: int, kill_every_s: float) -> None:
        super().__init__(daemon=True)
        self.server, self.soak, self.num_workers = server, soak, num_workers
        self.kill_every_s = kill_every_s
        self.rng = random.Random(0)
        self.stopped = threading.Event()

    def run(self) -> None:
        started = time.perf_counter()
        next_kill = started + self.kill_every_s if self.kill_every_s else float("inf")
        next_look = started
        while not self.stopped.wait(POLL_S):
            now = time.perf_counter()
            if now >= next_look:
                self.soak.memory.append((now - started, memory_of(self.server.pids()).pss))
                next_look = now + MEMORY_EVERY_S
            if now >= next_kill:
                self._kill_one()
                next_kill = now + self.kill_every_s

    def _kill_one(self) -> None:
        before = workers_of(self.server.pid)
        if not before:
            self.soak.problems.append("no worker was there to be killed")
            return
        victim = self.rng.choice(before)
        os.kill(victim, signal.SIGKILL)
        killed = time.perf_counter()
        while time.perf_counter() - killed < RETURN_LIMIT_S:
            now = workers_of(self.server.pid)
            if victim not in now and len(now) >= self.num_workers:
                self.soak.return_s.append(time.perf_counter() - killed)
                say(f"worker {victim} killed; another after {self.soak.return_s[-1]:.2f} s")
                return
            if self.stopped.wait(POLL_S):
                return
        self.soak.problems.append(f"worker {victim} was killed, and none took its place")


def slope(memory: Sequence[tuple[float, int]]) -> tuple[float, float]:
    """How memory goes over time, by least squares, the first quarter left out for the server to warm up.

    Returns:
        Bytes a minute, and bytes that this adds up to over the rest.
    """
    rest = memory[len(memory) // 4 :]
    if len(rest) < 2:
        return 0.0, 0.0
    seconds, sizes = np.array([one[0] for one in rest]), np.array([one[1] for one in rest], dtype=float)
    per_s = float(np.polyfit(seconds - seconds.mean(), sizes, 1)[0])
    return 60 * per_s, per_s * float(seconds[-1] - seconds[0])


def grows(memory: Sequence[tuple[float, int]]) -> bool:
    """Whether the slope adds up to more than a tenth of the memory, and to more than 20 MB."""
    middle = float(np.median([one[1] for one in memory])) if memory else 0.0
    return slope(memory)[1] > max(MIN_GROWTH_BYTES, MAX_GROWTH_SHARE * middle)


def run_soak(options: argparse.Namespace) -> Soak:
    """Starts the server, loads it for the time asked for, and watches.

    Raises:
        BenchmarkError: the server does not start, or has no workers to kill.
    """
    if options.workers > 1 and not has_workers_option():
        raise BenchmarkError("this server has no option --workers", "Give --workers 1 --kill_every_s 0")
    if options.workers < 2 and options.kill_every_s:
        raise BenchmarkError("one process has no workers to kill", "Give --kill_every_s 0")
    check_options(options)
    base, workload = prepared_data(options)
    soak = Soak()
    with tempfile.TemporaryDirectory(prefix="kg_server_soak_") as folder:
        workload.save(Path(folder))
        command = command_of(base, options.workers, options.server_options)
        with (
            Helper("benchmarks.kg_server_load", "--workload", folder) as client,
            Server(command, "the KG server") as server,
        ):
            measure.warm_up(client, server)
            watcher = Watcher(server, soak, options.workers, options.kill_every_s)
            watcher.start()
            _load_for(60 * options.minutes, client, server, soak)
            watcher.stopped.set()
            watcher.join()
            if server.process.poll() is not None:
                soak.problems.append(f"the server ended: {server.log().strip().splitlines()[-1:]}")
    if grows(soak.memory):
        soak.problems.append(f"memory grew by {slope(soak.memory)[1] / 1e6:.0f} MB")
    return soak


def _load_for(seconds: float, client: Helper, server: Server, soak: Soak) -> None:
    end = time.perf_counter() + seconds
    while (left := end - time.perf_counter()) > 0 and server.process.poll() is None:
        outcome = measure.load(client, server, LARGEST, min(CHUNK_S, left), max_retries=MAX_RETRIES)
        soak.add(outcome)
        bytes_now = soak.memory[-1][1] if soak.memory else 0
        say(
            f"{outcome['queries_per_s']:,.0f} queries/s, {outcome['num_retries']} retries, "
            f"{outcome['num_wrong']} wrong, {outcome['num_lost']} lost, {bytes_now / 1e6:,.0f} MB"
        )


def summary(soak: Soak) -> str:
    """The result as text."""
    totals = soak.totals
    per_minute, _ = slope(soak.memory)
    longest = f", the longest without one {max(soak.return_s):.2f} s" if soak.return_s else ""
    sizes = [size / 1e6 for _, size in soak.memory] or [0.0]
    return "\n".join(
        [
            f"asked     {totals['num_queries']:,} queries in {totals['num_requests']:,} requests",
            f"wrong     {totals['num_wrong']:,} of {totals['num_checked']:,} answers compared, "
            f"{totals['num_short']:,} replies of the wrong length, {totals['num_refused']:,} refusals",
            f"lost      {totals['num_lost']:,} requests, after {totals['num_retries']:,} retries",
            f"restarts  {len(soak.return_s):,} workers killed and replaced{longest}",
            f"memory    {sizes[0]:,.0f} MB at first, {sizes[-1]:,.0f} MB at last, "
            f"{max(sizes):,.0f} MB at most; slope {per_minute / 1e6:+.2f} MB a minute",
        ]
    )


def build_parser() -> argparse.ArgumentParser:
    """The command line's options."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_data_options(parser)
    parser.add_argument("--minutes", type=float, default=10.0, help="how long (default: 10)")
    parser.add_argument("--workers", type=int, default=2, help="worker processes (default: 2)")
    parser.add_argument("--kill_every_s", type=float, default=30.0, help="0: kill none")
    parser.add_argument("--out", type=Path, help="write every figure to this JSON file")
    parser.add_argument("server_options", nargs="*", help="after --: options of the server")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    options = build_parser().parse_args(argv)
    try:
        soak = run_soak(options)
        if options.out:
            options.out.parent.mkdir(parents=True, exist_ok=True)
            figures = {**asdict(soak), "slope_bytes_per_minute": slope(soak.memory)[0]}
            options.out.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    except (KGError, OSError) as error:
        sys.stderr.write(f"error: {error}\n")
        return EXIT_USAGE
    print(summary(soak))
    return tell_problems(soak.problems)


if __name__ == "__main__":
    sys.exit(main())
