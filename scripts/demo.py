"""The whole system once, on a laptop: model, KG, server, cold start, reinforcement learning, results.

Every step is a command that can be run by hand; this prints each before running it. What exists is reused.
Results go to stdout, logs to stderr and to files under the run's folder. Ctrl-C leaves no process behind.
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil

from kg_r1.search.client import check_server
from kg_r1.search.errors import ServerUnavailable
from verl_ext.allocator import allocator_environment
from verl_ext.processes import adopt_orphans, descendants, stop_descendants

ROOT = Path(__file__).resolve().parent.parent
PORT = 8001
SEARCH_URL = f"http://127.0.0.1:{PORT}/retrieve"
MODEL = "models/SmolLM2-135M-Instruct"
COLD_START = "models/SmolLM2-135M-cold-start"
WALKS = "data_kg/world/walks.jsonl"
ANSI = re.compile(r"\x1b\[[0-9;]*m")
RAY_PREFIX = re.compile(r"^\(\w+ pid=\d+\) (INFO:)?")
PROGRESS = re.compile(
    r"\bstep \d+/\d+ |validation at step|^\{'loss'|\d walks|triples|ready to fit|hub cannot be reached"
)
SERVER_START_S = 60
MEMORY_SAMPLE_S = 5.0  # asking the kernel for shared sizes takes it a moment


class DemoError(RuntimeError):
    """A step failed; the message names its log."""


class Clock:
    """Seconds per step, and the largest resident memory of all processes together."""

    def __init__(self) -> None:
        self.started = time.monotonic()
        self.steps: list[tuple[str, float]] = []
        self.peak_bytes = 0
        self._sampled = 0.0

    def sample_memory(self) -> None:
        """Add up the run's processes, shared pages counted once, if the last time is long enough ago."""
        if time.monotonic() - self._sampled < MEMORY_SAMPLE_S:
            return
        self._sampled = time.monotonic()
        total = 0
        for process in descendants():
            try:
                total += process.memory_full_info().pss
            except psutil.Error:
                continue  # it ended between the listing and the question
        self.peak_bytes = max(self.peak_bytes, total)


def run(name: str, command: Sequence[str], log: Path, clock: Clock) -> None:
    """Run one step with its output in ``log`` and its progress lines on stderr.

    Raises:
        DemoError: when it exits with another status than 0.
    """
    sys.stderr.write(f"\n[{name}] {shlex.join(command)}\n")
    started = time.monotonic()
    with log.open("w", encoding="utf-8") as file:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            stdout=file,
            stderr=subprocess.STDOUT,
            env={**os.environ, **allocator_environment()},
        )
    position = 0
    while True:
        finished = process.poll() is not None
        clock.sample_memory()
        position = show_progress(log, position)
        if finished:
            break
        time.sleep(1)
    seconds = time.monotonic() - started
    clock.steps.append((name, seconds))
    if process.returncode != 0:
        tail = "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-15:])
        raise DemoError(f"{name} failed with status {process.returncode}; its log is {log}:\n{tail}")
    sys.stderr.write(f"[{name}] done in {seconds:.0f} s\n")


def show_progress(log: Path, position: int) -> int:
    """Repeat the log's new lines that a person waits for; returns where it read to."""
    with log.open(encoding="utf-8", errors="replace") as file:
        file.seek(position)
        text = file.read()
        position = file.tell()
    for line in text.replace("\r", "\n").splitlines():
        plain = RAY_PREFIX.sub("", ANSI.sub("", line)).strip()
        if PROGRESS.search(plain):
            sys.stderr.write(f"    {plain[:300]}\n")
    return position


@contextmanager
def kg_server(log: Path, base_data_path: str) -> Iterator[None]:
    """The KG retrieval server, ready when the block begins and ended with it."""
    command = ["scripts/kg_retrieval_launch.sh", "--base_data_path", base_data_path, "--port", str(PORT)]
    sys.stderr.write(f"\n[server] {shlex.join(command)}\n")
    with log.open("w", encoding="utf-8") as file:
        process = subprocess.Popen(command, cwd=ROOT, stdout=file, stderr=subprocess.STDOUT)
    try:
        wait_for_health(process, log)
        yield
    finally:
        process.terminate()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()


def wait_for_health(process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + SERVER_START_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise DemoError(f"the KG server ended at once; its log is {log}:\n{log.read_text()}")
        try:
            check_server(SEARCH_URL, timeout_s=2)
        except ServerUnavailable:
            time.sleep(0.3)
        else:
            sys.stderr.write(f"[server] ready at {SEARCH_URL}\n")
            return
    raise DemoError(
        f"the KG server did not answer at {SEARCH_URL} within {SERVER_START_S} s; its log is {log}"
    )


def next_run() -> str:
    """The first of demo-1, demo-2… that has no folder yet, so that no earlier result is lost."""
    number = 1
    while (ROOT / "runs" / f"demo-{number}").exists():
        number += 1
    return f"demo-{number}"


def prepare(arguments: argparse.Namespace, logs: Path, clock: Clock) -> None:
    """Model, KG, oracle walks and cold start; each is skipped when its result is there."""
    python = sys.executable
    if not (ROOT / MODEL / "config.json").is_file():
        run(
            "model",
            [python, "-m", "verl_ext.fetch_model", "--out", MODEL],
            logs / "model.log",
            clock,
        )
    if not (ROOT / "data_kg/world/manifest.json").is_file():
        build = [python, "-m", "kg_r1.data.build", "world", "--out", "data_kg"]
        run("knowledge graph", build, logs / "build.log", clock)
    if not (ROOT / COLD_START / "config.json").is_file():
        walks = [python, "-m", "verl_ext.walks", "--config-name", "cpu_135m", "--tokenizer", MODEL]
        walks += ["--num-walks", str(arguments.num_walks), "--out", WALKS]
        run("oracle walks", walks, logs / "walks.log", clock)
        learn = [python, "-m", "verl_ext.cold_start", "--model", MODEL, "--walks", WALKS, "--out", COLD_START]
        run("cold start", learn, logs / "cold_start.log", clock)


def train(arguments: argparse.Namespace, name: str, logs: Path, clock: Clock) -> None:
    """A few steps of GRPO with validation before and after."""
    overrides = [
        f"trainer.experiment_name={name}",
        f"trainer.total_training_steps={arguments.num_steps}",
        f"trainer.test_freq={arguments.num_steps}",
        "trainer.save_freq=-1",
        "data.train_batch_size=4",
        "actor_rollout_ref.actor.ppo_mini_batch_size=2",
        f"data.val_max_samples={arguments.num_val}",
        "actor_rollout_ref.rollout.search.enable=true",
        f"actor_rollout_ref.rollout.search.search_url={SEARCH_URL}",
        f"actor_rollout_ref.model.path={COLD_START}",
    ]
    command = [sys.executable, "-m", "verl_ext.main_ppo", "--config-name", "cpu_135m", *overrides]
    run("reinforcement learning", command, logs / "train.log", clock)


def interrupt(*_: object) -> None:
    """A request to end is treated as Ctrl-C, so that it ends every process too."""
    raise KeyboardInterrupt


def main() -> int:
    parser = argparse.ArgumentParser(description="The whole system once, on a machine without a GPU.")
    parser.add_argument("--num-walks", type=int, default=400, help="oracle walks of the cold start")
    parser.add_argument("--num-steps", type=int, default=3, help="steps of reinforcement learning")
    parser.add_argument("--num-val", type=int, default=48, help="validation questions")
    arguments = parser.parse_args()
    adopt_orphans()
    name = next_run()
    logs = ROOT / "runs" / name / "logs"
    logs.mkdir(parents=True)
    clock = Clock()
    signal.signal(signal.SIGTERM, interrupt)
    try:
        prepare(arguments, logs, clock)
        with kg_server(logs / "server.log", "data_kg"):
            train(arguments, name, logs, clock)
        report = [sys.executable, "-m", "verl_ext.report", str(ROOT / "runs" / name)]
        subprocess.run(report, cwd=ROOT, check=True)
        seconds = ", ".join(f"{step} {duration:.0f}" for step, duration in clock.steps)
        sys.stdout.write(
            f"\nseconds: {seconds}; all {time.monotonic() - clock.started:.0f}"
            f"\npeak memory: {clock.peak_bytes / 1024**3:.1f} GiB\n"
        )
    except KeyboardInterrupt:
        sys.stderr.write("\ninterrupted; ending every process of this run\n")
        return 130
    except DemoError as error:
        sys.stderr.write(f"\nerror [demo_failed]: {error}\n")
        return 1
    finally:
        stop_descendants()
    return 0


if __name__ == "__main__":
    sys.exit(main())
