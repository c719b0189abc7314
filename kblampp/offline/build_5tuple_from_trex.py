"""Facts and questions from T-REx: ``python -m kblampp.offline.build_5tuple_from_trex --config FILE``.

Reads T-REx's JSON: documents with text, bounds of sentences and triples. A fact's context is its sentence.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from kblampp.command import run
from kblampp.errors import DataError
from kblampp.offline.build_5tuple_from_timeqa import relation_names
from kblampp.offline.sources import (
    FactBook,
    records,
    source_from_flags,
    source_parser,
    wanted,
    write_all,
)
from kblampp.offline.templated import questions_about

DATASET = "trex"


def add_document(where: str, record: dict[str, Any], book: FactBook, names: Mapping[str, str]) -> int:
    """Puts a document's triples into the book; returns how many lack a name and are left out.

    Raises:
        DataError: the document is malformed; says where it is.
    """
    text = wanted(where, record, "text", str)
    bounds = wanted(where, record, "sentences_boundaries", list)
    num_left_out = 0
    for number, triple in enumerate(wanted(where, record, "triples", list), start=1):
        try:
            head, tail = (triple[side]["surfaceform"] for side in ("subject", "object"))
            relation = _name(triple["predicate"], names)
            sentence = triple.get("sentence_id")
            context = "" if sentence is None else text[slice(*bounds[sentence])]
        except (TypeError, KeyError, IndexError, ValueError, AttributeError) as error:
            raise DataError(f"{where}: triple {number} is malformed ({error!r})") from error
        if not head or not relation or not tail:
            num_left_out += 1
            continue
        source = f"{DATASET}:{record.get('docid') or record.get('uri') or where}"
        book.add(head, relation, tail, " ".join(context.split()), source=source)
    return num_left_out


def _name(predicate: Mapping[str, Any], names: Mapping[str, str]) -> str:
    """The property's name from the table, else the words in the text, else its number."""
    code = predicate["uri"].rstrip("/").split("/")[-1]
    return names.get(code) or predicate.get("surfaceform") or code


def build(arguments: argparse.Namespace) -> None:
    """Writes facts and questions. Raises KblamppError."""
    config, path, max_samples = source_from_flags(arguments)
    names = relation_names(arguments.relations) if arguments.relations is not None else {}
    files = sorted(path.glob("*.json")) if path.is_dir() else [path]
    book = FactBook()
    num_read = num_left_out = 0
    for where, record in islice((item for file in files for item in records(file)), max_samples):
        num_left_out += add_document(where, record, book, names)
        num_read += 1
    write_all(config, book.facts, questions_about(book.facts, config.pipeline, DATASET))
    sys.stdout.write(f"{num_read} documents read, {num_left_out} triples without a name left out\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit code."""
    parser = source_parser(
        "build_5tuple_from_trex", "Make facts and questions from T-REx's JSON, a file or folder."
    )
    parser.add_argument(
        "--relations", type=Path, help="names of properties in the layout of TimeQA's relations.json"
    )
    return run(parser, build, argv)


if __name__ == "__main__":
    sys.exit(main())
