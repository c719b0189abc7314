"""What a run was asked for, kept in its folder as ``run.json``, and how two runs differ.

Two configurations are of one run when they agree in every key but those of `MAY_DIFFER`. Files and models
are compared by what they hold: another path to the same rows is the same, the same path to other rows is not.
A key that follows from others (``${…}`` in a profile) is not named beside them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from kg_r1.data.files import sha256, write_text
from kg_r1.eval.command import model_digest
from kg_r1.search.errors import quoted
from verl_ext.launch.errors import LaunchError
from verl_ext.launch.paths import DATA_KEYS, MODEL_KEYS, RUN_RECORD, files_at
from verl_ext.settings import SEARCH_KEY

VERSION = 1
MAX_SHOWN = 6
# Keys that may change between two starts of one run, in the groups of docs/training.md.
MAY_DIFFER = (
    # Names, and where things are written.
    "trainer.project_name",
    "trainer.experiment_name",
    "trainer.logger",
    "trainer.log_val_generations",
    "trainer.default_local_dir",
    "trainer.default_hdfs_dir",
    "trainer.validation_data_dir",
    "trainer.rollout_data_dir",
    # How long it goes on, and how often it stops to validate and to save.
    "trainer.total_training_steps",
    "trainer.total_epochs",
    "trainer.save_freq",
    "trainer.test_freq",
    "trainer.val_before_train",
    "trainer.val_only",
    "trainer.resume_mode",
    "trainer.resume_from_path",
    "trainer.max_*_ckpt_to_keep",
    "trainer.del_local_ckpt_after_load",
    "trainer.esi_redundant_time",
    "trainer.kg.max_stage_s",
    "trainer.kg.max_sync_s",
    "trainer.kg.actor_check_freq",
    "trainer.kg.gpu_gib",
    # Where the graph answers, and how long it is waited for.
    f"{SEARCH_KEY}.search_url",
    f"{SEARCH_KEY}.base_data_path",
    f"{SEARCH_KEY}.api_key_file",
    f"{SEARCH_KEY}.timeout_s",
    f"{SEARCH_KEY}.max_retries",
    # Ray, and what is measured.
    "ray_kwargs.*",
    "transfer_queue.*",
    "global_profiler.*",
    "*.profiler.*",
    "*.prometheus.*",
    "trainer.ray_wait_register_center_timeout",
    # Memory and speed: the same numbers but for rounding, and what is changed after a run got too large.
    "*_micro_batch_size_per_gpu",
    "*_max_token_len_per_gpu",
    "*.param_offload",
    "*.optimizer_offload",
    "*.reshard_after_forward",
    "*.enable_gradient_checkpointing",
    "*.enable_activation_offload",
    "*.use_torch_compile",
    "*.attn_implementation",
    "actor_rollout_ref.rollout.max_num_seqs",
    "actor_rollout_ref.rollout.max_num_batched_tokens",
    "actor_rollout_ref.rollout.gpu_memory_utilization",
    "actor_rollout_ref.rollout.enforce_eager",
    "actor_rollout_ref.rollout.free_cache_engine",
    "actor_rollout_ref.rollout.enable_sleep_mode",
    "actor_rollout_ref.rollout.layered_summon",
    "actor_rollout_ref.rollout.engine_kwargs.*",
    "actor_rollout_ref.rollout.checkpoint_engine.*",
    "actor_rollout_ref.rollout.agent.num_workers",
    "data.dataloader_num_workers",
)


@dataclass(frozen=True)
class RunRecord:
    """A configuration with what its files hold."""

    config: dict[str, Any]
    """With every ``${…}`` worked out."""
    as_written: dict[str, Any]
    """With ``${…}`` as it stands in the profile."""
    contents: dict[str, list[str]]
    """SHA-256 of what each key of files or of a model folder names; hub names have none."""
    version: int = VERSION


@dataclass(frozen=True)
class Difference:
    """One key in which two runs differ, with both values as a message shows them."""

    key: str
    old: str
    new: str

    def __str__(self) -> str:
        return f"{self.key} ({self.old} -> {self.new})"


def record_of(config: DictConfig) -> RunRecord:
    """The record of a run about to start; its data files must exist, and our sections be in ``config``."""
    contents = {key: [sha256(Path(name)) for name in files_at(config, key)] for key in DATA_KEYS}
    digests: dict[str, str | None] = {}
    for key in MODEL_KEYS:
        name = OmegaConf.select(config, key)
        if not isinstance(name, str):
            continue
        if name not in digests:
            digests[name] = model_digest(Path(name))
        if digest := digests[name]:
            contents[key] = [digest]
    resolved: Any = OmegaConf.to_container(config, resolve=True)
    as_written: Any = OmegaConf.to_container(config, resolve=False)
    return RunRecord(resolved, as_written, contents)


def write_record(record: RunRecord, folder: Path) -> None:
    """Write ``run.json`` into the run's folder, whole or not at all."""
    write_text(folder / RUN_RECORD, json.dumps(asdict(record), indent=1, ensure_ascii=False) + "\n")


def read_record(folder: Path) -> RunRecord | None:
    """The record that a run left in its folder; None where none is.

    Raises:
        LaunchError: for a file that is no record of this version.
    """
    path = folder / RUN_RECORD
    if not path.is_file():
        return None
    try:
        record = RunRecord(**json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError) as error:
        raise LaunchError(
            f"{path} is no record of a run ({error}): delete it, or name another run"
        ) from error
    if record.version != VERSION:
        raise LaunchError(f"{path} is of version {record.version}, not {VERSION}: name another run")
    return record


def differences(old: RunRecord, new: RunRecord) -> list[Difference]:
    """The keys that make ``new`` another run than ``old``, in order."""
    values = [dict(flat(record.config)) for record in (old, new)]
    written = [dict(flat(record.as_written)) for record in (old, new)]
    has_critic = any(_has_critic(found) for found in values)
    found = []
    for key in sorted(values[0] | values[1]):
        if may_differ(key) or (key.startswith("critic.") and not has_critic):
            continue
        contents = [record.contents.get(key) for record in (old, new)]
        if None not in contents:
            is_same = contents[0] == contents[1]
        else:
            before, after = (one.get(key, ABSENT) for one in written)
            follows = before == after and "${" in str(after) and "${oc.env" not in str(after)
            is_same = follows or values[0].get(key, ABSENT) == values[1].get(key, ABSENT)
        if not is_same:
            shown = [_shown(one.get(key, ABSENT), held) for one, held in zip(values, contents, strict=True)]
            found.append(Difference(key, *shown))
    return found


def may_differ(key: str) -> bool:
    """Whether two starts of one run may disagree in ``key``."""
    return any(fnmatchcase(key, pattern) for pattern in MAY_DIFFER)


def listed_differences(found: list[Difference]) -> str:
    """Some of the differences, and how many more there are."""
    more = f" and {len(found) - MAX_SHOWN} more" if len(found) > MAX_SHOWN else ""
    return ", ".join(str(one) for one in found[:MAX_SHOWN]) + more


class _Absent:
    """Stands for a key that a configuration has not."""

    def __repr__(self) -> str:
        return "absent"


ABSENT = _Absent()


def flat(section: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every value with its dotted key; an empty section counts as a value."""
    for name, value in section.items():
        if isinstance(value, Mapping) and value:
            yield from flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _has_critic(values: Mapping[str, Any]) -> bool:
    """As verl decides it (verl/trainer/ppo/utils.py, ``need_critic``)."""
    enabled = values.get("critic.enable")
    return bool(enabled) if enabled is not None else values.get("algorithm.adv_estimator") == "gae"


def _shown(value: Any, digests: list[str] | None) -> str:
    text = quoted(value) if isinstance(value, str) else str(value)
    return f"{text} sha256 {'+'.join(digest[:8] for digest in digests)}" if digests else text
