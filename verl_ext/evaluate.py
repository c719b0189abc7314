"""`kg-r1 eval` for a profile: ``python -m verl_ext.evaluate --config-name NAME --model MODEL --out FOLDER``.

Actions, form, prompt style and limits are those of the configuration that trained the model, and the
questions its validation files unless ``--questions`` names others. Further options are those of
``kg-r1 eval``; arguments of the form key=value are overrides, as for ``verl_ext.main_ppo``.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from omegaconf import DictConfig

from verl_ext.profiles import composed, episode_limits, files_of
from verl_ext.settings import SettingsError


def eval_arguments(config: DictConfig, own: Sequence[str]) -> list[str]:
    """The arguments of ``kg-r1 eval`` that say what a profile says, with ``own`` after them.

    Raises:
        SettingsError: for a key or value that cannot be used.
    """
    limits, search = episode_limits(config, validate=True)
    arguments = {
        "--max-turns": limits.max_turns,
        "--max-start-length": limits.max_start_length,
        "--max-response-length": limits.max_response_length,
        "--max-obs-length": limits.max_obs_length,
        "--max-episode-tokens": limits.max_episode_tokens,
        "--prompt-style": limits.prompt_style,
        "--entity-form": limits.entity_form,
        "--query-form": limits.query_form,
    }
    given = [text for name, value in arguments.items() for text in (name, str(value))]
    if limits.actions is not None:
        given += ["--actions", *limits.actions]
    if limits.no_think_rl:
        given.append("--no-think")
    if limits.begin_with_think:
        given.append("--begin-with-think")
    if limits.worked_episode is not None:
        given.append("--worked-episode" if limits.worked_episode else "--no-worked-episode")
    if not any(text.split("=")[0] in ("--questions", "--data") for text in own):
        given += ["--questions", *files_of(config.data.val_files)]
    named = {text.split("=")[0].replace("_", "-") for text in own}
    if not named & {"--base-data-path", "--search-url"}:
        folder = search.base_data_path
        given += ["--search-url", search.search_url] if folder is None else ["--base-data-path", folder]
    if search.api_key_file is not None:
        given += ["--api-key-file", search.api_key_file]
    return given + list(own)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status, 2 for a user's mistake, told in one line."""
    parser = argparse.ArgumentParser(
        prog="python -m verl_ext.evaluate",
        description="Evaluate with a profile's settings. Other options: kg-r1 eval --help.",
        allow_abbrev=False,
    )
    parser.add_argument("--config-name", default="cpu_135m", help="a profile of configs/")
    options, rest = parser.parse_known_args(arguments)
    overrides = [text for text in rest if "=" in text and not text.startswith("-")]
    own = [text for text in rest if text not in overrides]
    try:
        given = eval_arguments(composed(options.config_name, overrides), own)
    except SettingsError as error:
        sys.stderr.write(f"error [{error.code}]: {error}\n")
        return 2
    from kg_r1.eval.command import main as evaluate

    return evaluate(given)


if __name__ == "__main__":
    sys.exit(main())
