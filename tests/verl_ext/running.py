"""Training runs as a user starts them, beside a KG server that can be stopped and started again."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from kg_r1.search.client import check_server
from kg_r1.search.errors import ServerUnavailable
from tests.verl_ext import tiny
from verl_ext.processes import adopt_orphans, descendants, stop_descendants

ROOT = Path(__file__).resolve().parents[2]
RUN_S = 400
START_S = 60


class Server:
    """The KG server on one port, in a process of its own."""

    def __init__(self, base_data_path: Path) -> None:
        self.port = free_port()
        self.search_url = f"http://127.0.0.1:{self.port}/retrieve"
        self._base_data_path = base_data_path
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it answers.

        Another server may have taken the port since it was free, so the process's own log must say that it
        listens there; a second listener is refused the port.
        """
        log = self._base_data_path.parent / "server.log"
        arguments = ["--base_data_path", str(self._base_data_path), "--port", str(self.port)]
        with log.open("wb") as file:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "kg_r1.search.kg_retrieval_server", *arguments], cwd=ROOT, stderr=file
            )
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            text = log.read_text(encoding="utf-8", errors="replace")
            if self._process.poll() is not None:
                raise RuntimeError(f"the KG server on port {self.port} ended:\n{text}")
            if f"listening at http://127.0.0.1:{self.port} " in text:
                with suppress(ServerUnavailable):
                    return check_server(self.search_url, timeout_s=1)
            time.sleep(0.2)
        raise RuntimeError(f"the KG server did not answer on port {self.port}:\n{text}")

    def kill(self) -> None:
        """End it without a chance to say so."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()


@dataclass(frozen=True)
class World:
    """What every run here shares."""

    folder: Path
    server: Server
    spared: frozenset[int]  # processes that runs did not start

    def command(self, name: str, *overrides: str, profile: str = "cpu_135m") -> list[str]:
        settings = {
            "trainer.experiment_name": name,
            "trainer.default_local_dir": self.folder / name / "checkpoints",
            "trainer.validation_data_dir": self.folder / name / "validation",
            "trainer.logger": "[console,file,tensorboard,wandb]",
            "hydra.run.dir": self.folder / name / "hydra",
            "data.train_files": self.folder / "rows" / "train.parquet",
            "data.val_files": self.folder / "rows" / "val.parquet",
            "data.train_batch_size": 2,
            "trainer.total_epochs": 9,  # of four steps: the rows are eight
            "actor_rollout_ref.model.path": self.folder / "model",
            "actor_rollout_ref.actor.ppo_mini_batch_size": 2,
            # At 1e-3 one unlucky step unlearns the search, and what comes after it tests nothing.
            "actor_rollout_ref.actor.optim.lr": "1e-4",
            "actor_rollout_ref.rollout.n": 8,  # of four, both groups of a step may all earn the same
            "actor_rollout_ref.rollout.temperature": 1.0,
            "actor_rollout_ref.rollout.search.search_url": self.server.search_url,
            "critic.ppo_mini_batch_size": 2,
            # The old log-probabilities from the actor itself, so that they can be compared with the engine's.
            "algorithm.rollout_correction.bypass_mode": "false",
        }
        flat = [f"{key}={value}" for key, value in settings.items()] + list(tiny.EPISODE_OVERRIDES)
        return [sys.executable, "-m", "verl_ext.main_ppo", "--config-name", profile, *flat, *overrides]

    def start(self, name: str, *overrides: str, profile: str = "cpu_135m") -> subprocess.Popen[bytes]:
        log = (self.folder / f"{name}.log").open("ab")
        command = self.command(name, *overrides, profile=profile)
        return subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT)

    def run(self, name: str, *overrides: str, profile: str = "cpu_135m") -> str:
        process = self.start(name, *overrides, profile=profile)
        try:
            status = process.wait(timeout=RUN_S)
        finally:
            self.stop_all()
        text = self.log(name)
        assert status == 0, f"{name} ended with {status}:\n" + "\n".join(text.splitlines()[-40:])
        return text

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text(encoding="utf-8", errors="replace")

    def stop_all(self) -> None:
        """End every process that a run left, Ray's included."""
        stop_descendants(grace_s=0, spared=self.spared)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@contextmanager
def shared_world(folder: Path) -> Iterator[World]:
    """A half-trained tiny model, its rows, its graph and a server, for the time of the block."""
    tiny.write_half_trained_model(folder)
    tiny.write_rows(folder / "rows")
    server = Server(folder / "data_kg")
    try:
        server.start()
        adopt_orphans()
        yield World(folder, server, frozenset(child.pid for child in descendants()))
    finally:
        server.kill()
