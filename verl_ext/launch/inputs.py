"""What a training reads: its files, its model, its graph, and whether the questions fit the prompt."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from kg_r1.data.rows import count_questions, read_questions
from kg_r1.llm_agent.config import GenerationConfig
from kg_r1.llm_agent.generation import LLMGenerationManager
from kg_r1.llm_agent.policies import ScriptedPolicy
from kg_r1.llm_agent.question import Question
from verl_ext.graph_check import check_graph
from verl_ext.launch.errors import LaunchError
from verl_ext.launch.paths import DATA_KEYS, files_at
from verl_ext.settings import Settings, SettingsError, offered_actions

logger = logging.getLogger(__name__)

MAX_COUNTED_PROMPTS = 2000


def check_files(config: DictConfig) -> None:
    """Refuse data files and a model folder that do not exist.

    Raises:
        LaunchError: naming the first.
    """
    for key in DATA_KEYS:
        for name in files_at(config, key):
            if not Path(name).is_file():
                raise LaunchError(
                    f"{key}={name} does not exist: build it with `python -m kg_r1.data.build world "
                    "--out data_kg`"
                )
    model = str(config.actor_rollout_ref.model.path)
    if model.startswith(("/", "./", "../", "models/", "runs/")) and not Path(model).is_dir():
        raise LaunchError(
            f"actor_rollout_ref.model.path={model} does not exist: fetch one with `python -m "
            "verl_ext.fetch_model`, or name a model of the hub"
        )


def check_inputs(config: DictConfig, settings: Settings) -> None:
    """Refuse, before Ray starts, what would otherwise fail minutes later.

    Raises:
        LaunchError: for a model without a tokenizer, and prompts none of which fits.
        SettingsError: for limits that do not work with the model's tokenizer.
        kg_r1.search.errors.KGError: for a file without questions, and a graph that lacks theirs.
    """
    check_graph(config, settings.search)
    check_prompts(config, settings)


def check_prompts(config: DictConfig, settings: Settings) -> None:
    """Count the tokens of the questions' prompts, as the episodes will make them.

    A question whose prompt is longer than ``data.max_prompt_length`` is never answered and teaches nothing.
    Of more than `MAX_COUNTED_PROMPTS` questions, that many are counted, evenly spread.

    Raises:
        LaunchError: for a tokenizer that cannot be loaded, and when no prompt fits.
        SettingsError, kg_r1.search.errors.KGError: as :func:`check_inputs`.
    """
    from kg_r1.llm_agent.policies_load import ModelNotLoaded, load_tokenizer

    try:
        tokenizer = load_tokenizer(str(config.actor_rollout_ref.model.path))
    except ModelNotLoaded as error:
        raise LaunchError(f"actor_rollout_ref.model.path: {error}") from error
    rollout = config.actor_rollout_ref.rollout
    for key in DATA_KEYS:
        limits = settings.search.generation_config(
            prompt_length=rollout.prompt_length,
            response_length=rollout.response_length,
            validate=key == "data.val_files",
        )
        files = files_at(config, key)
        lengths = prompt_lengths(spread_questions(files), tokenizer, limits, settings)
        num_rows = sum(count_questions(Path(name)) for name in files)
        _judge(key, lengths, num_rows, limits.max_start_length)


def prompt_lengths(
    questions: Sequence[Question], tokenizer: Any, limits: GenerationConfig, settings: Settings
) -> list[int]:
    """Tokens of each question's prompt, by the code that plays it.

    Raises:
        SettingsError: for limits that do not work with the tokenizer.
    """
    try:
        manager = LLMGenerationManager(
            limits, tokenizer, ScriptedPolicy(tokenizer, []), registry=offered_actions(settings.search)
        )
    except ValueError as error:
        raise SettingsError(f"actor_rollout_ref.rollout.search: {error}") from error
    return [len(manager.prompt_ids(question)) for question in questions]


def spread_questions(files: Sequence[str], most: int = MAX_COUNTED_PROMPTS) -> list[Question]:
    """All questions of the files, or `most` of them at even distances.

    Raises:
        kg_r1.search.errors.KGError: for a file without questions.
    """
    counts = [count_questions(Path(name)) for name in files]
    total = sum(counts)
    chosen = range(total) if total <= most else [place * total // most for place in range(most)]
    questions: list[Question] = []
    first = 0
    for name, count in zip(files, counts, strict=True):
        rows = [place - first for place in chosen if first <= place < first + count]
        questions += read_questions(Path(name), rows)
        first += count
    return questions


def _judge(key: str, lengths: Sequence[int], num_rows: int, limit: int) -> None:
    too_long = [length for length in lengths if length > limit]
    if not too_long:
        return
    counted = f"{num_rows} prompts"
    if len(lengths) < num_rows:
        counted = f"{len(lengths)} prompts counted (there are {num_rows})"
    told = (
        f"{key}: {len(too_long)} of {counted} are longer than "
        f"data.max_prompt_length={limit} tokens, the longest {max(lengths)}"
    )
    if len(too_long) == len(lengths):
        raise LaunchError(f"{told}: raise it, or shorten the prompt (search.prompt_style, search.actions)")
    logger.warning("%s: such a question is not answered, and teaches nothing", told)
