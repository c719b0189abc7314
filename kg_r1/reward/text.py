"""Answer text to a list of answers, and the normal form in which answers are compared.

The normal form is that of SQuAD's evaluation (Rajpurkar et al. 2016): lower case, no punctuation, no
articles, white space folded; before it, Unicode NFKC. It differs in two ways: punctuation is what Unicode
calls so, beside ASCII's, and a text that would vanish altogether (the band 'The The') is left as it was
before anything was taken from it.
"""

from __future__ import annotations

import json
import re
import string
import unicodedata
from collections.abc import Sequence

from kg_r1.llm_agent.observation import SEPARATOR

Gold = Sequence[Sequence[str]]
"""One sequence of aliases per gold answer."""

_ASCII_PUNCTUATION = frozenset(string.punctuation)
_ARTICLES = re.compile(r"\b(?:a|an|the)\b")
# A comma between two digits belongs to a number.
_COMMA = re.compile(r"(?<!\d),|,(?!\d)")


def normalise(text: str) -> str:
    """The form in which two answers are compared. Idempotent, and empty only for white space."""
    lowered = _fold(unicodedata.normalize("NFKC", text).lower())
    kept = "".join(character for character in lowered if not _is_punctuation(character))
    return _fold(_ARTICLES.sub(" ", kept)) or lowered


def split_answers(text: str, gold: Gold) -> list[str]:
    """The answers that an answer text lists, in its order, stripped, without empty ones.

    A JSON array of strings is taken as it is. Else the text is split at ' | ' and at line ends; where there
    is neither, at commas, unless some alias in `gold` holds a comma that this would split.
    """
    answers = _json_strings(text)
    if answers is None:
        if SEPARATOR in text or "\n" in text:
            answers = [part for line in text.splitlines() for part in line.split(SEPARATOR)]
        elif any(_COMMA.search(alias) for aliases in gold for alias in aliases):
            answers = [text]
        else:
            answers = _COMMA.split(text)
    return [answer.strip() for answer in answers if answer.strip()]


def _json_strings(text: str) -> list[str] | None:
    if not text.lstrip().startswith("["):
        return None
    try:
        values = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return values if all(isinstance(value, str) for value in values) else None


def _is_punctuation(character: str) -> bool:
    return character in _ASCII_PUNCTUATION or unicodedata.category(character).startswith("P")


def _fold(text: str) -> str:
    return " ".join(text.split())
