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

from kg_r1.kg.store import GraphStore
from kg_r1.search.access import KEY_VARIABLE
from kg_r1.search.errors import KGError, listed
from kg_r1.search.offers import offer_of
from verl_ext.allocator import allocator_environment
from verl_ext.processes import adopt_orphans, descendants, stop_descendants

ROOT = Path(__file__).resolve().parent.parent
MODEL = "models/SmolLM2-135M-Instruct"
COLD_START = "models/SmolLM2-135M-cold-start"
WALKS = "data_kg/world/walks.jsonl"
ANSI = re.compile(r"\x1b\[[0-9;]*m")
RAY_PREFIX = re.compile(r"^\(\w+ pid=\d+\) (INFO:)?")
PROGRESS = re.compile(
    r"\bstep \d+/\d+ |validation at step|^\{'loss'|\d walks|triples|ready to fit|hub cannot be reached"
)
LISTENING = re.compile(r"listening at (http://\S+) ")  # as the server's log says it
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
def kg_server(log: Path, base_data_path: str) -> Iterator[str]:
    """The KG retrieval server on a port that is free, ready when the block begins and ended with it.

    Yields:
        The address of its /retrieve.
    """
    command = ["scripts/kg_retrieval_launch.sh", "--base_data_path", base_data_path, "--port", "0"]
    sys.stderr.write(f"\n[server] {shlex.join(command)}\n")
    # The training has no key to send, and the server listens to this machine alone.
    environment = {name: value for name, value in os.environ.items() if name != KEY_VARIABLE}
    with log.open("w", encoding="utf-8") as file:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=file, stderr=subprocess.STDOUT)
    try:
        search_url = wait_for_server(process, log, ROOT / base_data_path)
        sys.stderr.write(f"[server] ready at {search_url}\n")
        yield search_url
    finally:
        process.terminate()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()


def wait_for_server(process: subprocess.Popen[bytes], log: Path, base_data_path: Path) -> str:
    """Wait until ``process`` answers searches of the data sets under ``base_data_path``.

    Another server may listen on this machine, so the address is the one that the log of ``process`` tells,
    and who answers there must have the folder's data sets.

    Returns:
        The address of its /retrieve.

    Raises:
        DemoError: it ended, does not answer in time, or has other data sets.
    """
    deadline = time.monotonic() + SERVER_START_S
    problem = "its log tells no address"
    while time.monotonic() < deadline:
        text = log.read_text(encoding="utf-8", errors="replace")
        if process.poll() is not None:
            raise DemoError(
                f"the KG server ended with status {process.returncode}; its log is {log}:\n{text}"
            )
        if found := LISTENING.search(text):
            search_url = f"{found[1]}/retrieve"
            try:
                there = list(offer_of(search_url, timeout_s=2).datasets)
            except KGError as error:
                problem = str(error)
            else:
                wanted = GraphStore(base_data_path).datasets()
                if there == wanted:
                    return search_url
                raise DemoError(
                    f"the server at {search_url} has the data sets {listed(there)}, and {base_data_path} has "
                    f"{listed(wanted)}; its log is {log}"
                )
        time.sleep(0.3)
    raise DemoError(f"the KG server is not ready after {SERVER_START_S} s: {problem}; its log is {log}")


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


def train(arguments: argparse.Namespace, name: str, search_url: str, logs: Path, clock: Clock) -> None:
    """A few steps of GRPO with validation before and after, searching at ``search_url``."""
    overrides = [
        f"trainer.experiment_name={name}",
        f"trainer.total_training_steps={arguments.num_steps}",
        f"trainer.test_freq={arguments.num_steps}",
        "trainer.save_freq=-1",
        f"data.seed={arguments.seed}",
        # One update a step of all questions that teach, and F1 alone as reward: evidence pays for lists.
        "data.train_batch_size=6",
        "actor_rollout_ref.actor.ppo_mini_batch_size=6",
        "actor_rollout_ref.actor.optim.lr=5e-5",
        "reward.kg.answer_score=f1",
        "reward.kg.w_evidence=0.0",
        f"data.val_max_samples={arguments.num_val}",
        "actor_rollout_ref.rollout.search.enable=true",
        f"actor_rollout_ref.rollout.search.search_url={search_url}",
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
    parser.add_argument("--num-steps", type=int, default=16, help="steps of reinforcement learning")
    parser.add_argument("--num-val", type=int, default=120, help="validation questions")
    parser.add_argument("--seed", type=int, default=0, help="of the questions drawn and of sampling")
    arguments = parser.parse_args()
    adopt_orphans()
    name = next_run()
    logs = ROOT / "runs" / name / "logs"
    logs.mkdir(parents=True)
    clock = Clock()
    signal.signal(signal.SIGTERM, interrupt)
    try:
        prepare(arguments, logs, clock)
        with kg_server(logs / "server.log", "data_kg") as search_url:
            train(arguments, name, search_url, logs, clock)
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
