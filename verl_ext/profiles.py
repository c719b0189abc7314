"""A profile of ``configs/`` for commands that play episodes but do not train."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from omegaconf import DictConfig

from kg_r1.data.rows import read_questions
from kg_r1.llm_agent.config import GenerationConfig
from kg_r1.llm_agent.question import Question
from verl_ext.search_path import CONFIG_FOLDER
from verl_ext.settings import SearchSettings, SettingsError, take_settings


def profile_names() -> list[str]:
    """The profiles there are; the other files of the folder are KBLaM++'s, and no Hydra configurations."""
    files = sorted(CONFIG_FOLDER.glob("*.yaml"))
    return [file.stem for file in files if "\ndefaults:" in file.read_text(encoding="utf-8")]


def composed(config_name: str, overrides: Sequence[str]) -> DictConfig:
    """A profile with overrides.

    Raises:
        SettingsError: for a profile or a key that there is not.
    """
    import hydra
    from hydra.errors import HydraException

    try:
        with hydra.initialize_config_dir(str(CONFIG_FOLDER), version_base=None):
            return hydra.compose(config_name, overrides=list(overrides))
    except HydraException as error:
        raise SettingsError(" ".join(str(error).split())) from error


def episode_limits(config: DictConfig, *, validate: bool) -> tuple[GenerationConfig, SearchSettings]:
    """How the profile's episodes are played, and where they search. Takes our sections out of ``config``.

    Raises:
        SettingsError: for a key or value that cannot be used.
    """
    rollout = config.actor_rollout_ref.rollout
    prompt_length, response_length = rollout.prompt_length, rollout.response_length
    search = take_settings(config).search
    limits = search.generation_config(
        prompt_length=prompt_length, response_length=response_length, validate=validate
    )
    return limits, search


def files_of(files: str | Sequence[str]) -> list[str]:
    """verl's one file or several as a list."""
    return [files] if isinstance(files, str) else list(files)


def questions_of(files: str | Sequence[str]) -> list[Question]:
    """The questions of one parquet file or of several. Raises KGError for a file that is none."""
    return [question for name in files_of(files) for question in read_questions(Path(name))]
