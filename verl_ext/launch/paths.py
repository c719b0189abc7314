"""Where a run lies, and paths that mean the same on every node.

Ray's workers do not start in the folder of the command: on a cluster that runs already they start where
``ray start`` was called. A relative path would be looked up there, and written there.
"""

from __future__ import annotations

from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from verl_ext.settings import SEARCH_KEY

RUN_RECORD = "run.json"
DATA_KEYS = ("data.train_files", "data.val_files")
MODEL_KEYS = tuple(
    f"{section}.{name}"
    for section in ("actor_rollout_ref.model", "critic.model")
    for name in ("path", "tokenizer_path", "hf_config_path", "lora_adapter_path")
)
OTHER_PATH_KEYS = (
    "trainer.default_local_dir",
    "trainer.validation_data_dir",
    "trainer.rollout_data_dir",
    "trainer.resume_from_path",
    f"{SEARCH_KEY}.base_data_path",
    f"{SEARCH_KEY}.api_key_file",
)


def run_folder(config: DictConfig) -> Path:
    """Where everything of this run is written."""
    return Path(config.trainer.default_local_dir).parent


def files_at(config: DictConfig, key: str) -> list[str]:
    """verl's one file or several as a list."""
    files = OmegaConf.select(config, key)
    return [files] if isinstance(files, str) else list(files)


def make_paths_absolute(config: DictConfig) -> None:
    """Name every file and folder of ``config`` by its full path; what is not on this machine stays."""
    for key in DATA_KEYS:
        paths = [_absolute(name) for name in files_at(config, key)]
        OmegaConf.update(config, key, paths[0] if len(paths) == 1 else paths)
    for key in (*MODEL_KEYS, *OTHER_PATH_KEYS):
        name = OmegaConf.select(config, key)
        # A model that is no folder here is a name of the hub.
        if isinstance(name, str) and (key not in MODEL_KEYS or Path(name).is_dir()):
            OmegaConf.update(config, key, _absolute(name))


def _absolute(name: str) -> str:
    """Addresses (``hdfs://…``) stay as they are."""
    return name if "://" in name else str(Path(name).absolute())
