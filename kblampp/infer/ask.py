"""Asks questions at the command line.

    python -m kblampp.infer.ask --config configs/synth_world.yaml --backbone configs/backbone_smollm.yaml \
        --checkpoint runs/kblampp/synth_world/final "Where was Guken Gletert born?"

Without a question it reads them from standard input, one a line.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from kblampp.answering import Answer, Query, load_answerer
from kblampp.command import run
from kblampp.config import add_config_flags, config_from_flags
from kblampp.errors import ConfigError
from kblampp.eval.paths import path_taken
from kblampp.infer.queries import asked_time, query_of
from kblampp.time_window import TimeWindow

MAX_QUESTION_CHARS = 2000
_BAR = 20


def as_text(query: Query, answer: Answer) -> str:
    """An answer with its facts, its gates and its path, in lines."""
    lines = [f"Q: {_printable(query.question)}", f"A: {_printable(answer.text)}"]
    for it in answer.evidence:
        fact = it.fact
        when = "" if fact.time_window.is_timeless else f"  [{_in_words(fact.time_window)}]"
        words = _printable(f"{fact.head} | {fact.relation} | {fact.tail}")
        lines.append(f"  {it.alpha:5.3f} {_bar(it.alpha)} {words}{when}")
    lines.append(f"  {answer.refusal_alpha:5.3f} {_bar(answer.refusal_alpha)} none of them")
    gates = ", ".join(f"layer {layer} {beta:.2f}" for layer, beta in sorted(answer.betas.items()))
    lines.append(f"  gates: {gates}")
    path = path_taken(answer.evidence, answer.refusal_alpha)
    if path is not None:
        names = [path.evidence[0].fact.head]
        names += [f"-{it.fact.relation}-> {it.fact.tail}" for it in path.evidence]
        lines.append(f"  path: {_printable(' '.join(names))}")
    return "\n".join(lines)


def _bar(alpha: float) -> str:
    return ("#" * round(_BAR * alpha)).ljust(_BAR)


def _in_words(window: TimeWindow) -> str:
    return f"{window.start or ''} to {window.end or ''}".strip()


def _printable(text: str) -> str:
    """Without what would move a terminal's cursor or colour it."""
    return "".join(letter if letter.isprintable() else "�" for letter in text)


def _questions(given: str | None, lines: Iterable[str], time: TimeWindow) -> Iterator[Query]:
    for line in lines if given is None else [given]:
        if line.strip() or given is not None:
            yield Query(query_of(line.strip(), MAX_QUESTION_CHARS).question, time)


def _ask(arguments: argparse.Namespace) -> None:
    question = _taken_out(arguments.overrides)
    time = asked_time(arguments.time)
    config = config_from_flags(arguments)
    answerer = load_answerer(config, arguments.checkpoint)
    for query in _questions(question, sys.stdin, time):
        [answer] = answerer.answer([query])
        sys.stdout.write(as_text(query, answer) + "\n")
        sys.stdout.flush()


def main(argv: Sequence[str] | None = None) -> int:
    """Asks. Exit code 2 for a user's mistake."""
    parser = argparse.ArgumentParser(prog="kblampp.infer.ask", description=__doc__)
    parser.add_argument("--checkpoint", type=Path, help="folder of trained modules; none: untrained")
    parser.add_argument("--time", help="what time is asked about: 1998, 1998-02-14, 1990/1995")
    add_config_flags(parser)
    parser.usage = "%(prog)s --config CONFIG [options] [key=value ...] [question]"
    return run(parser, _ask, argv, log_level=logging.WARNING)


def _taken_out(words: list[str]) -> str | None:
    """The question among the words of the command line: the one that is no key=value. Raises ConfigError."""
    found = [word for word in words if " " in word.strip() or "=" not in word]
    if len(found) > 1:
        raise ConfigError("more than one question; put quotes around it, or give questions on standard input")
    for word in found:
        words.remove(word)
    return found[0] if found else None


if __name__ == "__main__":
    sys.exit(main())
