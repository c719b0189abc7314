"""The settings of a data set that lies behind a SPARQL endpoint: `sparql.json` in the data set's folder.

In: the file, and the file of secret headers that it may name. Out: a checked, immutable
`SparqlSettings`. Every key is described in docs/sparql.md; an unknown one is refused with the known.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, get_args

import httpx
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pyoxigraph import NamedNode

from kg_r1 import __version__
from kg_r1.kg.errors import listed, quoted
from kg_r1.kg.lines import data_error, decoded, parsed_json, read_bytes

SETTINGS_FILE = "sparql.json"
XSD = "http://www.w3.org/2001/XMLSchema#"
RDFS_LABEL = "http://www.w3.org/2000/01/rdf-schema#label"
DEFAULT_DATATYPES = tuple(
    XSD + name
    for name in (
        "string",
        "integer",
        "decimal",
        "double",
        "float",
        "boolean",
        "date",
        "dateTime",
        "gYear",
        "gYearMonth",
    )
)
Escape = Literal["none", "percent"]
CaseFolding = Literal["off", "variants", "scan"]
MAX_HINT_KEYS = 40


def _checked_iri(text: str) -> str:
    return NamedNode(text).value  # ValueError: not an absolute IRI


def _checked_prefix(text: str) -> str:
    return NamedNode(text).value if text else text


def _checked_endpoint(text: str) -> str:
    try:
        url = httpx.URL(text)
    except httpx.InvalidURL as error:
        raise ValueError(str(error)) from error
    if url.scheme not in ("http", "https") or not url.host:
        raise ValueError("must be an http address such as http://127.0.0.1:7878/query")
    if url.userinfo:
        raise ValueError("must hold no user name or password; put them in headers_file")
    return text


def _checked_language(text: str) -> str:
    if text and not all(part.isascii() and part.isalnum() for part in text.split("-")):
        raise ValueError("must be a language tag such as en, or empty for labels without one")
    return text.lower()


Iri = Annotated[str, AfterValidator(_checked_iri)]
IriPrefix = Annotated[str, AfterValidator(_checked_prefix)]
Endpoint = Annotated[str, AfterValidator(_checked_endpoint)]
Language = Annotated[str, AfterValidator(_checked_language)]
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1)]


class _Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class IriSettings(_Settings):
    """How the ids of entities, or the names of relations, stand for IRIs.

    Attributes:
        prefix: what is left off an IRI to make an id; IRIs that lack it are ids as a whole.
        escape: "percent" where ids hold characters that an IRI cannot, percent-encoded in it.
        within: only IRIs with one of these prefixes count; empty for all.
    """

    prefix: IriPrefix = ""
    escape: Escape = "none"
    within: tuple[IriPrefix, ...] = Field(default=(), strict=False)


class RelationSettings(IriSettings):
    """As `IriSettings`; the predicates of `leave_out` do not count, nor does the label property."""

    leave_out: tuple[Iri, ...] = Field(default=(), strict=False)


class LabelSettings(_Settings):
    """Where names come from: a property, and language tags in order of preference ("" for no tag)."""

    property: Iri = RDFS_LABEL
    languages: tuple[Language, ...] = Field(default=("en", ""), min_length=1, strict=False)


class LiteralSettings(_Settings):
    """Which literals count as entities: those of these datatypes, and texts of these languages."""

    datatypes: tuple[Iri, ...] = Field(default=DEFAULT_DATATYPES, strict=False)
    languages: tuple[Language, ...] = Field(default=("en",), strict=False)


class SparqlSettings(_Settings):
    """All of `sparql.json`. Seconds end in `_s`; the table in docs/sparql.md says what each does."""

    endpoint: Endpoint
    method: Literal["GET", "POST"] = "POST"
    graph: Iri | None = None
    headers_file: str | None = None
    user_agent: str = f"kg-r1/{__version__}"
    entities: IriSettings = IriSettings()
    relations: RelationSettings = RelationSettings()
    labels: LabelSettings = LabelSettings()
    literals: LiteralSettings = LiteralSettings()
    case_folding: CaseFolding = "variants"
    connect_timeout_s: Seconds = 5.0
    timeout_s: Seconds = 30.0
    max_retries: Annotated[int, Field(ge=0, le=20)] = 3
    backoff_s: Seconds = 0.5
    max_wait_s: Seconds = 30.0
    max_connections: Count = 4
    max_reply_bytes: Count = 50_000_000
    max_rows: Count = 9_999
    max_values: Count = 500
    max_triples: Count = 1_000_000
    max_indexed_names: Annotated[int, Field(ge=0)] = 0
    max_cached_items: Count = 1_000_000


def read_settings(folder: Path) -> tuple[SparqlSettings, dict[str, str]]:
    """The settings of a data set's folder, and its secret headers ({} where it names no file of them).

    Raises:
        DataError: a file cannot be read, is not JSON, or holds what it may not; names file and key.
    """
    path = folder / SETTINGS_FILE
    content = parsed_json(path, None, decoded(path, None, read_bytes(path)))
    if not isinstance(content, dict):
        raise data_error(path, None, 'is not an object such as {"endpoint": "http://127.0.0.1:7878/"}')
    try:
        settings = SparqlSettings.model_validate(content)
    except ValidationError as error:
        raise data_error(path, None, _first_problem(error)) from error
    headers = {} if settings.headers_file is None else _read_headers(folder / settings.headers_file)
    return settings, headers


def _first_problem(error: ValidationError) -> str:
    found = error.errors(include_url=False, include_input=False)[0]
    location = [str(part) for part in found["loc"]]
    key = ".".join(location)
    if found["type"] != "extra_forbidden":
        return f"{quoted(key)}: {found['msg']}"
    model: type[BaseModel] = SparqlSettings
    for part in location[:-1]:
        kinds = [model.model_fields[part].annotation, *get_args(model.model_fields[part].annotation)]
        model = next(kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel))
    return f"there is no key {quoted(key)}. Keys: {listed(model.model_fields, MAX_HINT_KEYS)}"


def _read_headers(path: Path) -> dict[str, str]:
    content = parsed_json(path, None, decoded(path, None, read_bytes(path)))
    if not isinstance(content, Mapping) or not all(isinstance(value, str) for value in content.values()):
        raise data_error(path, None, "is not an object of header names and texts")
    for name, value in content.items():
        # Never the value in a message: it is a secret.
        if not (name.isascii() and name.replace("-", "").isalnum()):
            raise data_error(path, None, f"{quoted(name)} is no name of a header")
        if not (value.isascii() and value.isprintable()):
            raise data_error(path, None, f"the value of {quoted(name)} is not one line of ASCII")
    return dict(content)
