"""The SPARQL 1.1 protocol over HTTP: a query in, its rows out, with retries and limits.

Out come rows of `Cell`s. What is no usable term is left out of its row: blank nodes, which mean nothing
in the next query, IRIs that are none, blank literals and triple terms.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpx
from pyoxigraph import NamedNode

from kg_r1.kg.errors import DataError, EndpointError, EndpointUnavailable, TooManyResults, quoted
from kg_r1.kg.sparql_config import SparqlSettings

logger = logging.getLogger(__name__)

RESULTS_JSON = "application/sparql-results+json"
RETRIED_STATUSES = frozenset({429, 502, 503})
PARTIAL_HEADER = "x-sql-state"  # Virtuoso's mark on an answer that it cut short, whatever the status
BLANKS = " \t\r\n"


@dataclass(frozen=True, slots=True)
class Cell:
    """One RDF term of a row: an IRI, or a literal by its lexical form."""

    value: str
    is_iri: bool
    language: str = ""


Row = dict[str, Cell]  # variable -> term; a variable that is unbound, or no usable term, is absent


@dataclass(frozen=True)
class _Failure:
    error: DataError
    may_pass: bool
    wait_s: float | None = None  # what Retry-After asks for


class SparqlClient:
    """Asks one endpoint. Thread-safe.

    Args:
        settings: the endpoint and its limits.
        headers: sent with every query, such as an Authorization.

    `num_queries` counts the queries answered and refused, and `num_attempts` the HTTP requests.
    """

    def __init__(self, settings: SparqlSettings, headers: Mapping[str, str]) -> None:
        self.num_queries = 0
        self.num_attempts = 0
        self._settings = settings
        self._lock = threading.Lock()
        # Not the limit of httpx's own pool: where threads wait there for a connection, httpcore 1.0.9
        # closes some that are in use (its issue 1110), and a query then fails or is never answered.
        self._slots = threading.BoundedSemaphore(settings.max_connections)
        self._http = httpx.Client(
            headers={"User-Agent": settings.user_agent, **headers, "Accept": RESULTS_JSON},
            timeout=httpx.Timeout(settings.timeout_s, connect=settings.connect_timeout_s),
            limits=httpx.Limits(max_keepalive_connections=settings.max_connections),
            # A proxy meant for the internet must not stand before a local endpoint, and .netrc must not
            # send a password anywhere. Headers may be secret, so no redirect is followed either.
            trust_env=False,
            follow_redirects=False,
        )

    def close(self) -> None:
        """Closes the connections."""
        self._http.close()

    def select(self, query: str) -> list[Row]:
        """The rows of a SELECT query.

        Raises:
            EndpointUnavailable: no answer after the last retry.
            EndpointError: the query was refused, or the reply is no SPARQL result.
            TooManyResults: the reply is larger than `max_reply_bytes`.
        """
        reply = self._ask(query)
        results = reply.get("results")
        bindings = results.get("bindings") if isinstance(results, dict) else None
        if not isinstance(bindings, list) or not all(isinstance(binding, dict) for binding in bindings):
            raise self._no_result("it has no list results.bindings")
        return [_row(binding) for binding in bindings]

    def ask(self, query: str) -> bool:
        """The answer to an ASK query. Raises as `select`."""
        answer = self._ask(query).get("boolean")
        if not isinstance(answer, bool):
            raise self._no_result("it has no boolean")
        return answer

    def _ask(self, query: str) -> dict[str, Any]:
        with self._lock:
            self.num_queries += 1
        for number in range(self._settings.max_retries + 1):
            with self._lock:
                self.num_attempts += 1
            outcome = self._attempt(query)
            if isinstance(outcome, dict):
                return outcome
            wait_s = min(self._settings.backoff_s * 2**number, self._settings.max_wait_s)
            if outcome.wait_s is not None:
                wait_s = max(wait_s, outcome.wait_s)
            is_last = number == self._settings.max_retries
            if is_last or not outcome.may_pass or wait_s > self._settings.max_wait_s:
                raise outcome.error
            logger.warning("%s; trying again in %.1f s", outcome.error, wait_s)
            time.sleep(wait_s)
        raise AssertionError("the loop returns or raises")  # pragma: no cover

    def _attempt(self, query: str) -> dict[str, Any] | _Failure:
        try:
            with self._slots, self._http.stream(**self._request(query)) as response:
                deadline = time.monotonic() + self._settings.timeout_s
                if response.status_code != httpx.codes.OK:
                    return self._refusal(response)
                if PARTIAL_HEADER in response.headers:
                    return self._partial(response)
                content = self._content(response, deadline)
        except httpx.TimeoutException as error:
            return _Failure(self._too_slow(type(error).__name__), may_pass=False)
        except httpx.DecodingError as error:
            return _Failure(self._no_result(f"its content is broken ({error})"), may_pass=False)
        except httpx.HTTPError as error:
            reason = str(error) or type(error).__name__
            hint = "Start it, or correct the endpoint in sparql.json"
            problem = f"endpoint {self._settings.endpoint} cannot be reached ({reason})"
            return _Failure(EndpointUnavailable(problem, hint), may_pass=True)
        try:
            reply = json.loads(content)
        except (ValueError, RecursionError) as error:
            return _Failure(self._no_result(f"it is not JSON ({error})"), may_pass=False)
        if not isinstance(reply, dict):
            return _Failure(self._no_result("it is not a JSON object"), may_pass=False)
        return reply

    def _request(self, query: str) -> dict[str, Any]:
        url = httpx.URL(self._settings.endpoint)
        if self._settings.method == "GET":
            return {"method": "GET", "url": url.copy_merge_params({"query": query})}
        return {"method": "POST", "url": url, "data": {"query": query}}

    def _content(self, response: httpx.Response, deadline: float) -> bytes:
        content = bytearray()
        # httpx limits each read only, and with a chunk size it would read on until a chunk is full.
        for chunk in response.iter_bytes():
            content += chunk
            if len(content) > self._settings.max_reply_bytes:
                raise TooManyResults(
                    f"endpoint {self._settings.endpoint} answered with more than "
                    f"{self._settings.max_reply_bytes} bytes",
                    "Ask about fewer entities, or raise max_reply_bytes in sparql.json",
                )
            if time.monotonic() > deadline:
                raise self._too_slow("it was still answering")
        return bytes(content)

    def _refusal(self, response: httpx.Response) -> _Failure:
        status = response.status_code
        start = next(response.iter_bytes(), b"")[:1000].decode("utf-8", "replace")
        problem = f"endpoint {self._settings.endpoint} answered {status} {quoted(start)}"
        if status in RETRIED_STATUSES:
            wait_s = _retry_after_s(response.headers.get("Retry-After"))
            hint = "It is busy or limits how much is asked"
            if wait_s is not None:
                hint += f"; it asks for a pause of {wait_s:.0f} s"
            return _Failure(EndpointUnavailable(problem, hint), True, wait_s)
        if status >= 500:
            hint = "The query failed or took too long there; its log says more"
            return _Failure(EndpointUnavailable(problem, hint), may_pass=False)
        if status == httpx.codes.PARTIAL_CONTENT:
            return self._partial(response)
        if response.is_redirect:
            to = quoted(response.headers.get("Location", ""), 300)
            return _Failure(
                EndpointError(problem, f"Write the address it points to, {to}, in sparql.json"), False
            )
        hint = "Check endpoint, method and headers_file in sparql.json"
        return _Failure(EndpointError(problem, hint), may_pass=False)

    def _partial(self, response: httpx.Response) -> _Failure:
        status = response.status_code
        problem = f"endpoint {self._settings.endpoint} cut its answer short (status {status})"
        hint = "Raise its execution timeout; a part of an answer is never given for the whole"
        return _Failure(EndpointUnavailable(problem, hint), may_pass=False)

    def _too_slow(self, reason: str) -> EndpointUnavailable:
        return EndpointUnavailable(
            f"no answer from endpoint {self._settings.endpoint} within {self._settings.timeout_s:g} s"
            f" ({reason})",
            "Raise timeout_s in sparql.json, or narrow what counts as a relation or entity",
        )

    def _no_result(self, reason: str) -> EndpointError:
        return EndpointError(
            f"endpoint {self._settings.endpoint} answered with what is no SPARQL result: {reason}",
            "Check that the address is that of SPARQL queries, not of a page",
        )


def _row(binding: dict[str, Any]) -> Row:
    row = {}
    for variable, term in binding.items():
        cell = _cell(term)
        if cell is not None:
            row[variable] = cell
    return row


def _cell(term: object) -> Cell | None:
    if not isinstance(term, dict) or not isinstance(term.get("value"), str):
        return None
    value, kind, language = term["value"], term.get("type"), term.get("xml:lang", "")
    if kind == "uri":
        return Cell(value, True) if is_iri(value) else None
    # typed-literal is what came before SPARQL 1.1; Virtuoso still writes it.
    is_literal = kind in ("literal", "typed-literal") and isinstance(language, str)
    is_usable = is_literal and bool(value.strip(BLANKS)) and _is_unicode(value)
    return Cell(value, False, language.lower()) if is_usable else None


def is_iri(text: str) -> bool:
    """Whether `text` is an absolute IRI that can stand in a query."""
    try:
        NamedNode(text)
    except ValueError:  # that is the library's way to say no; lone surrogates included
        return False
    return True


def _is_unicode(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _retry_after_s(header: str | None) -> float | None:
    """Seconds that a Retry-After asks for, in either of its two forms; None when it is neither."""
    if header is None:
        return None
    if header.strip().isdecimal():
        return float(header)
    try:
        until = parsedate_to_datetime(header)
    except ValueError:
        return None
    if until.tzinfo is None:  # the zone -0000: UTC, and nothing known of where it was written
        until = until.replace(tzinfo=UTC)
    return max(0.0, (until - datetime.now(tz=UTC)).total_seconds())
