"""Memory of one device in every phase of a training step, from the configuration of the run.

Phases follow one another and share the device: while one engine works, the others hold what they do not
hand to the host, and the inference engine sleeps or does not.
"""

from __future__ import annotations

import io
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

from omegaconf import DictConfig
from verl.trainer.ppo.utils import need_critic, need_reference_policy

from verl_ext.memory.engines import (
    TrainingEngine,
    actor_engine,
    critic_engine,
    fake_ranks,
    reference_engine,
    with_architectures,
    without_weights,
)
from verl_ext.memory.inference import GIB, InferenceSizes, inference_sizes
from verl_ext.memory.packs import EpisodeSizes, longest_episode
from verl_ext.memory.sync import SHARED, sync_sizes
from verl_ext.memory.tracker import SizeTracker
from verl_ext.memory.training import EngineSizes, Parts, Passes, inference_pack, update_pack
from verl_ext.settings import Settings

ACTOR = "actor"
ROLLOUT, LOG_PROBS, REFERENCE = "rollout", "log-probs", "reference"
CRITIC, UPDATE, SYNC = "critic", "update", "sync"

# Of a CUDA context, one in the trainer's process and one in the engine's: 426 MiB were measured on an RTX
# 6000 Ada (unslothai/unsloth-zoo pull request 1053, torch 2.10 for CUDA 13), about 400 are PyTorch's own
# figure (pytorch/pytorch issue 109888).
CUDA_CONTEXT_GIB = 0.5
# Reserved by PyTorch's allocator and not usable, as a share of what the trainer has allocated: 1.83 GiB of
# 75.3 were seen, and 5 % are what is set aside for it (vllm-project/compressed-tensors pull request 587).
FRAGMENTATION = 0.05
# Interpreters and libraries of a run's processes on a processor, without weights and cache: proportional set
# sizes of a PPO run of cpu_135m (docs/log.md).
CPU_PROCESSES_GIB = 5.8

CONTEXTS, FRAGMENTS, PROCESSES = "CUDA contexts", "fragmentation", "processes"


@dataclass(frozen=True)
class MemoryEstimate:
    """Bytes by phase and part, on one device; on a processor, of all processes together."""

    phases: Mapping[str, Mapping[str, int]]
    num_parameters: int
    num_trained: int
    episode: EpisodeSizes
    packs: Mapping[str, int]
    """Tokens of the largest pack of each pass."""
    num_cached_tokens: int
    problem: str | None
    """Why the inference engine would refuse to start, or None."""

    def total(self, phase: str) -> int:
        return sum(self.phases[phase].values())


def estimate_memory(config: DictConfig, settings: Settings) -> MemoryEstimate:
    """Memory by phase and part, in bytes.

    Args:
        config: of a run, without the sections that :func:`verl_ext.settings.take_settings` removes.

    Raises:
        UnknownModelError: for a model whose architecture is not at hand.
        MemoryCheckError: for a configuration that this does not compute.
    """
    with tempfile.TemporaryDirectory() as scratch, redirect_stdout(io.StringIO()):
        # verl's engines print what they build, with the memory of this process.
        return _estimate(with_architectures(config, Path(scratch)), settings)


def _estimate(config: DictConfig, settings: Settings) -> MemoryEstimate:
    episode = longest_episode(config, settings.search)
    trainers = _Trainers(config, settings, episode)
    actor = trainers.run_actor()
    if need_reference_policy(config) and not actor.is_adapter:
        trainers.run_reference()
    if need_critic(config):
        trainers.run_critic()
    inference = inference_sizes(
        config,
        num_parameters=actor.num_parameters - (actor.num_trained if actor.is_adapter else 0),
        num_in_adapters=actor.num_trained if actor.is_adapter else 0,
        episode=episode,
        gpu_gib=settings.run.gpu_gib,
    )
    return MemoryEstimate(
        phases=_phases(config, trainers, inference),
        num_parameters=actor.num_parameters,
        num_trained=actor.num_trained,
        episode=episode,
        packs=trainers.packs,
        num_cached_tokens=inference.num_cached_tokens,
        problem=inference.problem,
    )


@dataclass(frozen=True)
class _Actor:
    num_parameters: int
    num_trained: int
    is_adapter: bool


class _Trainers:
    """Runs the engines of the trainer one after another, and keeps what each holds."""

    def __init__(self, config: DictConfig, settings: Settings, episode: EpisodeSizes) -> None:
        self._config, self._settings = config, settings
        self._episode = episode
        self._is_cuda = config.trainer.device == "cuda"
        self.working: dict[str, tuple[str, Parts]] = {}
        """Role and parts by phase."""
        self.idle: dict[str, Parts] = {}
        """Parts by role, after an update."""
        self.actor_after_inference: Parts = {}
        self.packs: dict[str, int] = {}

    def run_actor(self) -> _Actor:
        config = self._config
        with self._sizes(actor_engine, actor_passes(config, self._episode)) as sizes:
            self.working[UPDATE] = (ACTOR, sizes.update())
            self.packs[UPDATE] = update_pack(sizes.training, sizes.passes).num_tokens
            self.working[SYNC] = (ACTOR, sync_sizes(config, sizes, is_cuda=self._is_cuda))
            self.idle[ACTOR] = sizes.idle()
            passes = {}
            if _computes_log_probs(config, self._settings):
                passes[LOG_PROBS] = {"calculate_entropy": True}
            if need_reference_policy(config) and sizes.training.is_adapter:
                passes[REFERENCE] = {"without_adapter": True}
            for phase, how in passes.items():
                self.working[phase] = (ACTOR, sizes.inference(**how))
                self.packs[phase] = inference_pack(sizes.training, sizes.passes).num_tokens
            self.actor_after_inference = sizes.idle()
            return _Actor(*sizes.num_parameters(), is_adapter=sizes.training.is_adapter)

    def run_reference(self) -> None:
        with self._sizes(reference_engine, actor_passes(self._config, self._episode)) as sizes:
            self.working[REFERENCE] = (REFERENCE, sizes.inference())
            self.idle[REFERENCE] = sizes.idle()
            self.packs[REFERENCE] = inference_pack(sizes.training, sizes.passes).num_tokens

    def run_critic(self) -> None:
        with self._sizes(critic_engine, critic_passes(self._config, self._episode)) as sizes:
            update = sizes.update()
            self.idle[CRITIC] = sizes.idle()
            values = sizes.inference()
            self.working[CRITIC] = (CRITIC, max((update, values), key=lambda parts: sum(parts.values())))
            self.packs[CRITIC] = update_pack(sizes.training, sizes.passes).num_tokens

    def at_work(self, phase: str) -> dict[str, int]:
        """What the trainer's engines hold in a phase: one works, the others are idle."""
        role, parts = self.working.get(phase, ("", {}))
        idle = dict(self.idle)
        if phase in (REFERENCE, CRITIC):
            # FSDP leaves the root's gathered weights where a pass without gradients was the last.
            idle[ACTOR] = self.actor_after_inference
        held = {role: parts} | {other: held for other, held in idle.items() if other != role}
        return {
            part if part in SHARED else f"{name} {part}": size
            for name, of in held.items()
            for part, size in of.items()
            if size
        }

    @contextmanager
    def _sizes(self, build: Callable[[DictConfig], TrainingEngine], passes: Passes) -> Iterator[EngineSizes]:
        with fake_ranks(num_ranks(self._config)), SizeTracker() as tracker, without_weights():
            yield EngineSizes(tracker, build(self._config), passes, is_cuda=self._is_cuda)


def num_ranks(config: DictConfig) -> int:
    return int(config.trainer.n_gpus_per_node * config.trainer.nnodes)


def actor_passes(config: DictConfig, episode: EpisodeSizes) -> Passes:
    """How one rank's actor is called: verl deals episodes out evenly."""
    group = config.actor_rollout_ref
    return _passes(
        config,
        episode,
        group.actor.ppo_mini_batch_size,
        calculates_entropy=bool(group.actor.calculate_entropy or group.actor.entropy_coeff),
    )


def critic_passes(config: DictConfig, episode: EpisodeSizes) -> Passes:
    """How one rank's critic is called."""
    return _passes(config, episode, config.critic.ppo_mini_batch_size, calculates_entropy=False)


def _passes(
    config: DictConfig, episode: EpisodeSizes, mini_batch_size: int, *, calculates_entropy: bool
) -> Passes:
    rollout, ranks = config.actor_rollout_ref.rollout, num_ranks(config)
    return Passes(
        episode=episode,
        num_episodes=max(1, config.data.train_batch_size * rollout.n // ranks),
        num_in_mini_batch=max(1, mini_batch_size * rollout.n // ranks),
        temperature=float(rollout.temperature),
        calculates_entropy_in_update=calculates_entropy,
    )


def _computes_log_probs(config: DictConfig, settings: Settings) -> bool:
    """Whether the actor's own are ever computed: not in bypass mode, unless to look at them."""
    correction = config.algorithm.get("rollout_correction") or {}
    return not correction.get("bypass_mode") or settings.run.actor_check_freq > 0


def _phases(config: DictConfig, trainers: _Trainers, inference: InferenceSizes) -> dict[str, dict[str, int]]:
    """Every phase in the order of a step, with what lies beside the trainer's engines."""
    is_cuda = config.trainer.device == "cuda"
    engine = {ROLLOUT: inference.awake, SYNC: inference.while_weights_arrive}
    phases = {}
    for phase in (ROLLOUT, LOG_PROBS, REFERENCE, CRITIC, UPDATE, SYNC):
        if phase != ROLLOUT and phase not in trainers.working:
            continue
        held = trainers.at_work(phase)
        if is_cuda:
            held[FRAGMENTS] = round(FRAGMENTATION * sum(held.values()))
            held[CONTEXTS] = round(2 * CUDA_CONTEXT_GIB * GIB)
        else:
            num_engines = num_ranks(config) // config.actor_rollout_ref.rollout.tensor_model_parallel_size
            held = {part: num_ranks(config) * size for part, size in held.items()}
            held[PROCESSES] = round(CPU_PROCESSES_GIB * GIB)
        copies = 1 if is_cuda else num_engines
        beside = engine.get(phase, inference.while_training)
        phases[phase] = held | {part: copies * size for part, size in beside.items() if size}
    return phases
