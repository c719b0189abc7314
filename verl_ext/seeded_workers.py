"""verl's workers, with PyTorch seeded before they build a model.

verl 0.9.1 seeds its engines only under ``full_determinism``, which is dear; without it new weights (LoRA's
first matrices) come from PyTorch's own constant and are the same in every run. Here they follow
``data.seed``, which the configuration hands to every engine (``fsdp_config.seed``). All ranks take the same
seed, as the shards of one model must.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import ray
import torch
from verl.single_controller.base.decorator import Dispatch, register
from verl.trainer.ppo.utils import Role
from verl.utils.device import manual_seed_all
from verl.workers.engine_workers import ActorRolloutRefWorker, TrainingWorker


class SeededTrainingWorker(TrainingWorker):
    """verl's worker of one engine: the actor's, the reference policy's or the critic's."""

    @register(dispatch_mode=Dispatch.ONE_TO_ALL)  # type: ignore[attr-defined]  # verl adds its members late
    def reset(self) -> None:
        """Build the model, or take it back to its beginning."""
        torch.manual_seed(self.engine_config.seed)
        manual_seed_all(self.engine_config.seed)
        super().reset()


class SeededActorRolloutRefWorker(ActorRolloutRefWorker):
    """verl's worker of actor, engine and reference policy."""

    actor_worker_cls = SeededTrainingWorker
    ref_worker_cls = SeededTrainingWorker


def with_seeds(workers: Mapping[Role, Any]) -> dict[Role, Any]:
    """verl's table of workers by role (``role_worker_mapping``), with ours in the place of its own."""
    return {
        role: ray.remote(SeededTrainingWorker if role is Role.Critic else SeededActorRolloutRefWorker)
        for role in workers
    }
