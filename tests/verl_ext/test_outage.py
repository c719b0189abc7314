"""The KG server dies in the middle of a training and comes back."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.verl_ext import tiny
from tests.verl_ext.running import RUN_S, Server, World

pytestmark = pytest.mark.trainer
NUM_STEPS = 10


def wait_for(path: Path, num_steps: int) -> None:
    """Until the run has written that many training steps."""
    deadline = time.monotonic() + RUN_S
    while time.monotonic() < deadline:
        if path.exists() and max(tiny.read_metrics(path), default=0) >= num_steps:
            return
        time.sleep(0.1)
    raise TimeoutError(f"{path} has no step {num_steps}")


def test_training_goes_on_without_the_graph_and_searches_again_when_it_is_back(world: World) -> None:
    server = Server(world.folder / "data_kg")  # of its own: it is killed
    path = world.folder / "outage" / "metrics.jsonl"
    try:
        server.start()
        process = world.start(
            "outage",
            f"trainer.total_training_steps={NUM_STEPS}",
            "trainer.test_freq=-1",
            "trainer.val_before_train=false",
            "trainer.save_freq=-1",
            "trainer.logger=[console,file]",
            f"actor_rollout_ref.rollout.search.search_url={server.search_url}",
            "actor_rollout_ref.rollout.search.max_retries=1",
            "actor_rollout_ref.rollout.search.timeout_s=2",
        )
        wait_for(path, 1)
        server.kill()
        wait_for(path, 5)
        server.start()
        assert process.wait(timeout=RUN_S) == 0, world.log("outage")[-3000:]
    finally:
        world.stop_all()
        server.kill()
    failures = failures_by_step(path)
    assert failures[1] == 0
    assert min(failures[3], failures[4]) > 0
    assert failures[NUM_STEPS] == 0
    metrics = tiny.read_metrics(path)
    assert min(metrics[step]["episode/num_lost"] for step in (3, 4)) > 0
    assert min(metrics[step]["episode/share_taught"] for step in (3, 4)) < 0.5
    # What was played without the graph taught nothing, so the model still knows how to search.
    assert metrics[NUM_STEPS]["episode/metric/valid_query_rate"] > 0
    assert metrics[NUM_STEPS]["episode/num_lost"] == 0
    assert "the KG did not answer" in world.log("outage")
    assert "the KG was out of reach: look at its server" in world.log("outage")


def failures_by_step(path: Path) -> dict[int, float]:
    metrics = tiny.read_metrics(path)
    return {step: row["episode/metric/num_kg_failures"] for step, row in metrics.items() if step > 0}
