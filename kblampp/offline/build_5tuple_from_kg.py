"""Facts and questions from a KG: ``python -m kblampp.offline.build_5tuple_from_kg --config FILE``.

Reads the folder that ``kg-r1 export`` writes: triples.tsv (head's id, relation, tail's id) and names.tsv (id,
name; an id without a name is its own). Entities of one name are told apart as 'Name [id]'. Questions are made
by templates, or read from `--questions`.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from kblampp.command import run
from kblampp.errors import DataError
from kblampp.offline.sources import (
    FactBook,
    numbered,
    records,
    source_from_flags,
    source_parser,
    split,
    wanted,
    write_all,
)
from kblampp.offline.templated import label, questions_about, sentence
from kblampp.questions import Question

DATASET = "kg"


def table(path: Path, num_columns: int) -> Iterator[tuple[int, list[str]]]:
    """The lines of a tab-separated file, each with its number. Raises DataError, naming file and line."""
    try:
        with path.open(encoding="utf-8", newline="\n") as file:
            for number, line in enumerate(file, start=1):
                fields = line.rstrip("\r\n").split("\t")
                if fields == [""]:
                    continue
                if len(fields) != num_columns or not all(field.strip() for field in fields):
                    raise DataError(f"{path}:{number}: {num_columns} columns parted by tabs belong here")
                yield number, fields
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); kg-r1 export writes it") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 text ({error.reason} at byte {error.start})") from error


def read_graph(folder: Path, max_samples: int | None) -> tuple[FactBook, dict[str, str]]:
    """The facts, at most `max_samples` of them, and the entities' names by id. Raises DataError."""
    names = {id_: name for _, (id_, name) in table(folder / "names.tsv", 2)}
    shared = {name for name, number in Counter(names.values()).items() if number > 1}
    names = {id_: f"{name} [{id_}]" if name in shared else name for id_, name in names.items()}
    book = FactBook()
    for _, (head_id, relation, tail_id) in islice(table(folder / "triples.tsv", 3), max_samples):
        head, tail = names.get(head_id, head_id), names.get(tail_id, tail_id)
        context = sentence(relation, head, tail)
        book.add(head, label(relation), tail, context, source=f"{folder.name}:{head_id}")
    return book, names


def read_asked(path: Path, book: FactBook, names: dict[str, str]) -> list[Question]:
    """Questions of JSON lines with `question` and `triples`, [head's id, relation, tail's id] in hop order.

    Raises:
        DataError: a line is malformed, or a triple is not in the graph; names the file and the line.
    """
    ids = {(fact.head, fact.relation, fact.tail): fact.id for fact in book.facts}
    made = []
    for where, record in records(path):
        triples = wanted(where, record, "triples", list)
        supporting = tuple(_fact_id(where, triple, ids, names) for triple in triples)
        if not supporting:
            raise DataError(f"{where}: 'triples' has none")
        answer = names.get(triples[-1][2], triples[-1][2])
        kind: Any = "single-hop" if len(supporting) == 1 else "multi-hop"
        text = wanted(where, record, "question", str)
        made.append(Question("-", DATASET, text, answer, kind, supporting_facts=supporting))
    return made


def _fact_id(where: str, triple: Any, ids: dict[tuple[str, str, str], str], names: dict[str, str]) -> str:
    try:
        head, relation, tail = triple
        return ids[names.get(head, head), label(relation), names.get(tail, tail)]
    except (TypeError, ValueError, AttributeError) as error:
        raise DataError(f"{where}: a triple is [head, relation, tail], not {triple!r:.80}") from error
    except KeyError as error:
        raise DataError(f"{where}: the graph has no triple {triple!r:.80}") from error


def build(arguments: argparse.Namespace) -> None:
    """Writes facts and questions. Raises KblamppError."""
    config, folder, max_samples = source_from_flags(arguments)
    book, names = read_graph(folder, max_samples)
    if arguments.questions is None:
        splits = questions_about(book.facts, config.pipeline, DATASET)
    else:
        made = numbered(read_asked(arguments.questions, book, names), DATASET)
        splits = split(made, config.pipeline.seed)
    write_all(config, book.facts, splits)


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit code."""
    parser = source_parser("build_5tuple_from_kg", "Make facts and questions from an exported KG.")
    parser.add_argument("--questions", type=Path, help="JSON lines with 'question' and 'triples'")
    return run(parser, build, argv)


if __name__ == "__main__":
    sys.exit(main())
