"""Whether a run starts, goes on or is finished; a folder is never gone on with by another run."""

from __future__ import annotations

import fcntl
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from omegaconf import DictConfig

from verl_ext.launch.errors import LaunchError
from verl_ext.launch.paths import RUN_RECORD, run_folder
from verl_ext.launch.record import RunRecord, differences, listed_differences, read_record

logger = logging.getLogger(__name__)

MODES = ("auto", "disable", "resume_path")
STEP_FOLDER = "global_step_"
# verl/utils/checkpoint/checkpoint_manager.py, get_checkpoint_tracker_filename
TRACKER = "latest_checkpointed_iteration.txt"
LOCK = ".lock"


@dataclass(frozen=True)
class Start:
    """Where a run begins."""

    step: int
    """The step of the checkpoint that it goes on from; 0 for none."""
    num_steps: int
    """``trainer.total_training_steps``, or what the epochs come to."""
    is_new: bool
    """Whether what an earlier run left in the folder belongs to another run, or is to be left behind."""

    @property
    def is_finished(self) -> bool:
        return 0 < self.num_steps <= self.step


def plan_start(config: DictConfig, record: RunRecord, num_steps: int) -> Start:
    """Decide by ``trainer.resume_mode`` and by what lies in the run's folder.

    Raises:
        LaunchError: when the folder holds another run's checkpoints, or a named checkpoint is absent.
    """
    mode = config.trainer.resume_mode
    if mode not in MODES:
        raise LaunchError(f"trainer.resume_mode={mode} is none of {', '.join(MODES)}")
    folder, checkpoints = run_folder(config), Path(config.trainer.default_local_dir)
    if mode == "disable":
        return Start(0, num_steps, is_new=True)
    if mode == "resume_path":
        latest = step_of(config.trainer.resume_from_path)
        _tell_of_another_source(Path(config.trainer.resume_from_path).parent.parent, record)
    else:
        latest = latest_step(checkpoints)
    old = read_record(folder)
    changed = differences(old, record) if old is not None else []
    if latest == 0:
        return Start(0, num_steps, is_new=bool(changed))
    if changed:
        raise LaunchError(
            f"{folder} holds a run with another configuration: {listed_differences(changed)}. Name this run "
            "otherwise (trainer.experiment_name=...), or begin anew and leave that one behind "
            "(trainer.resume_mode=disable)"
        )
    if old is None and mode == "auto":
        logger.warning(
            "%s has checkpoints and no %s: going on from step %d without knowing what that run was asked for",
            folder,
            RUN_RECORD,
            latest,
        )
    return Start(latest, num_steps, is_new=False)


def _tell_of_another_source(folder: Path, record: RunRecord) -> None:
    """Say how the run whose checkpoint was named differs: it was named on purpose, so nothing is refused."""
    source = read_record(folder)
    if source is not None and (changed := differences(source, record)):
        logger.warning(
            "the checkpoint is of a run that was asked for otherwise: %s", listed_differences(changed)
        )


def latest_step(checkpoints: Path) -> int:
    """The step of the last whole checkpoint in a folder; 0 where there is none.

    Raises:
        LaunchError: when its folder is gone: verl would begin anew without a word.
    """
    tracker = checkpoints / TRACKER
    if not tracker.is_file():
        return 0
    step = tracker.read_text(encoding="utf-8").strip()
    if not step.isdecimal() or not (checkpoints / f"{STEP_FOLDER}{step}").is_dir():
        raise LaunchError(
            f"{tracker} names step {step!r} and {checkpoints} has no {STEP_FOLDER}{step}: write the step of "
            "a checkpoint that is there into it, or begin anew (trainer.resume_mode=disable)"
        )
    return int(step)


def step_of(path: str | None) -> int:
    """The step of the checkpoint that ``trainer.resume_from_path`` names.

    Raises:
        LaunchError: when it names none.
    """
    folder = Path(path or "")
    number = folder.name.removeprefix(STEP_FOLDER)
    if not folder.name.startswith(STEP_FOLDER) or not number.isdecimal() or not folder.is_dir():
        raise LaunchError(
            f"trainer.resume_from_path={path} is no folder {STEP_FOLDER}<n> of a run's checkpoints, and "
            "trainer.resume_mode=resume_path needs one"
        )
    return int(number)


def leave_behind(config: DictConfig) -> None:
    """Move what an earlier run left in the folder into ``previous-<n>`` there, so that two runs never mix."""
    folder = run_folder(config)
    trainer = config.trainer
    named = [trainer.default_local_dir, trainer.validation_data_dir, trainer.rollout_data_dir]
    entries = [Path(name) for name in named if name and Path(name).parent == folder]
    entries += [folder / name for name in (RUN_RECORD, "tensorboard", "wandb")]
    entries += sorted(folder.glob("metrics*.jsonl"))
    there = [entry for entry in entries if entry.exists()]
    if not there:
        return
    number = 1
    while (folder / f"previous-{number}").exists():
        number += 1
    previous = folder / f"previous-{number}"
    previous.mkdir()
    for entry in there:
        entry.rename(previous / entry.name)
    logger.warning("what an earlier run left in %s is now in %s", folder, previous)


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Keep the run's folder for this process alone; the kernel gives it free however the process ends.

    Raises:
        LaunchError: while another process holds it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOCK).open("a+", encoding="ascii") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            lock.seek(0)
            raise LaunchError(
                f"{folder} is in use by process {lock.read().strip() or '?'}: wait for it, or name this run "
                "otherwise (trainer.experiment_name=...)"
            ) from error
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield
