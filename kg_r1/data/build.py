"""Builds data sets, stores and oracle walks: ``python -m kg_r1.data.build world|metaqa|store|walks``.

Results (data cards, reports) go to stdout, progress and logs to stderr. A mistake of the caller's, such as a
missing or broken file, is one line and exit code 2.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kg_r1.kg.errors import KGError

if TYPE_CHECKING:
    from kg_r1.data.oracle import OracleConfig
    from kg_r1.llm_agent.generation import GenerationConfig
    from kg_r1.llm_agent.question import Question

logger = logging.getLogger(__name__)

MIN_MEMORY_MIB = 64


class UsageError(Exception):
    """Something that was asked for cannot be done as asked."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one subcommand; returns the exit code."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    run: Callable[[argparse.Namespace], str] = options.run
    try:
        text = run(options)
    except (KGError, UsageError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    sys.stdout.write(text + "\n")
    return 0


def _world(options: argparse.Namespace) -> str:
    from kg_r1.data.world import build_world
    from kg_r1.data.world_questions import Sizes

    sizes = Sizes(options.num_train, options.num_val, options.num_test)
    return build_world(options.out, options.seed, sizes).text()


def _metaqa(options: argparse.Namespace) -> str:
    from kg_r1.data.metaqa import build_metaqa

    return build_metaqa(options.source, options.out, options.seed).text()


def _store(options: argparse.Namespace) -> str:
    from kg_r1.data.build_store import compile_dataset, describe_store

    if options.check is not None:
        return describe_store(options.check)
    if options.kg is None or options.out is None:
        raise UsageError("give --kg and --out to build a store, or --check and a store's folder")
    if options.max_memory_mib < MIN_MEMORY_MIB:
        raise UsageError(f"--max-memory-mib must be at least {MIN_MEMORY_MIB}")
    return compile_dataset(options.base_data_path, options.kg, options.out, options.max_memory_mib)


def _walks(options: argparse.Namespace) -> str:
    from kg_r1.data.oracle import OracleConfig
    from kg_r1.data.rows import read_questions

    questions = [question for path in options.questions for question in read_questions(path)]
    kept_apart = [question for path in options.kept_apart for question in read_questions(path)]
    try:
        generation = _generation(options)
        oracle = OracleConfig(
            options.max_list, options.max_searches, options.look_rate, detour_rate=options.detour_rate
        )
    except ValueError as error:
        raise UsageError(str(error)) from error
    return make_walks(questions, kept_apart, generation, oracle, options)


def make_walks(
    questions: Sequence[Question],
    kept_apart: Sequence[Question],
    generation: GenerationConfig,
    oracle: OracleConfig,
    options: argparse.Namespace,
) -> str:
    """Build and write walks with a progress bar; returns the report.

    Of `options`, `tokenizer`, `base_data_path`, `num_walks`, `seed` and `out` are read. Optional actions that
    `generation` names are enabled. Raises UsageError for searches that are no tags, for a folder without a
    tokenizer, and when no walk could be kept, and UnknownAction for an action that there is not.
    """
    if generation.query_form != "tags":
        raise UsageError(f"walks are written with tags, not with query_form {generation.query_form}")
    from tqdm import tqdm
    from transformers import AutoTokenizer

    from kg_r1.data.walks import build_walks, write_walks
    from kg_r1.kg.store import GraphStore
    from kg_r1.search.actions import ACTION_REGISTRY
    from kg_r1.search.optional_actions import enable

    enable(ACTION_REGISTRY, generation.actions or ())
    if not options.tokenizer.is_dir():
        raise UsageError(f"{options.tokenizer} is no folder with a tokenizer")
    tokenizer: Any = AutoTokenizer.from_pretrained(options.tokenizer)
    store = GraphStore(options.base_data_path)
    with tqdm(total=options.num_walks, unit="walk", file=sys.stderr) as bar:
        walks, report = build_walks(
            questions,
            store,
            tokenizer,
            generation,
            options.num_walks,
            options.seed,
            oracle,
            bar.update,
            kept_apart,
        )
    if not walks:
        raise UsageError(f"no walk could be kept\n{report.text()}")
    write_walks(options.out, walks)
    return f"{len(walks):,} walks in {options.out}\n{report.text()}"


def _generation(options: argparse.Namespace) -> GenerationConfig:
    """The settings of the episodes, those of training. Raises ValueError for one that cannot work."""
    from kg_r1.llm_agent.generation import GenerationConfig

    return GenerationConfig(
        max_turns=options.max_turns,
        max_start_length=options.max_start_length,
        max_prompt_length=options.max_prompt_length,
        max_response_length=options.max_response_length,
        max_obs_length=options.max_obs_length,
        max_episode_tokens=options.max_episode_tokens,
        no_think_rl=options.no_think_rl,
        prompt_style=options.prompt_style,
        worked_episode=options.worked_episode,
        begin_with_think=options.begin_with_think,
        actions=tuple(options.actions) if options.actions else None,
        entity_form=options.entity_form,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m kg_r1.data.build", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="world|metaqa|store|walks")

    world = commands.add_parser("world", help="the world KG and its questions, from installed packages")
    world.add_argument("--out", type=Path, required=True, help="the folder of the data sets (data_kg)")
    world.add_argument("--seed", type=int, default=0)
    world.add_argument("--num-train", type=int, default=8000)
    world.add_argument("--num-val", type=int, default=400)
    world.add_argument("--num-test", type=int, default=800)
    world.set_defaults(run=_world)

    metaqa = commands.add_parser("metaqa", help="MetaQA, from its released files")
    metaqa.add_argument("--source", type=Path, required=True, help="the folder with kb.txt and the questions")
    metaqa.add_argument("--out", type=Path, required=True, help="the folder of the data sets (data_kg)")
    metaqa.add_argument("--seed", type=int, default=0, help="of the split, where only dev is at hand")
    metaqa.set_defaults(run=_metaqa)

    store = commands.add_parser("store", help="a raw data set compiled into files that are mapped")
    store.add_argument("--kg", help="the data set to compile")
    store.add_argument("--base_data_path", type=Path, default=Path("data_kg"), help="where it lies")
    store.add_argument("--out", type=Path, help="the folder to make")
    store.add_argument(
        "--max-memory-mib", type=int, default=1024, help="MiB for sorting; more goes to the disk"
    )
    store.add_argument(
        "--check", type=Path, metavar="DIR", help="check a store's files and say what it holds"
    )
    store.set_defaults(run=_store)

    walks = commands.add_parser("walks", help="oracle walks for the cold start, as JSON lines")
    walks.add_argument("--questions", type=Path, required=True, nargs="+", help="parquet question files")
    walks.add_argument(
        "--kept-apart",
        type=Path,
        nargs="*",
        default=[],
        help="parquet files of validation and test questions: none with the same text is walked",
    )
    walks.add_argument("--tokenizer", type=Path, required=True, help="the folder of the model's tokenizer")
    walks.add_argument("--num-walks", type=int, required=True)
    walks.add_argument("--out", type=Path, required=True, help="the JSON lines file to write")
    walks.add_argument(
        "--base_data_path", type=Path, default=Path("data_kg"), help="the folder of the data sets"
    )
    walks.add_argument("--seed", type=int, default=0)
    _add_oracle_options(walks)
    _add_episode_options(walks)
    walks.set_defaults(run=_walks)
    return parser


def _add_oracle_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("the oracle")
    group.add_argument("--max-list", type=int, default=8, help="names in one query")
    group.add_argument("--max-searches", type=int, default=4, help="searches in one episode")
    group.add_argument(
        "--look-rate", type=float, default=0.3, help="share of walks that first list relations"
    )

    group.add_argument(
        "--detour-rate", type=float, default=0.3, help="share of walks that take a wrong turn and come back"
    )


def _add_episode_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("the episodes, as in training (see docs/episodes.md)")
    group.add_argument("--max-turns", type=int, default=6)
    group.add_argument("--max-start-length", type=int, default=1024)
    group.add_argument("--max-prompt-length", type=int, default=4096)
    group.add_argument("--max-response-length", type=int, default=500)
    group.add_argument("--max-obs-length", type=int, default=512)
    group.add_argument("--max-episode-tokens", type=int, default=None)
    group.add_argument("--no-think-rl", action="store_true")
    group.add_argument("--prompt-style", choices=("names", "compact", "full"), default="compact")
    group.add_argument("--worked-episode", action=argparse.BooleanOptionalAction, default=None)
    group.add_argument("--begin-with-think", action="store_true")
    group.add_argument(
        "--entity-form",
        choices=("name", "list", "handle"),
        default="list",
        help="what queries write for entities: one name, a list, or the handle of a result (#1)",
    )
    group.add_argument("--actions", nargs="+", default=None, help="the actions on offer; all by default")


if __name__ == "__main__":
    sys.exit(main())
