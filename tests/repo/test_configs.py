"""Every profile composes, and what a user may mistype is refused."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf

import verl_ext.search_path  # noqa: F401
from kblampp.config import load_config
from verl_ext.settings import SettingsError, take_settings

ROOT = Path(__file__).resolve().parents[2]
CONFIGS = ROOT / "configs"
# The trainer's profiles are laid over its defaults by Hydra; the other files are KBLaM++'s.
PROFILES, INJECTION = [
    sorted(path.stem for path in CONFIGS.glob("*.yaml") if ("\ndefaults:" in path.read_text()) == is_profile)
    for is_profile in (True, False)
]
BACKBONES = [name for name in INJECTION if name.startswith("backbone_")]


def load(name: str, *overrides: str) -> DictConfig:
    with initialize_config_dir(str(CONFIGS), version_base=None):
        return compose(name, overrides=list(overrides))


def documented_commands() -> list[list[str]]:
    """The arguments of every trainer command in the documents, comments left out."""
    commands = []
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]:
        for line in page.read_text(encoding="utf-8").replace("\\\n", " ").splitlines():
            if match := re.match(r"python -m verl_ext\.main_ppo (.*)", line):
                commands.append(shlex.split(match[1], comments=True))
    return commands


@pytest.mark.parametrize("arguments", documented_commands(), ids=" ".join)
def test_a_documented_command_composes(arguments: list[str]) -> None:
    option, name, *overrides = arguments
    assert option == "--config-name"
    take_settings(load(name, *overrides))


@pytest.mark.parametrize("name", PROFILES)
def test_a_profile_composes_and_leaves_verl_its_own_keys(name: str) -> None:
    config = load(name)
    settings = take_settings(config)
    assert settings.search.enable
    assert OmegaConf.select(config, "actor_rollout_ref.rollout.search") is None
    assert OmegaConf.select(config, "reward.kg") is None


@pytest.mark.parametrize("backbone", [None, *BACKBONES])
@pytest.mark.parametrize("name", [name for name in INJECTION if name not in BACKBONES])
def test_an_injection_config_is_valid_with_every_backbone(name: str, backbone: str | None) -> None:
    names = [name] if backbone is None else [name, backbone]
    config = load_config([CONFIGS / f"{name}.yaml" for name in names])
    assert config.store.path == f"store/{name}"
    assert config.encoder.named.kind == "encoder"


@pytest.mark.parametrize("name", PROFILES)
def test_verl_accepts_a_profile(name: str) -> None:
    from verl.utils.config import omega_conf_to_dataclass

    config = load(name)
    take_settings(config)
    rollout = omega_conf_to_dataclass(config.actor_rollout_ref.rollout)
    assert rollout.name == "vllm"
    assert not rollout.skip_tokenizer_init


def test_the_published_overrides_work_as_written() -> None:
    config = load(
        "cpu_135m",
        "actor_rollout_ref.rollout.search.enable=true",
        "actor_rollout_ref.rollout.search.enable_during_training=true",
        "actor_rollout_ref.rollout.search.enable_during_validation=false",
        "actor_rollout_ref.rollout.search.search_url=http://127.0.0.1:9000/retrieve",
        "actor_rollout_ref.rollout.search.max_turns=2",
        "actor_rollout_ref.rollout.search.topk=5",
    )
    search = take_settings(config).search
    assert (search.enable, search.max_turns, search.topk) == (True, 2, 5)
    assert search.search_url == "http://127.0.0.1:9000/retrieve"
    training = search.generation_config(prompt_length=100, response_length=200, validate=False)
    validation = search.generation_config(prompt_length=100, response_length=200, validate=True)
    assert (training.max_turns, validation.max_turns) == (2, 1)
    assert (training.max_prompt_length, training.max_episode_tokens) == (300, 200)


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("+actor_rollout_ref.rollout.search.max_turn=2", "did you mean 'max_turns'"),
        ("actor_rollout_ref.rollout.search.max_turns=two", "type int"),
        ("actor_rollout_ref.rollout.search.prompt_style=long", "'names', 'compact', 'full'"),
        ("actor_rollout_ref.rollout.search.query_form=json", "'tags', 'tools'"),
        ("actor_rollout_ref.rollout.search.worked_episode=1", "type bool"),
        ("actor_rollout_ref.rollout.search.actions=get_relations", "list of names"),
        ("+reward.kg.w_anwser=1.0", "did you mean 'w_answer'"),
        ("reward.kg.w_answer=true", "type float"),
    ],
)
def test_a_mistake_in_our_sections_is_refused_with_what_exists(override: str, words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        take_settings(load("cpu_135m", override))
