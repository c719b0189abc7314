"""How much slower a command is beside one busy, single-threaded process.

    python benchmarks/busy_neighbour.py --num-pairs 3 -- python -m verl_ext.cold_start --max-walks 40 \
        --walks data_kg/world/walks.jsonl --out runs/busy/model

Runs the command alone and beside the neighbour in turn, to its end, and prints the ratio of each pair
and their median. `--set NAME=VALUE` gives the command a variable of the environment; several settings are
compared by calls of their own. The command's output goes to stderr.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager


@contextmanager
def busy_neighbour() -> Iterator[None]:
    """One process that never waits, for the time of the block."""
    process = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        yield
    finally:
        process.kill()
        process.wait()


def seconds_of(command: Sequence[str], environment: dict[str, str]) -> float:
    """Wall-clock time of the command. Raises CalledProcessError when it fails."""
    started = time.monotonic()
    subprocess.run(command, env=environment, check=True, stdout=sys.stderr)
    return time.monotonic() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--num-pairs", type=int, default=3)
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("command", nargs="+")
    options = parser.parse_args()
    environment = {**os.environ, **dict(pair.split("=", 1) for pair in options.set)}
    ratios = []
    for number in range(1, options.num_pairs + 1):
        alone = seconds_of(options.command, environment)
        with busy_neighbour():
            beside = seconds_of(options.command, environment)
        ratios.append(beside / alone)
        print(
            f"pair {number}: alone {alone:.1f} s, beside {beside:.1f} s, ratio {ratios[-1]:.2f}", flush=True
        )
    print(f"median ratio {statistics.median(ratios):.2f} of {options.num_pairs} pairs")


if __name__ == "__main__":
    main()
