"""Entities and relations as RDF terms, and back.

An entity's id is the part of its IRI after the prefix of the settings, or the whole IRI, or the lexical
form of a literal. Equal ids are one entity: `terms_of_entity` gives every term that an id may be. Terms
are made and escaped by pyoxigraph alone; no other module puts a text into a query.
"""

from __future__ import annotations

import re
from urllib.parse import unquote_to_bytes

from pyoxigraph import Literal, NamedNode

from kg_r1.kg.sparql_client import Cell, is_iri
from kg_r1.kg.sparql_config import XSD, IriSettings, SparqlSettings

Term = NamedNode | Literal
MAX_NAME_CHARS = 4_000  # a longer text means nobody: a query has its limits
MAX_BRACKETS = 8

# A literal whose text does not fit its datatype is an error to some endpoints, so it is never sent.
_DECIMAL = r"[+-]?(\d+(\.\d*)?|\.\d+)"
_DAY = r"-?\d{4,}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])"
_ZONE = r"(Z|[+-]\d\d:\d\d)?"
FORMS = {
    XSD + name: re.compile(pattern, re.ASCII)
    for name, pattern in {
        "integer": r"[+-]?\d+",
        "decimal": _DECIMAL,
        "double": rf"({_DECIMAL}([eE][+-]?\d+)?|[+-]?INF|NaN)",
        "float": rf"({_DECIMAL}([eE][+-]?\d+)?|[+-]?INF|NaN)",
        "boolean": "true|false|1|0",
        "date": _DAY + _ZONE,
        "dateTime": rf"{_DAY}T([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d+)?{_ZONE}",
        "gYear": rf"-?\d{{4,}}{_ZONE}",
        "gYearMonth": rf"-?\d{{4,}}-(0[1-9]|1[0-2]){_ZONE}",
    }.items()
}


def askable(text: str) -> bool:
    """Whether a text can be an id or name: not blank, no NUL or lone surrogate, not too long."""
    if len(text) > MAX_NAME_CHARS or "\0" in text or not text.strip():
        return False
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def percent_escaped(text: str) -> str:
    """`text` as the end of an IRI: letters and digits of any script stay, everything else is %XX.

    Fixed ranges, not Unicode categories: those change between versions, and ids would change with them.
    """
    return "".join(one if _stays(one) else _escaped(one) for one in text)


def _stays(character: str) -> bool:
    code = ord(character)
    if code < 0x80:
        return character.isalnum() or character in "-._~"
    # Above: no controls, soft hyphen, invisible or direction marks, and no ideographic space.
    is_odd = code in (0xAD, 0x61C, 0x180E, 0x3000) or 0x2000 <= code <= 0x206F
    return 0xA1 <= code <= 0xD7FF and not is_odd


def _escaped(character: str) -> str:
    return "".join(f"%{byte:02X}" for byte in character.encode("utf-8"))


def percent_unescaped(text: str) -> str | None:
    """The text that `percent_escaped` turned into `text`; None when none did."""
    try:
        plain = unquote_to_bytes(text).decode("utf-8")
    except UnicodeDecodeError:
        return None
    return plain if plain and percent_escaped(plain) == text else None


class IriNames:
    """Names for IRIs and back, by the settings of entities or of relations."""

    def __init__(self, settings: IriSettings) -> None:
        self._settings = settings

    def name_of(self, iri: str) -> str | None:
        """What an IRI is called; None when it is not within the prefixes that count."""
        within, prefix = self._settings.within, self._settings.prefix
        if within and not iri.startswith(within):
            return None
        if not prefix or not iri.startswith(prefix) or iri == prefix:
            return iri
        rest = iri[len(prefix) :]
        name = percent_unescaped(rest) if self._settings.escape == "percent" else rest
        return iri if name is None or not name.strip() else name

    def iris_of(self, name: str) -> list[NamedNode]:
        """The IRIs that are called exactly `name`; two at most, usually one."""
        found = (iri for iri in dict.fromkeys((self.prefixed(name), name)) if is_iri(iri))
        return [NamedNode(iri) for iri in found if self.name_of(iri) == name]

    def prefixed(self, name: str) -> str:
        """Prefix and name put together; it need not be an IRI."""
        rest = percent_escaped(name) if self._settings.escape == "percent" else name
        return self._settings.prefix + rest


class Terms:
    """The terms of one data set's settings."""

    def __init__(self, settings: SparqlSettings) -> None:
        self.entities = IriNames(settings.entities)
        self.relations = IriNames(settings.relations)
        self._literals = settings.literals
        self._labels = settings.labels
        self._left_out = {*settings.relations.leave_out, settings.labels.property}

    def entity_id(self, cell: Cell) -> str | None:
        """The id of the entity that a term of an answer is; None for one that does not count."""
        return self.entities.name_of(cell.value) if cell.is_iri else cell.value

    def terms_of_entity(self, entity: str, *, as_head: bool = False) -> list[Term]:
        """Every term whose id is `entity`: IRIs, and literals unless it is the head of a triple."""
        iris: list[Term] = list(self.entities.iris_of(entity))
        return iris if as_head else iris + self._literals_of(entity)

    def relation_name(self, cell: Cell) -> str | None:
        """What the predicate of an answer is called; None for one that does not count."""
        is_relation = cell.is_iri and cell.value not in self._left_out
        return self.relations.name_of(cell.value) if is_relation else None

    def iris_of_relation(self, relation: str) -> list[NamedNode]:
        """The predicates that are called `relation`; [] when there can be none."""
        if not askable(relation):
            return []
        return [iri for iri in self.relations.iris_of(relation) if iri.value not in self._left_out]

    def labels_of(self, name: str) -> list[Literal]:
        """The literals that a label `name` may be, one for each language of the settings."""
        return [_tagged(name, language) for language in self._labels.languages]

    def name_rank(self, cell: Cell) -> tuple[int, str]:
        """Sorts the labels of one entity, the one to be shown first."""
        languages = self._labels.languages
        place = languages.index(cell.language) if cell.language in languages else len(languages)
        return place, cell.value

    def _literals_of(self, text: str) -> list[Term]:
        plain: list[Term] = [
            Literal(text, datatype=NamedNode(datatype))
            for datatype in self._literals.datatypes
            if datatype not in FORMS or FORMS[datatype].fullmatch(text)
        ]
        return plain + [_tagged(text, language) for language in self._literals.languages if language]


def _tagged(text: str, language: str) -> Literal:
    return Literal(text, language=language) if language else Literal(text)


def bracketed(text: str) -> list[str]:
    """What may be the id in a label 'Name [id]': ends of `text` that a bracket opens, shortest first.

    At most `MAX_BRACKETS` of them: an id with more ' [' in it is not found by its label.
    """
    if not text.endswith("]"):
        return []
    found: list[str] = []
    start = text.rfind(" [")
    while start > 0 and len(found) < MAX_BRACKETS:
        found.append(text[start + 2 : -1])
        start = text.rfind(" [", 0, start)
    return [one for one in found if one.strip()]
