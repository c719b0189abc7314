"""verl's synchronous trainer with an episode log: a few hooks are extended, the training loop is verl's.

Registered with verl under ``kg_sync``. What it adds: means of the episodes' reward parts and timings to
every training step, validation metrics by number of hops, and the validation generation log. What it leaves
out of the update is said in :mod:`verl_ext.teaching`.
"""

from __future__ import annotations

import json
import logging
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import transfer_queue as tq
from omegaconf import DictConfig, open_dict
from tensordict import TensorDict
from verl.trainer.ppo.v1 import PPOTrainerSync, register_trainer
from verl.utils.tensordict_utils import list_of_dict_to_tensordict

import verl_ext.advantage  # noqa: F401  registers kg_turn in the process that computes advantages
from verl_ext.agent_loop import KGAgentLoopManager
from verl_ext.alarms import Alarms, look_at_start
from verl_ext.memory_watch import nearly_full
from verl_ext.seeded_workers import with_seeds
from verl_ext.teaching import (
    are_equal,
    group_of,
    keys_without_advantage,
    lost_keys,
    mini_batches_of,
    plan_update,
)
from verl_ext.validation_log import crashed_record, validation_summary, write_validation_log
from verl_ext.value_engine import INITIAL_VALUE
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
        self.global_steps = 0
        self._warned_at = -1
        self._has_started = False
        self._first_valid: float | None = None
        self._silent: set[str] = set()
        self._lost: frozenset[str] = frozenset()
        super().__init__(config)
        self.replay_buffer.poll_interval = POLL_INTERVAL_S

    def _enter(self, stage: str, max_s: float = math.inf) -> None:
        self.watchdog.enter(stage, max_s)
        if (problem := nearly_full()) is not None and self.global_steps != self._warned_at:
            self._warned_at = self.global_steps  # said once a step, not at each stage
            logger.warning("%s: %s", stage, problem)

    def init(self) -> None:
        self._enter("start-up: workers and engine")
        super().init()

    def on_init_end(self) -> None:
        self._enter("start-up: first weight synchronisation", self.config.trainer.kg.max_sync_s)
        super().on_init_end()
        self._enter("start-up: data")

    def _init_resource_pool_mgr(self) -> None:
        super()._init_resource_pool_mgr()
        self.role_worker_mapping = with_seeds(self.role_worker_mapping)

    def on_sample_begin(self) -> None:
        self._enter(f"step {self.global_steps}: generation")
        super().on_sample_begin()

    def on_sample_end(self) -> None:
        self._enter(f"step {self.global_steps}: log-probabilities and update")
        super().on_sample_end()

    def on_step_end(self) -> None:
        self._enter(f"step {self.global_steps}: weight synchronisation", self.config.trainer.kg.max_sync_s)
        super().on_step_end()
        self._enter(f"step {self.global_steps}: after the update")

    def on_validate_begin(self) -> None:
        self._enter(f"step {self.global_steps}: validation")
        self._manager.validated.clear()
        super().on_validate_begin()

    def fit(self, agent_loop_manager: Any) -> None:
        self._manager: KGAgentLoopManager = agent_loop_manager
        try:
            super().fit(agent_loop_manager)
        finally:
            self.watchdog.stop()

    def _compute_old_log_prob(self, batch: Any, metrics: dict[str, Any]) -> Any:
        """In bypass mode, which takes the engine's, also look at the actor's own every so many steps.

        What verl measures then (entropy, how far engine and actor are apart) tells a collapsing policy and a
        broken weight synchronisation; without the look nothing in the metrics would.
        """
        correction = self.config.algorithm.rollout_correction
        frequency = self.config.trainer.kg.actor_check_freq
        if correction.get("bypass_mode") and frequency and (self.global_steps - 1) % frequency == 0:
            with changed(correction, bypass_mode=False):
                batch = super()._compute_old_log_prob(batch, metrics)
        return super()._compute_old_log_prob(batch, metrics)

    def _compute_values(self, batch: Any, metrics: dict[str, Any]) -> Any:
        if self.global_steps == 1:
            rewards = [episode["reward/total"] for episode in self._episodes(batch).values()]
            batch.extra_info[INITIAL_VALUE] = math.fsum(rewards) / max(1, len(rewards))
        return super()._compute_values(batch, metrics)

    def _compute_advantage(self, batch: Any, metrics: dict[str, Any]) -> Any:
        episodes = self._episodes(batch)
        lost = (
            lost_keys(list(episodes), list(episodes.values()))
            if self.config.trainer.kg.leave_out_lost
            else []
        )
        self._take_out(batch, lost, is_whole_batch=len(lost) == len(episodes))
        if self._num_sampled(batch) > 1:
            batch = super()._compute_advantage(batch, metrics)
        else:  # estimators that whiten refuse a batch without a sampled token
            self._put_nothing(batch, batch.keys, "advantages", "returns", like="rm_scores")
        if not self._has_started:
            self._look_at_start(episodes)
        rewards = {key: episode["reward/total"] for key, episode in episodes.items()}
        algorithm = self.config.algorithm
        self._silent = keys_without_advantage(
            rewards, lost, algorithm.adv_estimator, kl_in_reward=algorithm.use_kl_in_reward
        )
        self._lost = frozenset(lost)
        self._put_nothing(batch, [key for key in batch.keys if key in self._silent], "advantages")
        metrics["episode/num_lost"] = len(lost)
        metrics["episode/num_crashed"] = max(
            0, self.config.data.train_batch_size * self.config.actor_rollout_ref.rollout.n - len(episodes)
        )
        return batch

    def _look_at_start(self, episodes: dict[str, dict[str, float]]) -> None:
        """Say, before the first update, whether anything can be learned from the policy as it is."""
        self._has_started = True
        rows = list(episodes.values())
        num_questions = len({group_of(key) for key in episodes})
        num_equal = round(share_equal_groups(list(episodes), rows) * num_questions)
        valid = self._first_valid
        if valid is None:
            valid = mean_by_key(rows).get("metric/valid_query_rate", 0.0)
        line, problem = look_at_start(valid, num_questions - num_equal, num_questions)
        logger.info("%s", line)
        if problem is not None:
            logger.warning("%s", problem)

    def _take_out(self, batch: Any, lost: list[str], *, is_whole_batch: bool) -> None:
        """Let lost episodes be nobody's sibling, and no token of theirs count in any mean.

        Where all are lost the masks stay, since verl's metrics need a sampled token; nothing is updated then.
        """
        if not lost:
            return
        alone = [{"uid": f"lost_{key}"} for key in lost]
        tq.kv_batch_put(keys=lost, partition_id=batch.partition_id, fields=list_of_dict_to_tensordict(alone))
        if not is_whole_batch:
            self._put_nothing(batch, lost, "response_mask", "loss_mask")

    def _put_nothing(self, batch: Any, keys: list[str], *names: str, like: str | None = None) -> None:
        """Zeros in these fields of these rows; shaped as the field `like`, or as they are."""
        if not keys:
            return
        fields = [like] if like is not None else list(names)
        data = tq.kv_batch_get(keys=keys, partition_id=batch.partition_id, select_fields=fields)
        zeros = {name: data[like or name] * 0 for name in names}
        tq.kv_batch_put(
            keys=keys, partition_id=batch.partition_id, fields=TensorDict(zeros, batch_size=len(keys))
        )

    def _episodes(self, batch: Any) -> dict[str, dict[str, float]]:
        """What each episode of the batch earned and did, by key; verl's padding rows are none."""
        keys = [
            key for key, tag in zip(batch.keys, batch.tags, strict=True) if not tag.get("is_padding", False)
        ]
        data = tq.kv_batch_get(keys=keys, partition_id=batch.partition_id, select_fields=["extra_fields"])
        fields = data.pop("extra_fields").tolist()
        return {key: field["episode_metrics"] for key, field in zip(keys, fields, strict=True)}

    def _num_sampled(self, batch: Any) -> int:
        data = tq.kv_batch_get(
            keys=batch.keys, partition_id=batch.partition_id, select_fields=["response_mask"]
        )
        return int(data["response_mask"].values().sum())

    def _update_critic(self, batch: Any, metrics: dict[str, Any]) -> Any:
        self._update(batch, metrics, self.config.critic, self._is_judged(batch), super()._update_critic)
        return batch

    def _update_actor(self, batch: Any, metrics: dict[str, Any]) -> Any:
        actor = self.config.actor_rollout_ref.actor
        # With a penalty on entropy or divergence, or a critic's advantages, every judged episode counts.
        has_other_losses = actor.entropy_coeff != 0 or actor.use_kl_loss or self.use_critic
        is_taught = self._is_judged(batch)
        if not has_other_losses and self.config.trainer.kg.skip_equal_groups:
            is_taught = self._has_advantage(batch, is_taught)
        share = sum(is_taught) / max(1, sum(not tag.get("is_padding", False) for tag in batch.tags))
        metrics["episode/share_taught"] = share
        if not any(is_taught):
            logger.warning("step %d: no episode has an advantage; the update is left out", self.global_steps)
        self._update(batch, metrics, actor, is_taught, super()._update_actor)
        return batch

    def _is_judged(self, batch: Any) -> list[bool]:
        """For each row whether it is an episode that saw its graph."""
        return [
            not tag.get("is_padding", False) and key not in self._lost
            for key, tag in zip(batch.keys, batch.tags, strict=True)
        ]

    def _has_advantage(self, batch: Any, is_judged: list[bool]) -> list[bool]:
        """For each row whether it or a sibling has an advantage."""
        data = tq.kv_batch_get(keys=batch.keys, partition_id=batch.partition_id, select_fields=["advantages"])
        has_any = [bool((row != 0).any()) for row in data["advantages"].unbind()]
        groups = {group_of(key) for key, has in zip(batch.keys, has_any, strict=True) if has}
        return [judged and group_of(key) in groups for key, judged in zip(batch.keys, is_judged, strict=True)]

    def _update(
        self, batch: Any, metrics: dict[str, Any], section: Any, is_taught: list[bool], update: Any
    ) -> None:
        """verl's update on the rows that teach, with as many fewer updates as there are fewer rows."""
        num_ranks = self.config.trainer.n_gpus_per_node * self.config.trainer.nnodes
        num_rows = section.ppo_mini_batch_size * self.config.actor_rollout_ref.rollout.n
        plan = plan_update(batch.keys, is_taught, [tag["seq_len"] for tag in batch.tags], num_rows, num_ranks)
        if len(plan.keys) == len(batch.keys) and plan.num_rows_per_mini_batch == num_rows:
            update(batch, metrics)
        elif plan.keys:
            with mini_batches_of(self.config, plan.num_rows_per_mini_batch):
                update(self._balance_batch(batch.select_keys(plan.keys), {}), metrics)

    def _compute_metrics(
        self, batch: Any, metrics: dict[str, Any], timing_raw: dict[str, float], global_steps: int, epoch: int
    ) -> None:
        if self._num_sampled(batch):
            super()._compute_metrics(batch, metrics, timing_raw, global_steps=global_steps, epoch=epoch)
        else:  # verl takes the largest of the sampled tokens' advantages, of which there are none
            metrics.update({"training/global_step": global_steps, "training/epoch": epoch})
        episodes = self._episodes(batch)
        metrics.update({f"episode/{name}": value for name, value in mean_by_key(episodes.values()).items()})
        metrics["episode/share_equal_groups"] = share_equal_groups(list(episodes), list(episodes.values()))
        logger.info("%s", step_line(global_steps, self.total_training_steps, metrics, timing_raw))
        for problem in self.alarms.check(metrics):
            logger.warning("step %d: %s", global_steps, problem)

    def _crashed_records(self, uids: list[str]) -> list[dict[str, Any]]:
        """A record for each validated episode that left nothing; `uids` are the questions of the others."""
        num_left, num_asked = Counter(uids), self.config.actor_rollout_ref.rollout.val_kwargs.n
        return [
            crashed_record(question)
            for uid, question in self._manager.validated.items()
            for _ in range(num_asked - num_left[uid])
        ]

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
        crashed = self._crashed_records([group_of(key) for key in reward_extra_infos_dict["uid"]])
        lines += [{"step": self.global_steps, "prompt": "", "output": "", **record} for record in crashed]
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
        crashed = self._crashed_records(sample_uids)
        if crashed:
            logger.warning("%d episodes of the validation crashed and count as 0", len(crashed))
        metrics = super()._val_metrics_update(
            data_sources, sample_uids, reward_extra_infos_dict, *args, **kwargs
        )
        summary = validation_summary(records + crashed)
        if self._first_valid is None:
            self._first_valid = summary.get("all/valid_query_rate")
        logger.info(
            "validation at step %d: %s",
            self.global_steps,
            ", ".join(f"{name} {value:.3f}" for name, value in summary.items() if name.startswith("all/")),
        )
        return {**metrics, **{f"validation/{name}": value for name, value in summary.items()}}


@contextmanager
def changed(section: DictConfig, **values: Any) -> Iterator[None]:
    """A section of the configuration with other values for the time of the block."""
    before = {name: section[name] for name in values}
    with open_dict(section):
        section.update(values)
    try:
        yield
    finally:
        with open_dict(section):
            section.update(before)


def mean_by_key(rows: Iterable[Mapping[str, float]]) -> dict[str, float]:
    """The mean of each key over the rows that have it."""
    values: dict[str, list[float]] = defaultdict(list)
    for row in rows:
        for name, value in row.items():
            values[name].append(value)
    return {name: math.fsum(column) / len(column) for name, column in values.items()}


def share_equal_groups(keys: Sequence[str], episodes: Sequence[Mapping[str, float]]) -> float:
    """Share of questions all of whose rollouts earned the same: they teach a group baseline nothing.

    Keys are those of :func:`verl_ext.teaching.group_of`.
    """
    groups: dict[str, list[float]] = defaultdict(list)
    for key, episode in zip(keys, episodes, strict=True):
        groups[group_of(key)].append(episode["reward/total"])
    equal = sum(are_equal(rewards) for rewards in groups.values())
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
