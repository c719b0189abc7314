"""Resident memory of a training by process, step after step.

    python benchmarks/training_memory.py --out docs/results/training_memory.csv -- --config-name cpu_135m \
        trainer.experiment_name=memory trainer.total_training_steps=50 data.train_batch_size=2 \
        actor_rollout_ref.actor.ppo_mini_batch_size=2 actor_rollout_ref.rollout.n=4 trainer.test_freq=-1 \
        trainer.val_before_train=false trainer.save_freq=-1 trainer.logger=[console,file] \
        actor_rollout_ref.rollout.search.base_data_path=data_kg

What follows `--` goes to `verl_ext.main_ppo`. Small batches give many steps in little time; what memory
depends on, the lengths of episodes and packs, is the profile's. After each step the processes of the run
are read once: resident bytes of the actor (with the critic), of the engine and of all together, pages that
several processes share counted once. Ends with the growth of each from step 5 to the last. """

from __future__ import annotations

import argparse
import csv
import re
import subprocess
import sys
from pathlib import Path

import psutil

from verl_ext.processes import adopt_orphans, descendants, stop_descendants

GIB = 1024**3
FINISHED_STEP = re.compile(r"\bstep (\d+)/\d+ ")
# Ray writes an actor's class into its title.
ACTOR, ENGINE = "ray::WorkerDict", "ray::vLLM"
COLUMNS = ("step", "actor_gib", "engine_gib", "all_gib")
FIRST_STEP = 5  # before it buffers are still being made


def resident() -> dict[str, float]:
    """GiB of the run's processes, now."""
    found = dict.fromkeys(COLUMNS[1:], 0.0)
    for process in descendants():
        try:
            title, memory = " ".join(process.cmdline()), process.memory_full_info()
        except psutil.Error:
            continue  # it ended between the listing and the question
        found["all_gib"] += memory.pss / GIB
        found["actor_gib"] += memory.rss / GIB if title.startswith(ACTOR) else 0.0
        found["engine_gib"] += memory.rss / GIB if title.startswith(ENGINE) else 0.0
    return found


def watch(command: list[str], out: Path) -> list[dict[str, float]]:
    """Run the training, and write a row after each step. Raises CalledProcessError when it fails."""
    rows: list[dict[str, float]] = []
    with out.open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        table.writeheader()
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        assert process.stdout is not None
        for line in process.stdout:
            sys.stderr.write(line)
            if found := FINISHED_STEP.search(line):
                row = {"step": int(found[1]), **{name: round(gib, 3) for name, gib in resident().items()}}
                rows.append(row)
                table.writerow(row)
                file.flush()
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
    for name in COLUMNS[1:]:
        growth = last[name] / first[name] - 1
        print(
            f"{name}: {first[name]:.2f} after step {first['step']}, "
            f"{last[name]:.2f} after step {last['step']}, {growth:+.1%}"
        )


if __name__ == "__main__":
    main()
