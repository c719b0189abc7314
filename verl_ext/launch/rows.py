"""How many steps the training rows are good for."""

from __future__ import annotations

import math
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from kg_r1.data.rows import count_questions
from verl_ext.launch.errors import LaunchError
from verl_ext.launch.paths import files_at


def count_training_rows(config: DictConfig) -> int:
    """Rows of ``data.train_files`` as verl will have them, read from the files' own footers.

    With a filter, or a data set class of the user's, verl's data set is built to count it: what it keeps is
    then known to nobody else.

    Raises:
        kg_r1.search.errors.KGError: for a file that is no parquet file.
    """
    data = config.data
    if data.filter_overlong_prompts or OmegaConf.select(data, "custom_cls.path"):
        return _count_with_verl(config)
    num_rows = sum(count_questions(Path(name)) for name in files_at(config, "data.train_files"))
    most = data.get("train_max_samples", -1)
    return min(num_rows, most) if most > 0 else num_rows


def _count_with_verl(config: DictConfig) -> int:
    from verl.trainer.ppo.utils import create_rl_dataset
    from verl.utils import hf_tokenizer

    tokenizer = hf_tokenizer(config.actor_rollout_ref.model.path)
    most = config.data.get("train_max_samples", -1)
    return len(create_rl_dataset(config.data.train_files, config.data, tokenizer, None, max_samples=most))


def count_steps(config: DictConfig) -> int:
    """The step that will be the last one, which verl validates and saves after.

    verl ends at ``trainer.total_training_steps`` or after ``trainer.total_epochs``, whichever comes first,
    and only the former counts as a last step (verl/trainer/ppo/v1/trainer_base.py, ``fit``): a run that its
    epochs end would leave neither a last validation nor a checkpoint.

    Raises:
        kg_r1.search.errors.KGError: as :func:`count_training_rows`.
        LaunchError: when the epochs would end it, or an epoch holds not even one batch.
    """
    trainer, batch_size = config.trainer, config.data.train_batch_size
    num_rows = count_training_rows(config)
    steps_per_epoch = num_rows // batch_size  # as verl counts; the rest of an epoch is left out
    if steps_per_epoch == 0:
        raise LaunchError(
            f"data.train_batch_size={batch_size} and data.train_files has {num_rows} rows: lower it, or give "
            "more questions"
        )
    num_steps = trainer.total_training_steps
    if num_steps is None:
        return int(steps_per_epoch * trainer.total_epochs)
    if steps_per_epoch * trainer.total_epochs < num_steps:
        raise LaunchError(
            f"the epochs end after step {steps_per_epoch * trainer.total_epochs}, before "
            f"trainer.total_training_steps={num_steps} ({num_rows} rows, data.train_batch_size={batch_size}, "
            f"trainer.total_epochs={trainer.total_epochs}): set trainer.total_epochs="
            f"{math.ceil(num_steps / steps_per_epoch)}, or fewer steps"
        )
    return int(num_steps)
