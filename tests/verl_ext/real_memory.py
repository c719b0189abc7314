"""What verl's engines really take: their passes with real weights in this process, by its resident memory.

``python -m tests.verl_ext.real_memory ROLE OVERRIDE...`` prints one JSON object: the most bytes that each pass
of the role's engine added to this process. Started with glibc giving every block back at once (the test sets
its environment), so that what is resident is what is alive.
"""

from __future__ import annotations

import gc
import json
import re
import sys
from contextlib import redirect_stdout
from pathlib import Path

import torch
import torch.distributed
from omegaconf import DictConfig

from verl_ext.memory.engines import TrainingEngine, actor_engine, critic_engine, with_architectures
from verl_ext.memory.estimate import actor_passes, critic_passes
from verl_ext.memory.packs import longest_episode
from verl_ext.memory.training import make_optimizer_state, run_inference, run_update
from verl_ext.profiles import composed
from verl_ext.settings import take_settings

STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def resident_peak() -> int:
    """Bytes: the most that was resident since :func:`restart_peak`."""
    found = re.search(r"^VmHWM:\s+(\d+) kB$", STATUS.read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1]) * 1024


def restart_peak() -> None:
    gc.collect()
    CLEAR.write_text("5")


def warm_up() -> None:
    """Libraries fill their tables at the first product of each kind: not what an engine takes."""
    for dtype in (torch.float32, torch.bfloat16):
        factors = torch.randn(64, 64, dtype=dtype, requires_grad=True)
        (factors @ factors).sum().backward()


def engine_of(role: str, config: DictConfig) -> TrainingEngine:
    return actor_engine(config) if role == "actor" else critic_engine(config)


def measure(role: str, overrides: list[str]) -> dict[str, int]:
    config = composed("cpu_135m", overrides)
    settings = take_settings(config)
    config = with_architectures(config, Path("unused"))
    passes = (actor_passes if role == "actor" else critic_passes)(
        config, longest_episode(config, settings.search)
    )
    warm_up()
    restart_peak()
    before = resident_peak()
    training = engine_of(role, config)
    make_optimizer_state(training)
    found = {}
    for name in ("first", "update", "inference"):
        # The first update also makes what stays: threads, scratch space of kernels.
        restart_peak()
        if name == "inference":
            run_inference(training, passes, calculate_entropy=role == "actor")
        else:
            run_update(training, passes)
        found[name] = resident_peak() - before
    return found


if __name__ == "__main__":
    with redirect_stdout(sys.stderr):
        torch.distributed.init_process_group(
            "gloo", store=torch.distributed.HashStore(), rank=0, world_size=1
        )
        sizes = measure(sys.argv[1], sys.argv[2:])
        torch.distributed.destroy_process_group()
    sys.stdout.write(json.dumps(sizes) + "\n")
