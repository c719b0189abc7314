"""A run's configuration over files small enough to be made for every test."""

from __future__ import annotations

from copy import deepcopy
from functools import cache
from pathlib import Path

import pytest
from omegaconf import DictConfig, OmegaConf

from tests.verl_ext import tiny
from verl_ext.profiles import composed


@cache
def profile() -> DictConfig:
    """Composed once: Hydra takes most of a second for it."""
    return composed("cpu_135m", [])


class SmallRun:
    """A folder with eight training rows, four validation rows, and something that stands for a model."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.run = folder / "runs" / "first"
        self.train, self.val = tiny.write_rows(folder / "rows")
        self.model = folder / "model"
        self.model.mkdir()
        (self.model / "config.json").write_text("{}")

    def config(self, *overrides: str) -> DictConfig:
        places = [
            f"trainer.default_local_dir={self.run}/checkpoints",
            f"trainer.validation_data_dir={self.run}/validation",
            f"data.train_files={self.train}",
            f"data.val_files={self.val}",
            f"actor_rollout_ref.model.path={self.model}",
        ]
        config = deepcopy(profile())
        for override in (*places, *overrides):
            key, _, text = override.lstrip("+").partition("=")
            OmegaConf.update(config, key, OmegaConf.create(f"value: {text}").value, force_add=True)
        return config

    def save_checkpoint(self, step: int) -> Path:
        """What verl leaves of a checkpoint, as far as the launch looks at it."""
        folder = self.run / "checkpoints" / f"global_step_{step}"
        folder.mkdir(parents=True)
        (self.run / "checkpoints" / "latest_checkpointed_iteration.txt").write_text(str(step))
        return folder


@pytest.fixture
def small_run(tmp_path: Path) -> SmallRun:
    return SmallRun(tmp_path)
