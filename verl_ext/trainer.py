"""verl's synchronous trainer with an episode log: a few hooks are extended, the training loop is verl's.

Registered with verl under ``kg_sync``. What it adds: means of the episodes' reward parts and timings to
every training step, validation metrics by number of hops, and the validation generation log. What it leaves
out of the update is said in :mod:`verl_ext.teaching`.
"""

from __future__ import annotations

import json
import logging
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import transfer_queue as tq
from omegaconf import DictConfig
from tensordict import TensorDict
from verl.trainer.ppo.v1 import PPOTrainerSync, register_trainer
from verl.utils.tensordict_utils import list_of_dict_to_tensordict

import verl_ext.advantage  # noqa: F401  registers kg_turn in the process that computes advantages
from verl_ext.alarms import Alarms
from verl_ext.teaching import group_of, lost_keys, mini_batch_of, question_multiple, taught_keys
from verl_ext.validation_log import validation_summary, write_validation_log
from verl_ext.watchdog import Watchdog

logger = logging.getLogger(__name__)

TRAINER_MODE = "kg_sync"
# verl looks every 2 s whether the episodes are played: a third of what they take on a GPU (docs/log.md).
POLL_INTERVAL_S = 0.2


@register_trainer(TRAINER_MODE)
class KGTrainer(PPOTrainerSync):
    """verl's synchronous PPO trainer, telling more of what its episodes did."""

    def __init__(self, config: DictConfig) -> None:
        # verl asks for the literal name "sync" when it chooses its replay buffer and its checkpoints.
        config.trainer.v1.trainer_mode = "sync"
        self.watchdog = Watchdog(config.trainer.kg.max_stage_s)
        self.alarms = Alarms()
        super().__init__(config)
        self.replay_buffer.poll_interval = POLL_INTERVAL_S

    def init(self) -> None:
        self.watchdog.enter("start-up: workers, engine, first weight synchronisation")
        super().init()

    def on_sample_begin(self) -> None:
        self.watchdog.enter(f"step {self.global_steps}: generation")
        super().on_sample_begin()

    def on_sample_end(self) -> None:
        self.watchdog.enter(f"step {self.global_steps}: log-probabilities and update")
        super().on_sample_end()

    def on_step_end(self) -> None:
        self.watchdog.enter(f"step {self.global_steps}: weight synchronisation")
        super().on_step_end()
        self.watchdog.enter(f"step {self.global_steps}: after the update")

    def on_validate_begin(self) -> None:
        self.watchdog.enter(f"step {self.global_steps}: validation")
        super().on_validate_begin()

    def fit(self, agent_loop_manager: Any) -> None:
        try:
            super().fit(agent_loop_manager)
        finally:
            self.watchdog.stop()

    def _compute_advantage(self, batch: Any, metrics: dict[str, Any]) -> Any:
        lost = self._lost_keys(batch) if self.config.trainer.kg.leave_out_lost else []
        if lost:
            # Each in a group of its own: no sibling's baseline is moved by what it earned.
            alone = [{"uid": f"lost_{key}"} for key in lost]
            tq.kv_batch_put(
                keys=lost, partition_id=batch.partition_id, fields=list_of_dict_to_tensordict(alone)
            )
        batch = super()._compute_advantage(batch, metrics)
        if lost:
            data = tq.kv_batch_get(keys=lost, partition_id=batch.partition_id, select_fields=["advantages"])
            nothing = TensorDict({"advantages": data["advantages"] * 0.0}, batch_size=len(lost))
            tq.kv_batch_put(keys=lost, partition_id=batch.partition_id, fields=nothing)
        metrics["episode/num_lost"] = len(lost)
        return batch

    def _lost_keys(self, batch: Any) -> list[str]:
        data = tq.kv_batch_get(
            keys=batch.keys, partition_id=batch.partition_id, select_fields=["extra_fields"]
        )
        return lost_keys(
            batch.keys, [fields["episode_metrics"] for fields in data.pop("extra_fields").tolist()]
        )

    def _update_actor(self, batch: Any, metrics: dict[str, Any]) -> Any:
        kept = self._taught_keys(batch)
        metrics["episode/share_taught"] = 1.0 if kept is None else len(kept) / len(batch.keys)
        if kept is None:
            return super()._update_actor(batch, metrics)
        if not kept:
            logger.warning("step %d: no episode has an advantage; the update is left out", self.global_steps)
            return batch
        actor = self.config.actor_rollout_ref.actor
        share = len(kept) / len(batch.keys)
        with mini_batch_of(actor, round(actor.ppo_mini_batch_size * share)):
            super()._update_actor(self._balance_batch(batch.select_keys(kept), {}), metrics)
        return batch

    def _taught_keys(self, batch: Any) -> list[str] | None:
        """The rows to update on; None for all of them."""
        actor, num_rollouts = self.config.actor_rollout_ref.actor, self.config.actor_rollout_ref.rollout.n
        # With a penalty on entropy or divergence, or a critic's advantages, every episode counts.
        has_other_losses = actor.entropy_coeff != 0 or actor.use_kl_loss or self.use_critic
        num_questions, remainder = divmod(len(batch.keys), num_rollouts)
        if has_other_losses or remainder or not self.config.trainer.kg.skip_equal_groups:
            return None
        data = tq.kv_batch_get(keys=batch.keys, partition_id=batch.partition_id, select_fields=["advantages"])
        is_taught = [bool((row != 0).any()) for row in data["advantages"].unbind()]
        num_mini_batches = max(1, num_questions // actor.ppo_mini_batch_size)
        num_ranks = self.config.trainer.n_gpus_per_node * self.config.trainer.nnodes
        multiple = question_multiple(num_mini_batches, num_rollouts, num_ranks)
        kept = taught_keys(batch.keys, is_taught, num_rollouts, multiple)
        return None if kept is not None and len(kept) == len(batch.keys) else kept

    def _compute_metrics(
        self, batch: Any, metrics: dict[str, Any], timing_raw: dict[str, float], global_steps: int, epoch: int
    ) -> None:
        super()._compute_metrics(batch, metrics, timing_raw, global_steps=global_steps, epoch=epoch)
        is_real = [not tag.get("is_padding", False) for tag in batch.tags]
        keys = [key for key, real in zip(batch.keys, is_real, strict=True) if real]
        data = tq.kv_batch_get(keys=keys, partition_id=batch.partition_id, select_fields=["extra_fields"])
        episodes = [fields["episode_metrics"] for fields in data.pop("extra_fields").tolist()]
        metrics.update({f"episode/{name}": value for name, value in mean_by_key(episodes).items()})
        metrics["episode/share_equal_groups"] = share_equal_groups(keys, episodes)
        logger.info("%s", step_line(global_steps, self.total_training_steps, metrics, timing_raw))
        for problem in self.alarms.check(metrics):
            logger.warning("step %d: %s", global_steps, problem)

    def _dump_generations(
        self,
        inputs: list[str],
        outputs: list[str],
        gts: list[Any],
        scores: list[float],
        reward_extra_infos_dict: dict[str, list[Any]],
        dump_path: str,
    ) -> None:
        records = reward_extra_infos_dict.get("episode")
        if records is None:  # a training rollout dump, which verl writes itself
            super()._dump_generations(inputs, outputs, gts, scores, reward_extra_infos_dict, dump_path)
            return
        lines = [
            {"step": self.global_steps, "prompt": prompt, "output": output, **json.loads(record)}
            for prompt, output, record in zip(inputs, outputs, records, strict=True)
        ]
        path = write_validation_log(lines, Path(dump_path), self.global_steps)
        logger.info("validation generation log: %s (%d episodes)", path, len(lines))

    def _val_metrics_update(
        self,
        data_sources: list[str],
        sample_uids: list[str],
        reward_extra_infos_dict: dict[str, list[Any]],
        *args: Any,
        **kwargs: Any,
    ) -> dict[str, float]:
        records = [json.loads(record) for record in reward_extra_infos_dict.pop("episode", [])]
        metrics = super()._val_metrics_update(
            data_sources, sample_uids, reward_extra_infos_dict, *args, **kwargs
        )
        summary = validation_summary(records)
        logger.info(
            "validation at step %d: %s",
            self.global_steps,
            ", ".join(f"{name} {value:.3f}" for name, value in summary.items() if name.startswith("all/")),
        )
        return {**metrics, **{f"validation/{name}": value for name, value in summary.items()}}


def mean_by_key(rows: Iterable[Mapping[str, float]]) -> dict[str, float]:
    """The mean of each key over the rows that have it."""
    values: dict[str, list[float]] = defaultdict(list)
    for row in rows:
        for name, value in row.items():
            values[name].append(value)
    return {name: math.fsum(column) / len(column) for name, column in values.items()}


def share_equal_groups(keys: list[str], episodes: list[Mapping[str, float]]) -> float:
    """Share of questions all of whose rollouts earned the same: they teach a group baseline nothing.

    Keys are those of :func:`verl_ext.teaching.group_of`.
    """
    groups: dict[str, list[float]] = defaultdict(list)
    for key, episode in zip(keys, episodes, strict=True):
        groups[group_of(key)].append(episode["reward/total"])
    equal = sum(1 for rewards in groups.values() if max(rewards) - min(rewards) < 1e-9)
    return equal / len(groups) if groups else 0.0


def step_line(step: int, num_steps: int, metrics: Mapping[str, Any], timing_raw: Mapping[str, float]) -> str:
    """One line on a finished step: where it stands, what it earned, where its seconds went, what is left."""
    seconds = timing_raw.get("step", 0.0)
    parts = ("gen", "old_log_prob", "ref", "values", "update_critic", "update_actor", "update_weights")
    spent = " ".join(f"{name} {timing_raw[name]:.1f}" for name in parts if name in timing_raw)
    remaining_s = max(0, num_steps - step) * seconds
    return (
        f"step {step}/{num_steps} reward {metrics.get('episode/reward/total', float('nan')):.3f} "
        f"em {metrics.get('episode/metric/em', float('nan')):.3f} "
        f"valid queries {metrics.get('episode/metric/valid_query_rate', float('nan')):.2f} | "
        f"{seconds:.1f} s ({spent}) | about {remaining_s / 60:.1f} min left"
    )
