"""What verl's engines really take, by the resident memory of this process, and what is computed for them.

``python -m tests.verl_ext.real_memory real|computed ROLE OVERRIDE...`` prints one JSON object: the most bytes
that each pass of the role's engine adds to a process. For "real" the test's environment has glibc give every
block back at once, so that what is resident is what is alive.
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

from verl_ext.memory.engines import (
    TrainingEngine,
    actor_engine,
    critic_engine,
    fake_ranks,
    with_architectures,
    without_weights,
)
from verl_ext.memory.estimate import actor_passes, critic_passes
from verl_ext.memory.packs import longest_episode
from verl_ext.memory.tracker import SizeTracker
from verl_ext.memory.training import EngineSizes, Passes, make_optimizer_state, run_inference, run_update
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


def real(role: str, config: DictConfig, passes: Passes) -> dict[str, int]:
    """Resident bytes; the engine has taken an update before, as it has in all steps but the first."""
    torch.distributed.init_process_group("gloo", store=torch.distributed.HashStore(), rank=0, world_size=1)
    warm_up()
    restart_peak()
    before = resident_peak()
    training = engine_of(role, config)
    make_optimizer_state(training)
    run_update(training, passes)
    restart_peak()
    run_update(training, passes)
    found = {"update": resident_peak() - before}
    restart_peak()
    run_inference(training, passes, calculate_entropy=role == "actor")
    found["inference"] = resident_peak() - before
    torch.distributed.destroy_process_group()
    return found


def computed(role: str, config: DictConfig, passes: Passes) -> dict[str, int]:
    with fake_ranks(1), SizeTracker() as tracker, without_weights():
        sizes = EngineSizes(tracker, engine_of(role, config), passes, is_cuda=False)
        found = {"update": sizes.update(), "inference": sizes.inference(calculate_entropy=role == "actor")}
    return {phase: sum(parts.values()) for phase, parts in found.items()}


def main(how: str, role: str, overrides: list[str]) -> dict[str, int]:
    config = composed("cpu_135m", overrides)
    settings = take_settings(config)
    config = with_architectures(config, Path("unused"))
    of_role = actor_passes if role == "actor" else critic_passes
    passes = of_role(config, longest_episode(config, settings.search))
    return (real if how == "real" else computed)(role, config, passes)


if __name__ == "__main__":
    with redirect_stdout(sys.stderr):
        found = main(sys.argv[1], sys.argv[2], sys.argv[3:])
    sys.stdout.write(json.dumps(found) + "\n")
