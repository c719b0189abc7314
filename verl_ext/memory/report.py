"""The memory of every phase as a table, and the refusal of a configuration that a device would not hold."""

from __future__ import annotations

from collections.abc import Mapping

from omegaconf import DictConfig

from verl_ext.memory.errors import DoesNotFitError
from verl_ext.memory.estimate import CRITIC, LOG_PROBS, REFERENCE, ROLLOUT, SYNC, UPDATE, MemoryEstimate
from verl_ext.memory.inference import GIB
from verl_ext.memory.sync import BUCKET, BUCKET_KEY
from verl_ext.settings import SearchSettings

SHOWN_BYTES = GIB // 200  # what would be printed as .00 is left out
# Which engine works in a phase, and where it takes an optimizer's step.
WORKING = {
    ROLLOUT: "engine",
    LOG_PROBS: "actor",
    REFERENCE: "reference",
    CRITIC: "critic",
    UPDATE: "actor",
    SYNC: "actor",
}
UPDATES = (("actor", UPDATE), ("critic", CRITIC))
OWNERS = ("actor", "reference", "critic", BUCKET, "engine")
PARTS = ("weights", "gathered weights", "weights in flight", "gradients", "optimizer", "activations")
PART_WIDTH, PHASE_WIDTH = 34, 10


def format_memory(estimate: MemoryEstimate, config: DictConfig, search: SearchSettings) -> str:
    """A table of phases and parts, and what they were computed for."""
    phases = estimate.phases
    device = "one device" if config.trainer.device == "cuda" else "all processes"
    parts = [
        part
        for part in sorted({part for held in phases.values() for part in held}, key=_place)
        if any(held.get(part, 0) >= SHOWN_BYTES for held in phases.values())
    ]
    packs = ", ".join(f"{phase} {tokens:,}" for phase, tokens in estimate.packs.items())
    return "\n".join(
        [
            f"memory of {device} by phase, GiB (computed: verl's engines run without weights; "
            f"{estimate.num_parameters:,} parameters, {estimate.num_trained:,} trained)",
            _row("", phases),
            *(_row(part, {name: _gib(held.get(part, 0)) for name, held in phases.items()}) for part in parts),
            _row("total", {phase: f"{estimate.total(phase) / GIB:.2f}" for phase in phases}),
            f"largest packs, tokens: {packs}; the engine's cache holds {estimate.num_cached_tokens:,} tokens",
            f"episodes: at most {search.max_turns} turns in {estimate.episode.whole} tokens, of them "
            f"{estimate.episode.sampled} sampled; {config.data.train_batch_size} questions x "
            f"{config.actor_rollout_ref.rollout.n} rollouts",
        ]
    )


def _place(part: str) -> tuple[int, int]:
    """By engine, then by part."""
    owner, _, what = part.partition(" ")
    return (
        OWNERS.index(owner) if owner in OWNERS else len(OWNERS),
        PARTS.index(what) if what in PARTS else len(PARTS),
    )


def _row(part: str, cells: Mapping[str, object]) -> str:
    shown = [str(cell) if part else str(phase) for phase, cell in cells.items()]
    return (part.ljust(PART_WIDTH) + "".join(cell.rjust(PHASE_WIDTH) for cell in shown)).rstrip()


def _gib(size: int) -> str:
    return f"{size / GIB:.2f}" if size else "-"


def check_fits(estimate: MemoryEstimate, config: DictConfig, gpu_gib: float | None) -> None:
    """Refuse what a device of ``gpu_gib`` would not hold.

    Raises:
        DoesNotFitError: naming the phase that needs most, its largest part and the key to lower.
    """
    if gpu_gib is None:
        return
    if estimate.problem is not None:
        raise DoesNotFitError(f"phase {ROLLOUT}: {estimate.problem}")
    phase = max(estimate.phases, key=estimate.total)
    if estimate.total(phase) <= gpu_gib * GIB:
        return
    part, size = max(estimate.phases[phase].items(), key=lambda item: item[1])
    raise DoesNotFitError(
        f"phase {phase} needs {estimate.total(phase) / GIB:.2f} GiB of trainer.kg.gpu_gib={gpu_gib:g}; its "
        f"largest part is {part}, {size / GIB:.2f} GiB: {advice(part, phase, estimate, config)}"
    )


def advice(part: str, phase: str, estimate: MemoryEstimate, config: DictConfig) -> str:
    """Which key makes a part of a phase smaller."""
    role, _, what = part.partition(" ")
    settings = {
        "actor": "actor_rollout_ref.actor.fsdp_config",
        "reference": "actor_rollout_ref.ref.fsdp_config",
        "critic": "critic.fsdp",
    }.get(role)
    if part == BUCKET:
        return f"lower {BUCKET_KEY}"
    if role == "engine" or settings is None:
        return "lower actor_rollout_ref.rollout.gpu_memory_utilization"
    if what == "activations":
        if estimate.packs[phase] > estimate.episode.whole:
            return f"lower {pack_key(phase, config)}={estimate.packs[phase]}"
        return "lower data.max_response_length: the pack is one longest episode already"
    # An engine at work needs what it could leave on the host while others work.
    if what == "optimizer" and (role, phase) not in UPDATES:
        return f"set {settings}.optimizer_offload=true"
    if what in ("optimizer", "gradients"):
        return (
            f"train less of the model (LoRA: lora_rank), or name a smaller one in {role_key(role)}.model.path"
        )
    if role != WORKING[phase]:
        return f"set {settings}.param_offload=true"
    return f"name a smaller model in {role_key(role)}.model.path"


def role_key(role: str) -> str:
    """The section of a role's model."""
    return "critic" if role == "critic" else "actor_rollout_ref"


def pack_key(phase: str, config: DictConfig) -> str:
    """The key that bounds the pack of a phase."""
    group = config.actor_rollout_ref
    dynamic, fixed, is_dynamic = {
        UPDATE: (
            "actor.ppo_max_token_len_per_gpu",
            "actor.ppo_micro_batch_size_per_gpu",
            group.actor.use_dynamic_bsz,
        ),
        LOG_PROBS: (
            "rollout.log_prob_max_token_len_per_gpu",
            "rollout.log_prob_micro_batch_size_per_gpu",
            group.rollout.log_prob_use_dynamic_bsz,
        ),
        REFERENCE: (
            "ref.log_prob_max_token_len_per_gpu",
            "ref.log_prob_micro_batch_size_per_gpu",
            group.ref.log_prob_use_dynamic_bsz,
        ),
        CRITIC: ("critic.ppo_infer_max_token_len_per_gpu",) * 2 + (True,),
    }[phase]
    key = dynamic if is_dynamic else fixed
    return key if phase == CRITIC else f"actor_rollout_ref.{key}"
