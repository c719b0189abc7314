"""verl's own checks of a configuration, those included that it makes only inside its workers."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from hydra.errors import HydraException
from omegaconf import DictConfig, open_dict
from omegaconf.errors import OmegaConfBaseException

from kg_r1.search.errors import one_line
from verl_ext.launch.errors import LaunchError

# What verl raises for a configuration: asserts mostly, and what Hydra wraps when a dataclass refuses.
REFUSALS = (AssertionError, ValueError, TypeError, OSError, HydraException, OmegaConfBaseException)


def check_with_verl(config: DictConfig) -> None:
    """Let verl look at the whole configuration now, not minutes later in a worker.

    Raises:
        LaunchError: with what verl said, as one line.
    """
    from verl.trainer.ppo.utils import need_critic, need_reference_policy
    from verl.utils.config import validate_config

    has_critic, has_reference = need_critic(config), need_reference_policy(config)
    try:
        validate_config(config=config, use_reference_policy=has_reference, use_critic=has_critic)
        engine_configs(config, has_critic=has_critic, has_reference=has_reference)
    except REFUSALS as error:
        raise LaunchError(f"verl refuses the configuration: {one_line(str(error))}") from error


def engine_configs(config: DictConfig, *, has_critic: bool, has_reference: bool) -> dict[str, Any]:
    """verl's dataclasses as its workers make them (verl/workers/engine_workers.py, ``init_model``), by part.

    Raises:
        One of `REFUSALS`, where a worker would.
    """
    from verl.utils.config import omega_conf_to_dataclass

    group = config.actor_rollout_ref
    found = {name: omega_conf_to_dataclass(group[name]) for name in ("model", "rollout", "actor")}
    actor, rollout = found["actor"], found["rollout"]
    if actor.use_dynamic_bsz != rollout.log_prob_use_dynamic_bsz:
        raise ValueError(
            "actor_rollout_ref.rollout.log_prob_use_dynamic_bsz must equal that of actor.use_dynamic_bsz"
        )
    limits = {
        "actor.ppo": (actor, "ppo"),
        "rollout.log_prob": (rollout, "log_prob"),
    }
    bound = "max_token_len_per_gpu" if actor.use_dynamic_bsz else "micro_batch_size_per_gpu"
    for name, (part, prefix) in limits.items():
        if part.get(f"{prefix}_{bound}") is None:
            raise ValueError(f"actor_rollout_ref.{name}_{bound} must be set")
    _check_loss(actor, "actor_rollout_ref.actor")
    if has_reference:
        found["ref"] = omega_conf_to_dataclass(_reference(config))
    if has_critic:
        found["critic"] = omega_conf_to_dataclass(config.critic)
        _check_loss(found["critic"], "critic")
    return found


def _check_loss(part: Any, where: str) -> None:
    """verl would divide by the longest response of each micro-batch (core_algos.py, ``agg_loss``)."""
    if part.loss_agg_mode == "seq-mean-token-sum-norm" and part.loss_scale_factor is None:
        raise ValueError(
            f"{where}.loss_agg_mode={part.loss_agg_mode} needs {where}.loss_scale_factor: the number of "
            "tokens to divide by, data.max_response_length for one"
        )


def _reference(config: DictConfig) -> DictConfig:
    """The section of the reference policy, renamed as the worker renames it."""
    reference = deepcopy(config.actor_rollout_ref.ref)
    with open_dict(reference):
        reference.ppo_mini_batch_size = config.actor_rollout_ref.actor.ppo_mini_batch_size
        reference.ppo_micro_batch_size = reference.pop("log_prob_micro_batch_size", None)
        reference.ppo_micro_batch_size_per_gpu = reference.pop("log_prob_micro_batch_size_per_gpu", None)
        reference.use_dynamic_bsz = reference.pop("log_prob_use_dynamic_bsz", False)
        reference.ppo_max_token_len_per_gpu = reference.pop("log_prob_max_token_len_per_gpu", None)
    return reference
