"""Facts and questions from TimeQA: ``python -m kblampp.offline.build_5tuple_from_timeqa --config FILE``.

Reads TimeQA's human-annotated file, or its easy and hard JSON lines, gzipped or not; relations.json beside
the file gives the relations' names. `--facts` adds time-stamped facts from the TempQA-WD release.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import unquote

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
from kblampp.offline.time_words import time_in
from kblampp.questions import REFUSAL, Question
from kblampp.time_window import TimeWindow

DATASET = "timeqa"
_STAMPED = re.compile(r'"(?P<sign>-?)(?P<day>\d{4,}-\d\d-\d\d)T[^"]*"\^\^xsd:dateTime')
_MAX_CONTEXT_CHARS = 400


@dataclass(frozen=True)
class Asked:
    """A question of the source; each answer with the sentence that it stands in, none when unanswerable."""

    index: str
    question: str
    answers: tuple[tuple[str, str], ...]


def asked(path: Path) -> Iterator[Asked]:
    """The questions of any of TimeQA's files. Raises DataError, naming file and line or record."""
    for where, record in records(path):
        yield from _annotated(where, record) if "questions" in record else [_derived(where, record)]


def _annotated(where: str, record: dict[str, Any]) -> Iterator[Asked]:
    index = wanted(where, record, "index", str)
    paragraphs = wanted(where, record, "paras", list)
    for item in wanted(where, record, "questions", list):
        try:
            question, spans = item
            answers = tuple(
                (span["answer"], sentence_around(paragraphs[span["para"]], span["from"]))
                for span in spans
                if span["answer"]
            )
        except (TypeError, ValueError, KeyError, IndexError) as error:
            raise DataError(
                f"{where}: a question is [text, [{{para, from, end, answer}}, ...]], not {item!r:.80}"
            ) from error
        yield Asked(index, question, answers)


def _derived(where: str, record: dict[str, Any]) -> Asked:
    context = wanted(where, record, "context", str)
    targets = wanted(where, record, "targets", list)
    starts = wanted(where, record, "from", list)
    answers = tuple(
        (str(target), sentence_around(context, int(start)))
        for target, start in zip(targets, starts, strict=False)
        if target
    )
    return Asked(wanted(where, record, "idx", str), wanted(where, record, "question", str), answers)


def sentence_around(text: str, position: int) -> str:
    """The sentence of a tokenised text, whose sentences end in ' . ', that holds the character."""
    start = text.rfind(" . ", 0, position)
    end = text.find(" . ", position)
    sentence = text[start + 3 if start >= 0 else 0 : end + 2 if end >= 0 else len(text)].strip()
    return sentence[:_MAX_CONTEXT_CHARS]


def relation_names(path: Path) -> dict[str, str]:
    """Meaning by property, from TimeQA's relations.json. Raises DataError."""
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
        return {name: entry["meaning"] for name, entry in table.items()}
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); it is part of TimeQA") from error
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise DataError(f"{path}: is not a table of properties with a 'meaning' each ({error})") from error


def subject_and_relation(index: str, names: Mapping[str, str]) -> tuple[str, str]:
    """Of an index such as '/wiki/Fort_Tilden#P366#0'. Raises DataError."""
    parts = index.removeprefix("/wiki/").split("#")
    if len(parts) < 2 or not parts[0]:
        raise DataError(f"the index {index!r} is not of the form /wiki/NAME#PROPERTY")
    return unquote(parts[0]).replace("_", " "), names.get(parts[1], parts[1])


def question_from(item: Asked, book: FactBook, names: Mapping[str, str]) -> Question:
    """The question, its facts put into the book. Raises DataError."""
    head, relation = subject_and_relation(item.index, names)
    time = time_in(item.question)
    supporting = tuple(
        book.add(head, relation, answer, context, time, f"{DATASET}:{item.index}")
        for answer, context in item.answers
    )
    answers = tuple(dict.fromkeys(answer for answer, _ in item.answers)) or (REFUSAL,)
    return Question(
        qid="-",
        dataset=DATASET,
        question=item.question.strip(),
        answer=answers[0],
        answers=answers,
        type="unanswerable" if not supporting else "single-hop" if time.is_timeless else "temporal",
        # Several answers to one question are alternatives; the first one's fact is the one to find.
        supporting_facts=supporting[:1],
        question_time=time,
    )


def add_stamped(path: Path, book: FactBook, max_samples: int | None) -> tuple[int, int]:
    """Puts facts of lines 'head, relation, tail, date' into the book; returns how many, and how many not.

    A first of January stands for its year, as in Wikidata. Years before 1 cannot be written as ISO dates.

    Raises:
        DataError: the file cannot be read, or a line is malformed; names the file and the line.
    """
    num_added = num_left_out = 0
    try:
        with path.open(encoding="utf-8") as file:
            for number, line in islice(enumerate(file, start=1), max_samples):
                fields = line.rstrip("\n").split("\t")
                match = _STAMPED.fullmatch(fields[-1])
                if len(fields) != 4 or match is None or not all(fields[:3]):
                    raise DataError(f'{path}:{number}: not head, relation, tail and "..."^^xsd:dateTime')
                window = _stamp(match)
                if window is None:
                    num_left_out += 1
                    continue
                head, relation, tail = (name.replace("_", " ") for name in fields[:3])
                book.add(head, relation, tail, "", window, f"tempqa_wd:{number}")
                num_added += 1
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 text ({error.reason} at byte {error.start})") from error
    return num_added, num_left_out


def _stamp(match: re.Match[str]) -> TimeWindow | None:
    try:
        day = date.fromisoformat(match["day"])
    except ValueError:
        return None
    if match["sign"]:
        return None
    is_year = (day.month, day.day) == (1, 1)
    return TimeWindow(day, date(day.year, 12, 31) if is_year else day)


def build(arguments: argparse.Namespace) -> None:
    """Writes facts and questions. Raises KblamppError."""
    config, path, max_samples = source_from_flags(arguments)
    names = relation_names(arguments.relations or path.with_name("relations.json"))
    book = FactBook()
    made = [question_from(item, book, names) for item in islice(asked(path), max_samples)]
    num_timed = sum(not question.question_time.is_timeless for question in made)
    told = f"{len(made)} questions read, a time found in {num_timed}\n"
    if arguments.facts is not None:
        num_added, num_left_out = add_stamped(arguments.facts, book, max_samples)
        told += f"{arguments.facts}: {num_added} facts, {num_left_out} left out for years before 1\n"
    write_all(config, book.facts, split(numbered(made, DATASET), config.pipeline.seed))
    sys.stdout.write(told)


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit code."""
    parser = source_parser("build_5tuple_from_timeqa", "Make facts and questions from TimeQA.")
    parser.add_argument("--relations", type=Path, help="relations.json; default: the one beside the source")
    parser.add_argument("--facts", type=Path, help="time-stamped facts of TempQA-WD (cr_tkgqa_tkg.txt)")
    return run(parser, build, argv)


if __name__ == "__main__":
    sys.exit(main())
