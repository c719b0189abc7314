"""What verl's engines really take, by the resident memory of this process, and what is computed for them.

``python -m tests.verl_ext.real_memory ROLE OVERRIDE...`` prints one JSON object with both: the most bytes
that each pass of the role's engine adds to a process. The test's environment has glibc give every block
back at once, so that what is resident is what is alive.
"""

from __future__ import annotations

import copy
import gc
import json
import re
import sys
import tempfile
from contextlib import redirect_stdout
from pathlib import Path

import torch
import torch.distributed
from omegaconf import DictConfig
from transformers import AutoConfig, Qwen2ForCausalLM

from tests.verl_ext import shapes
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


def engine_of(role: str, config: DictConfig) -> TrainingEngine:
    return actor_engine(config) if role == "actor" else critic_engine(config)


def real(role: str, config: DictConfig, passes: Passes) -> dict[str, int]:
    """Bytes that each pass adds to what the process has without the engine."""
    torch.distributed.init_process_group("gloo", store=torch.distributed.HashStore(), rank=0, world_size=1)
    with tempfile.TemporaryDirectory() as folder:
        # Libraries load and fill their tables the first time: not what an engine takes. A tiny one first.
        resident_by_pass(role, with_models(config, tiny_model(Path(folder))), passes)
    restart_peak()
    before = resident_peak()
    found = resident_by_pass(role, config, passes)
    torch.distributed.destroy_process_group()
    return {name: size - before for name, size in found.items()}


def resident_by_pass(role: str, config: DictConfig, passes: Passes) -> dict[str, int]:
    """The most that is resident in each pass; an update was taken before, as it was in all later steps."""
    training = engine_of(role, config)
    make_optimizer_state(training)
    run_update(training, passes)
    restart_peak()
    run_update(training, passes)
    found = {"update": resident_peak()}
    restart_peak()
    run_inference(training, passes, calculate_entropy=role == "actor")
    return found | {"inference": resident_peak()}


def with_models(config: DictConfig, folder: Path) -> DictConfig:
    config = copy.deepcopy(config)
    config.actor_rollout_ref.model.path = config.critic.model.path = str(folder)
    return config


def tiny_model(folder: Path) -> Path:
    shape = AutoConfig.from_pretrained(str(shapes.write_shape(folder)))
    Qwen2ForCausalLM(shape).save_pretrained(str(folder))
    return folder


def computed(role: str, config: DictConfig, passes: Passes) -> dict[str, int]:
    with fake_ranks(1), SizeTracker() as tracker, without_weights():
        sizes = EngineSizes(tracker, engine_of(role, config), passes, is_cuda=False)
        found = {"update": sizes.update(), "inference": sizes.inference(calculate_entropy=role == "actor")}
    return {phase: sum(parts.values()) for phase, parts in found.items()}


def main(role: str, overrides: list[str]) -> dict[str, dict[str, int]]:
    config = composed("cpu_135m", overrides)
    settings = take_settings(config)
    config = with_architectures(config, Path("unused"))
    of_role = actor_passes if role == "actor" else critic_passes
    passes = of_role(config, longest_episode(config, settings.search))
    return {"real": real(role, config, passes), "computed": computed(role, config, passes)}


if __name__ == "__main__":
    with redirect_stdout(sys.stderr):
        found = main(sys.argv[1], sys.argv[2:])
    sys.stdout.write(json.dumps(found) + "\n")
