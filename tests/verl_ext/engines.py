"""verl's workers built in this process, for one rank and without Ray."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from omegaconf import DictConfig, OmegaConf
from verl.utils.config import omega_conf_to_dataclass
from verl.workers.engine_workers import TrainingWorkerConfig

from tests.verl_ext.running import free_port
from verl_ext.attention import AUTO, SECTIONS
from verl_ext.seeded_workers import SeededTrainingWorker


@contextmanager
def one_rank() -> Iterator[None]:
    """What verl's workers read of the environment that Ray makes for them."""
    names = {"WORLD_SIZE": "1", "RANK": "0", "LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "1", "WG_BACKEND": "none"}
    names |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    before = {name: os.environ.get(name) for name in names}
    os.environ.update(names)
    try:
        yield
    finally:
        if torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


def without_measuring(config: DictConfig) -> DictConfig:
    """The same with an attention named where the profile has the faster one found out in seconds."""
    for section in SECTIONS:
        model = OmegaConf.select(config, section)
        if model.override_config.get("attn_implementation") == AUTO:
            model.override_config.attn_implementation = "eager"
    return config


def build_worker(config: DictConfig, role: str) -> SeededTrainingWorker:
    """The worker of ``actor`` or ``critic`` with its model built, as the trainer has it built by Ray."""
    if role == "critic":
        part, kind = omega_conf_to_dataclass(config.critic), "value_model"
        model = part.model
    else:
        part, kind = omega_conf_to_dataclass(config.actor_rollout_ref.actor), "language_model"
        model = omega_conf_to_dataclass(config.actor_rollout_ref.model)
    part.optim.total_training_steps = 1
    worker = SeededTrainingWorker(
        config=TrainingWorkerConfig(
            model_type=kind,
            model_config=model,
            engine_config=part.engine,
            optimizer_config=part.optim,
            checkpoint_config=part.checkpoint,
        )
    )
    worker.reset()
    return worker
