"""What the makers' command lines share: flags, and what was written."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from kblampp.config import Config, add_config_flags
from kblampp.errors import ConfigError
from kblampp.offline.rewriting import Rewriter
from kblampp.questions import Question, write_questions

SPLITS = ("train", "dev", "test")


def add_endpoint_flags(parser: argparse.ArgumentParser) -> None:
    """The config's flags, and an OpenAI-compatible endpoint that rewrites sentences."""
    add_config_flags(parser)
    parser.add_argument(
        "--llm-base-url",
        help="OpenAI-compatible endpoint that rewrites the sentences, http://host:port/v1",
    )
    parser.add_argument("--llm-model", help="its model")
    parser.add_argument("--llm-api-key-file", type=Path, help="a file that holds its key")


def rewriter_from_flags(arguments: argparse.Namespace, config: Config, output: Path) -> Rewriter | None:
    """The endpoint that flags or config name; None when neither names one.

    Raises:
        ConfigError: an endpoint without a model, a key file that cannot be read.
        DataError: the file of rewrites beside `output` is malformed.
    """
    base_url = arguments.llm_base_url or config.pipeline.llm_base_url
    if base_url is None:
        return None
    model = arguments.llm_model or config.pipeline.llm_model
    if model is None:
        raise ConfigError("an endpoint needs a model: --llm-model NAME")
    key = None
    if arguments.llm_api_key_file is not None:
        try:
            key = arguments.llm_api_key_file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"{arguments.llm_api_key_file}: the key cannot be read ({error})") from error
    return Rewriter(base_url, model, key, output.with_name(f"{output.stem}_rewrites.jsonl"))


def paths_of(config: Config) -> dict[str, Path]:
    """Where the questions of each split go."""
    return {
        "train": Path(config.train_qa_path),
        "dev": Path(config.dev_qa_path),
        "test": Path(config.test_qa_path),
    }


def write_splits(config: Config, splits: dict[str, list[Question]]) -> None:
    """Writes the three files of questions and prints a line for each."""
    for split, path in paths_of(config).items():
        number = write_questions(path, splits[split])
        sys.stdout.write(f"{path}: {number} questions{_counted(splits[split])}\n")


def _counted(questions: Sequence[Question]) -> str:
    kinds: dict[str, int] = {}
    for question in questions:
        name = f"{question.num_hops}-hop" if question.type == "multi-hop" else question.type
        kinds[name] = kinds.get(name, 0) + 1
    listed = ", ".join(f"{number} {name}" for name, number in sorted(kinds.items()))
    return f" ({listed})" if listed else ""
