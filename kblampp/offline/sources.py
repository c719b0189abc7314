"""What the makers of real sources share: their flags, their files, ids of facts, splits of questions."""

from __future__ import annotations

import argparse
import gzip
import json
import random
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from kblampp.config import Config, add_config_flags, config_from_flags
from kblampp.errors import ConfigError, DataError
from kblampp.offline.command import write_splits
from kblampp.questions import Question
from kblampp.quintuples import Quintuple, write_quintuples
from kblampp.time_window import TIMELESS, TimeWindow

SPLIT_SHARES = {"train": 0.8, "dev": 0.1, "test": 0.1}
"""Of the questions that a source brings."""
_GZIP_MAGIC = b"\x1f\x8b"


def source_parser(module: str, description: str) -> argparse.ArgumentParser:
    """A parser with the config's flags, `--input` and `--max_samples`."""
    parser = argparse.ArgumentParser(prog=f"python -m kblampp.offline.{module}", description=description)
    parser.add_argument("--input", type=Path, help="the source; default: pipeline.input_path of the config")
    parser.add_argument("--max_samples", type=int, help="so many of the source's records alone")
    add_config_flags(parser)
    return parser


def source_from_flags(arguments: argparse.Namespace) -> tuple[Config, Path, int | None]:
    """The config, the source's path, and how many records are wanted (None: all). Raises ConfigError."""
    config = config_from_flags(arguments)
    named = arguments.input or config.pipeline.input_path
    if not named:
        raise ConfigError("name the source: --input PATH, or pipeline.input_path in the config")
    max_samples: int | None = (
        config.pipeline.max_samples if arguments.max_samples is None else arguments.max_samples
    )
    if max_samples is not None and max_samples < 1:
        raise ConfigError(f"max_samples must be at least 1, not {max_samples}")
    return config, Path(named), max_samples


def records(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """The objects of a JSON array or of JSON lines, gzipped or not, each with where it is.

    Raises:
        DataError: the file cannot be read, or holds something else; names the file and the line.
    """
    try:
        raw = path.read_bytes()
        text = (gzip.decompress(raw) if raw.startswith(_GZIP_MAGIC) else raw).decode("utf-8")
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 text ({error.reason} at byte {error.start})") from error
    except (OSError, EOFError) as error:
        problem = getattr(error, "strerror", None) or error
        raise DataError(f"{path}: cannot be read ({problem}); --input names the source") from error
    if text.lstrip().startswith("["):
        items = _parsed(path, 1, text)
        located = ((f"{path}: record {number}", item) for number, item in enumerate(items, start=1))
    else:
        lines = enumerate(text.split("\n"), start=1)
        located = (
            (f"{path}:{number}", _parsed(path, number, line)) for number, line in lines if line.strip()
        )
    for where, item in located:
        if not isinstance(item, dict):
            raise DataError(f"{where}: an object belongs here, not {type(item).__name__}")
        yield where, item


def _parsed(path: Path, number: int, text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        line = number + error.lineno - 1
        raise DataError(f"{path}:{line}: not JSON ({error.msg} at column {error.colno})") from error


def wanted(where: str, record: dict[str, Any], name: str, kind: type) -> Any:
    """A field that must be there and of that kind. Raises DataError."""
    value = record.get(name)
    if not isinstance(value, kind):
        raise DataError(f"{where}: {name!r} must be a {kind.__name__}, not {value!r:.80}")
    return value


@dataclass
class FactBook:
    """Facts in the order in which they came, each once; ids are `f000000`, `f000001`, ..."""

    facts: list[Quintuple] = field(default_factory=list)
    _ids: dict[tuple[str, str, str, str, TimeWindow], str] = field(default_factory=dict)

    def add(
        self,
        head: str,
        relation: str,
        tail: str,
        context: str = "",
        time_window: TimeWindow = TIMELESS,
        source: str = "",
    ) -> str:
        """Takes a fact in, unless it is there, and returns its id."""
        key = (head, relation, tail, context, time_window)
        if key not in self._ids:
            self._ids[key] = f"f{len(self.facts):06d}"
            self.facts.append(Quintuple(self._ids[key], head, relation, tail, context, time_window, source))
        return self._ids[key]


def split(questions: Sequence[Question], seed: int) -> dict[str, list[Question]]:
    """Train, dev and test by question; questions of the same words stay in one split."""
    texts = sorted({_folded(question.question) for question in questions})
    random.Random(f"questions:{seed}").shuffle(texts)
    num_train = round(SPLIT_SHARES["train"] * len(texts))
    num_dev = round(SPLIT_SHARES["dev"] * len(texts))
    names = {
        text: "train" if position < num_train else "dev" if position < num_train + num_dev else "test"
        for position, text in enumerate(texts)
    }
    splits: dict[str, list[Question]] = {name: [] for name in SPLIT_SHARES}
    for question in questions:
        splits[names[_folded(question.question)]].append(question)
    return splits


def _folded(text: str) -> str:
    return " ".join(text.lower().split()).rstrip(" ?")


def write_all(config: Config, facts: Sequence[Quintuple], splits: dict[str, list[Question]]) -> None:
    """Writes facts and questions at the config's paths and prints a line for each file.

    Raises:
        DataError: there is no fact, or a split has no question.
    """
    if not facts:
        raise DataError("the source gives no fact")
    if empty := [name for name, questions in splits.items() if not questions]:
        raise DataError(f"the source gives no question for {empty[0]}; take more of it")
    path = Path(config.train_5tuple_path)
    sys.stdout.write(f"{path}: {write_quintuples(path, facts)} facts\n")
    write_splits(config, splits)


def numbered(questions: Sequence[Question], dataset: str) -> list[Question]:
    """The questions with a qid each by their order."""
    return [
        replace(question, qid=f"{dataset}-{number:06d}", dataset=dataset)
        for number, question in enumerate(questions)
    ]
