"""Keeping labels out of node texts: a text that names its label leaves nothing to classify."""

from __future__ import annotations

import re
from collections.abc import Sequence

from kblampp.zerog.errors import LabelLeak

# Words that tell two labels apart but name neither: 'North Korea' does not say 'North America'.
_PLAIN = ("north", "south", "east", "west", "and", "of", "the")
_MIN_STEM = 5
_EMPTY = "unnamed"


def label_pattern(label_names: Sequence[str]) -> re.Pattern[str]:
    """Finds every word that contains a word of a label, in its other forms too: 'African', 'Cities'.

    Raises LabelLeak when a label has no word that could be kept out.
    """
    stems: dict[str, None] = {}
    for label in label_names:
        words = [word for word in re.findall(r"\w+", label.casefold()) if word not in _PLAIN]
        if not words:
            raise LabelLeak(f"the label {label!r} has no word of its own to keep out of texts")
        stems.update(dict.fromkeys(map(_stem, words)))
    return re.compile(rf"\w*(?:{'|'.join(stems)})\w*", flags=re.IGNORECASE)


def _stem(word: str) -> str:
    if word.endswith("y"):
        return f"{re.escape(word[:-1])}(?:y|ie)"
    is_long = len(word) > _MIN_STEM and word[-1] in "aeiou"
    return re.escape(word[:-1] if is_long else word)


def without_labels(text: str, pattern: re.Pattern[str]) -> str:
    """`text` without the words that `pattern` finds; never empty."""
    kept = re.sub(r"\s+", " ", pattern.sub("", text)).strip()
    kept = re.sub(r"\s+([,.;])(?=\s|$)", r"\1", kept)
    return kept if re.search(r"\w", kept) else _EMPTY


def refuse_leaks(name: str, texts: Sequence[str], pattern: re.Pattern[str]) -> None:
    """Raises LabelLeak when a text has a word that `pattern` finds."""
    for number, text in enumerate(texts):
        if found := pattern.search(text):
            raise LabelLeak(f"{name}: texts[{number}] says {found.group()!r}, which is part of a label")
