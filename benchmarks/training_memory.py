"""Resident memory of a training by process, step after step.

    python benchmarks/training_memory.py --out docs/results/training_memory.csv -- --config-name cpu_135m \
        trainer.experiment_name=memory trainer.total_training_steps=50 data.train_batch_size=2 \
        actor_rollout_ref.actor.ppo_mini_batch_size=2 actor_rollout_ref.rollout.n=4 trainer.test_freq=-1 \
        trainer.val_before_train=false trainer.save_freq=-1 trainer.logger=[console,file] \
        actor_rollout_ref.rollout.search.base_data_path=data_kg

What follows `--` goes to `verl_ext.main_ppo`. Small batches give many steps in little time; what memory
depends on, the lengths of episodes and packs, is the profile's. The processes of the run are read every few
seconds: resident bytes of the actor (with the critic), of the engine, and of all together with pages that
several share counted once. A row holds the largest of each within a step; at the end, the growth from step 5.
"""

from __future__ import annotations

import argparse
import csv
import re
import subprocess
import sys
import threading
from pathlib import Path

import psutil

from verl_ext.processes import adopt_orphans, descendants, stop_descendants

GIB = 1024**3
FINISHED_STEP = re.compile(r"\bstep (\d+)/\d+ ")
# Ray and vLLM write what a process is into its title.
ACTOR, ENGINE = ("ray::WorkerDict",), ("ray::vLLM", "VLLM::")
COLUMNS = ("actor_gib", "engine_gib", "all_gib")
FIRST_STEP = 5  # before it buffers are still being made
INTERVAL_S = 3.0


def resident() -> dict[str, float]:
    """GiB of the run's processes, now."""
    found = dict.fromkeys(COLUMNS, 0.0)
    for process in descendants():
        try:
            title, memory = " ".join(process.cmdline()), process.memory_full_info()
        except psutil.Error:
            continue  # it ended between the listing and the question
        found["all_gib"] += memory.pss / GIB
        found["actor_gib"] += memory.rss / GIB if title.startswith(ACTOR) else 0.0
        found["engine_gib"] += memory.rss / GIB if title.startswith(ENGINE) else 0.0
    return found


class Peaks:
    """The largest of each column since they were last taken, sampled by a thread."""

    def __init__(self) -> None:
        self._peaks = dict.fromkeys(COLUMNS, 0.0)
        self._lock = threading.Lock()
        self._is_over = threading.Event()
        threading.Thread(target=self._sample, daemon=True).start()

    def _sample(self) -> None:
        while not self._is_over.wait(INTERVAL_S):
            found = resident()
            with self._lock:
                self._peaks = {name: max(gib, found[name]) for name, gib in self._peaks.items()}

    def take(self) -> dict[str, float]:
        with self._lock:
            taken, self._peaks = self._peaks, dict.fromkeys(COLUMNS, 0.0)
        return taken

    def stop(self) -> None:
        self._is_over.set()


def watch(command: list[str], out: Path) -> list[dict[str, float]]:
    """Run the training, and write a row after each step. Raises CalledProcessError when it fails."""
    rows: list[dict[str, float]] = []
    peaks = Peaks()
    with out.open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, ("step", *COLUMNS), lineterminator="\n")
        table.writeheader()
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        assert process.stdout is not None
        for line in process.stdout:
            sys.stderr.write(line)
            if found := FINISHED_STEP.search(line):
                row = {"step": int(found[1]), **{name: round(gib, 2) for name, gib in peaks.take().items()}}
                rows.append(row)
                table.writerow(row)
                file.flush()
        peaks.stop()
        if process.wait() != 0:
            raise subprocess.CalledProcessError(process.returncode, command)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--out", type=Path, required=True, help="the table, as CSV")
    parser.add_argument("arguments", nargs="+", help="of verl_ext.main_ppo")
    options = parser.parse_args()
    adopt_orphans()
    try:
        rows = watch([sys.executable, "-m", "verl_ext.main_ppo", *options.arguments], options.out)
    finally:
        stop_descendants()
    first, last = next(row for row in rows if row["step"] >= FIRST_STEP), rows[-1]
    for name in COLUMNS:
        growth = last[name] / first[name] - 1
        print(
            f"{name}: {first[name]:.2f} in step {first['step']}, "
            f"{last[name]:.2f} in step {last['step']}, {growth:+.1%}"
        )


if __name__ == "__main__":
    main()
