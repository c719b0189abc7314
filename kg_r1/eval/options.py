"""The options of `kg-r1 eval`, and the settings that they amount to."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, get_args

from kg_r1.eval.systems import BASELINES
from kg_r1.llm_agent.generation import GenerationConfig
from kg_r1.llm_agent.policies_vllm import EngineConfig
from kg_r1.llm_agent.prompts import PromptStyle
from kg_r1.llm_agent.turn_form import QUERY_FORMS
from kg_r1.search.actions import ACTION_REGISTRY
from kg_r1.search.optional_actions import enable
from kg_r1.search.specs import EntityForm

ACTIONS_HELP = "the actions on offer, optional ones included (default: all registered ones)"
SAMPLING_TEMPERATURE = 0.7  # where there are several samples and no temperature is named


def parser() -> argparse.ArgumentParser:
    """The options. Long ones may be written with `-` or with `_`."""
    made = argparse.ArgumentParser(
        prog="kg-r1 eval",
        description="Play a model and baselines over questions, score them, and write what was played and "
        "what it amounts to into a folder. The same command again goes on where it was interrupted.",
    )
    _add(made, "--model", required=True, help="a model folder or hub name")
    _add(
        made, "--questions", "--data", required=True, nargs="+", metavar="FILE", help="parquet question files"
    )
    _add(made, "--out", required=True, metavar="DIR", help="the folder of the results")
    graph = made.add_argument_group("the graph (name one; with both, searches go to the server)")
    _add(graph, "--base-data-path", metavar="DIR", help="the folder of the KGs, searched in this process")
    _add(graph, "--search-url", metavar="URL", help="the address of a running KG server")
    _add(graph, "--api-key-file", type=Path, metavar="FILE", help="the key of a server that asks for one")
    what = made.add_argument_group("what is played")
    _add(
        what,
        "--baselines",
        nargs="+",
        choices=(*BASELINES, "none"),
        help="beside the model (default: all that apply)",
    )
    _add(what, "--n-samples", type=int, default=1, help="episodes per question (default 1)")
    _add(what, "--max-questions", type=int, help="the first so many after a seeded shuffle (default: all)")
    _add(what, "--seed", type=int, default=0, help="of sampling, shuffling and walks (default 0)")
    _add(
        what,
        "--temperature",
        type=float,
        help=f"0 is greedy (default: 0, or {SAMPLING_TEMPERATURE} with several samples)",
    )
    _add(what, "--num-facts", type=int, default=20, help="triples that the bm25 baseline shows (default 20)")
    _add_episode(made)
    engine = made.add_argument_group("the engine")
    _add(engine, "--engine", choices=("vllm", "hf"), help="default: vllm where it is installed, else hf")
    _add(engine, "--max-concurrency", type=int, default=32, help="episodes under way at once (default 32)")
    _add(
        engine,
        "--gpu-memory-utilization",
        type=float,
        default=EngineConfig.gpu_memory_utilization,
        metavar="SHARE",
        help="share of a GPU's memory that vLLM takes (default %(default)s)",
    )
    _add(engine, "--max-model-len", type=int, help="tokens of vLLM's longest context (default: as needed)")
    return made


def _add_episode(made: argparse.ArgumentParser) -> None:
    group = made.add_argument_group(
        "the episodes (docs/episodes.md); a trained model needs what it was trained with, which "
        "python -m verl_ext.evaluate --config-name PROFILE takes from its profile"
    )
    _add(group, "--max-turns", type=int, default=5, help="turns, the answer included (default 5)")
    _add(group, "--max-start-length", type=int, default=256, help="tokens of the prompt (default 256)")
    _add(group, "--max-response-length", type=int, default=96, help="tokens of one turn (default 96)")
    _add(group, "--max-obs-length", type=int, default=160, help="tokens of one observation (default 160)")
    _add(
        group,
        "--max-episode-tokens",
        type=int,
        default=512,
        help="tokens of all turns and observations (default 512)",
    )
    _add(group, "--no-think", action="store_true", help="play without thinking")
    _add(group, "--actions", nargs="+", metavar="NAME", help=ACTIONS_HELP)
    _add(group, "--prompt-style", choices=get_args(PromptStyle), default=GenerationConfig.prompt_style)
    _add(
        group,
        "--worked-episode",
        action=argparse.BooleanOptionalAction,
        help="show a worked episode in the prompt (default: with --prompt-style full)",
    )
    _add(group, "--begin-with-think", action="store_true", help="begin every turn with a think tag")
    _add(
        group,
        "--query-form",
        choices=QUERY_FORMS,
        default=GenerationConfig.query_form,
        help="searches between tags, or as tool calls of the chat template (default %(default)s)",
    )
    _add(
        group,
        "--entity-form",
        choices=get_args(EntityForm),
        default=GenerationConfig.entity_form,
        help="what queries may write for entities (default %(default)s)",
    )


def _add(to: Any, *names: str, **settings: Any) -> None:
    """An option under each name, spelt with hyphens and with underscores."""
    spelt = [kind for name in names for kind in (name, "--" + name[2:].replace("-", "_"))]
    to.add_argument(*dict.fromkeys(spelt), dest=names[0][2:].replace("-", "_"), **settings)


def generation_config(options: argparse.Namespace) -> GenerationConfig:
    """The limits of a searching episode. Raises ValueError for limits that cannot work."""
    return GenerationConfig(
        max_turns=options.max_turns,
        max_start_length=options.max_start_length,
        max_prompt_length=options.max_start_length + options.max_episode_tokens,
        max_response_length=options.max_response_length,
        max_obs_length=options.max_obs_length,
        max_episode_tokens=options.max_episode_tokens,
        no_think_rl=options.no_think,
        prompt_style=options.prompt_style,
        worked_episode=options.worked_episode,
        begin_with_think=options.begin_with_think,
        query_form=options.query_form,
        actions=None if options.actions is None else tuple(options.actions),
        entity_form=options.entity_form,
    )


def check(options: argparse.Namespace) -> None:
    """Fills in the temperature and enables the optional actions that are named.

    Raises ValueError for options that make no sense alone or together, UnknownAction for an action that
    there is not.
    """
    enable(ACTION_REGISTRY, options.actions or ())
    if options.base_data_path is None and options.search_url is None:
        raise ValueError("name a graph: --base_data_path DIR or --search_url URL")
    for name in ("n_samples", "max_concurrency", "num_facts"):
        if getattr(options, name) < 1:
            raise ValueError(f"--{name.replace('_', '-')} must be at least 1, not {getattr(options, name)}")
    if options.max_questions is not None and options.max_questions < 1:
        raise ValueError(f"--max-questions must be at least 1, not {options.max_questions}")
    if not 0 < options.gpu_memory_utilization <= 1:
        raise ValueError(
            f"--gpu-memory-utilization is a share between 0 and 1, not {options.gpu_memory_utilization}"
        )
    if options.temperature is None:
        options.temperature = SAMPLING_TEMPERATURE if options.n_samples > 1 else 0.0
    if options.temperature < 0:
        raise ValueError(f"--temperature must not be negative, but is {options.temperature}")
    if options.temperature == 0 and options.n_samples > 1:
        raise ValueError("--temperature 0 gives the same sample every time: use --n-samples 1")
    if options.baselines and "none" in options.baselines and len(options.baselines) > 1:
        raise ValueError("--baselines none stands alone")


def max_context(options: argparse.Namespace) -> int:
    """Tokens of the longest context that any system can reach."""
    return int(options.max_start_length + options.max_episode_tokens)


def max_fact_tokens(options: argparse.Namespace) -> int:
    """Tokens that facts in the prompt may take: what an episode has besides its answer's turn, so that
    a baseline with facts fills the same context as one that searches."""
    return max(1, int(options.max_episode_tokens - options.max_response_length))
