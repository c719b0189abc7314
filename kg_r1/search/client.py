"""Asking a KG: one Protocol, two clients, over HTTP and in the same process.

In: requests as the server takes them. Out: a `Retrieval` each, in the same order. A server that fails gives
a `Retrieval` with a typed error after the retry budget; no client raises for it and none invents a result.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import httpx

from kg_r1.search.access import ApiKey
from kg_r1.search.errors import BadResponse, KGError, ServerTimeout, ServerUnavailable, quoted
from kg_r1.search.results import SERVICE_NAME, found_items, listed_items

if TYPE_CHECKING:
    from kg_r1.search.server import KnowledgeGraphRetriever

START_COMMAND = "python kg_r1/search/kg_retrieval_server.py --base_data_path data_kg --port"
RETRIED_STATUS = 429


@dataclass(frozen=True)
class RetrievalError:
    """Why a request was not answered: a code of docs/server.md and one line of text."""

    code: str
    message: str


@dataclass(frozen=True)
class Retrieval:
    """The answer to one request.

    Attributes:
        results: the result objects, as the server gave them.
        query_time: seconds spent in the action.
        total_results: number of listed items.
        error: why there is no result; None when there is one.
    """

    results: tuple[dict[str, Any], ...]
    query_time: float
    total_results: int
    error: RetrievalError | None = None

    @property
    def ok(self) -> bool:
        """Whether the request was answered with a result."""
        return self.error is None

    def items(self) -> list[str]:
        """Every string listed in a successful result (relations or entities), in order; [] on error."""
        return [item for result in self.results for item in listed_items(result)] if self.ok else []

    def findings(self) -> list[str]:
        """Those of `items` that count as found out; names that were merely looked up do not."""
        return [item for result in self.results for item in found_items(result)] if self.ok else []


class KGClient(Protocol):
    """Anything that answers requests."""

    async def retrieve(self, request: Mapping[str, Any]) -> Retrieval:
        """Answers one request."""

    async def retrieve_batch(self, requests: Sequence[Mapping[str, Any]]) -> list[Retrieval]:
        """Answers several requests, in the order given."""

    async def aclose(self) -> None:
        """Gives back what the client holds; it can be used again afterwards."""


class InProcessKGClient:
    """A client of a retriever in the same process. Requests run in worker threads."""

    def __init__(self, retriever: KnowledgeGraphRetriever) -> None:
        self.retriever = retriever

    async def retrieve(self, request: Mapping[str, Any]) -> Retrieval:
        """Answers one request."""
        return parse_item(await asyncio.to_thread(self.retriever.retrieve, request))

    async def retrieve_batch(self, requests: Sequence[Mapping[str, Any]]) -> list[Retrieval]:
        """Answers several requests, in the order given."""
        return [parse_item(item) for item in await asyncio.to_thread(self.retriever.retrieve_batch, requests)]

    async def aclose(self) -> None:
        """Nothing is held."""


class HttpKGClient:
    """A client of a running server, with pooled connections and retries.

    Args:
        search_url: the address of /retrieve.
        timeout_s: seconds one attempt may take, from connecting to the last byte.
        max_retries: attempts after the first, for anything but a refusal of the request itself (4xx).
        backoff_s: pause before the first retry; it doubles each time, times a random 0.5 to 1.5.
        max_connections: most requests under way at once; others wait, which does not count as their time.
        seed: seed of the pauses.
        api_key: the key that the server asks for, if it asks for one.

    Raises:
        ValueError: `search_url` is not an http(s) address, or a limit is out of range.
    """

    def __init__(
        self,
        search_url: str,
        timeout_s: float = 10.0,
        max_retries: int = 3,
        backoff_s: float = 0.2,
        max_connections: int = 64,
        seed: int = 0,
        api_key: ApiKey | None = None,
    ) -> None:
        if timeout_s <= 0:
            raise ValueError(f"timeout_s must be above 0, not {timeout_s:g}")
        if max_retries < 0 or backoff_s < 0 or max_connections < 1:
            raise ValueError("max_connections must be above 0, max_retries and backoff_s not below it")
        self.search_url = str(_checked_url(search_url))
        self.timeout_s = timeout_s
        self.max_retries = max_retries
        self.backoff_s = backoff_s
        self.max_connections = max_connections
        self._random = random.Random(seed)
        self._headers = {"Content-Type": "application/json"}
        if api_key is not None:
            self._headers["Authorization"] = api_key.header()
        self._connection: _Connection | None = None

    async def retrieve(self, request: Mapping[str, Any]) -> Retrieval:
        """Answers one request; a server that fails gives an error after the retry budget."""
        return (await self.retrieve_batch([request]))[0]

    async def retrieve_batch(self, requests: Sequence[Mapping[str, Any]]) -> list[Retrieval]:
        """Answers several requests in one call to the server, in the order given.

        Raises:
            TypeError: a request holds what JSON cannot (a caller's mistake, not a failure of the server).
        """
        if not requests:
            return []
        body = json.dumps([dict(request) for request in requests]).encode("ascii")
        answer = await self._attempt(body, len(requests))
        for retry in range(self.max_retries):
            if not isinstance(answer, _Failure) or not answer.may_pass:
                break
            await asyncio.sleep(self.backoff_s * 2**retry * self._random.uniform(0.5, 1.5))
            answer = await self._attempt(body, len(requests))
        if not isinstance(answer, _Failure):
            return answer
        error = RetrievalError(answer.error.code, str(answer.error))
        return [Retrieval((), 0.0, 0, error) for _ in requests]

    async def aclose(self) -> None:
        """Closes the connections; the next request opens new ones."""
        connection, self._connection = self._connection, None
        if connection is not None and connection.loop is asyncio.get_running_loop():
            await connection.http.aclose()

    async def _attempt(self, body: bytes, num_requests: int) -> list[Retrieval] | _Failure:
        connection = self._connected()
        async with connection.slots:
            try:
                # httpx limits each read; a server that drips its answer is limited only by this.
                async with asyncio.timeout(self.timeout_s):
                    response = await connection.http.post(
                        self.search_url, content=body, headers=self._headers
                    )
            except (TimeoutError, httpx.TimeoutException):
                return _Failure(
                    ServerTimeout(f"no answer from {self.search_url} within {self.timeout_s:g} s")
                )
            except httpx.DecodingError as error:
                return _Failure(BadResponse(f"{self.search_url} answered with broken content ({error})"))
            except httpx.HTTPError as error:
                reason = str(error) or type(error).__name__
                return _Failure(ServerUnavailable(f"{self.search_url} cannot be reached ({reason})"))
        if response.status_code != httpx.codes.OK:
            problem = f"{self.search_url} answered {response.status_code} {quoted(response.text)}"
            may_pass = response.status_code >= 500 or response.status_code == RETRIED_STATUS
            return _Failure(BadResponse(problem), may_pass)
        try:
            items = response.json()
        except (ValueError, RecursionError):
            return _Failure(BadResponse(f"{self.search_url} answered with what is not JSON"))
        if not isinstance(items, list) or len(items) != num_requests:
            return _Failure(
                BadResponse(f"{self.search_url} did not answer with a list of {num_requests} items")
            )
        return [parse_item(item) for item in items]

    def _connected(self) -> _Connection:
        # Connections belong to the event loop they were opened in; a blocking caller opens one per call.
        loop = asyncio.get_running_loop()
        if self._connection is None or self._connection.loop is not loop:
            limits = httpx.Limits(max_connections=self.max_connections)
            # trust_env off: a proxy meant for the internet must not stand between us and a local server.
            http = httpx.AsyncClient(timeout=self.timeout_s, limits=limits, trust_env=False)
            self._connection = _Connection(loop, http, asyncio.Semaphore(self.max_connections))
        return self._connection


@dataclass(frozen=True)
class _Connection:
    loop: asyncio.AbstractEventLoop
    http: httpx.AsyncClient
    slots: asyncio.Semaphore


@dataclass(frozen=True)
class _Failure:
    error: KGError
    may_pass: bool = True


def parse_item(item: object) -> Retrieval:
    """One item of the server's reply; one that is not as documented gives an error `bad_response`."""
    results = item.get("results") if isinstance(item, Mapping) else None
    if (
        not isinstance(item, Mapping)
        or not isinstance(results, list)
        or not all(isinstance(result, dict) for result in results)
        or type(item.get("query_time")) not in (int, float)
        or type(item.get("total_results")) is not int
    ):
        bad = BadResponse(f"the server gave {quoted(repr(item))}, which is no item of its documented reply")
        return Retrieval((), 0.0, 0, RetrievalError(bad.code, str(bad)))
    errors = [
        RetrievalError(str(result.get("code", BadResponse.code)), str(result["error"]))
        for result in results
        if "error" in result
    ]
    return Retrieval(
        results=tuple(results),
        query_time=float(item["query_time"]),
        total_results=item["total_results"],
        error=errors[0] if errors else None,
    )


def check_server(search_url: str, timeout_s: float = 5.0) -> None:
    """Makes sure that a KG server answers at the address.

    Args:
        search_url: the address of /retrieve.
        timeout_s: seconds to wait for its /health.

    Raises:
        ServerUnavailable: none does; the message names the address and the command that starts one.
        ValueError: `search_url` is not an http(s) address.
    """
    url = _checked_url(search_url)
    address = server_address(search_url, "/health")
    hint = f"Start one with: {START_COMMAND} {url.port or (443 if url.scheme == 'https' else 80)}"
    try:
        response = httpx.get(address, timeout=timeout_s, trust_env=False)
        health = response.json()
    except httpx.HTTPError as error:
        reason = str(error) or type(error).__name__
        raise ServerUnavailable(f"no KG server answers at {search_url} ({reason})", hint) from error
    except (ValueError, RecursionError) as error:
        raise ServerUnavailable(f"what answers at {search_url} is not a KG server", hint) from error
    if not isinstance(health, dict) or health.get("service") != SERVICE_NAME:
        raise ServerUnavailable(f"what answers at {search_url} is not a KG server", hint)
    if response.status_code != httpx.codes.OK or health.get("status") != "healthy":
        raise ServerUnavailable(f"the KG server at {search_url} is not healthy", hint)


def server_address(search_url: str, path: str) -> httpx.URL:
    """Another path of the server whose /retrieve is at `search_url`, behind the same prefix if it has one.

    Raises:
        ValueError: `search_url` is not an http(s) address.
    """
    url = _checked_url(search_url)
    return url.copy_with(path=url.path.removesuffix("/").removesuffix("/retrieve") + path, query=None)


def _checked_url(search_url: str) -> httpx.URL:
    try:
        url = httpx.URL(search_url)
    except (httpx.InvalidURL, TypeError) as error:
        raise ValueError(f"search_url {search_url!r} is not an address ({error})") from error
    if url.scheme not in ("http", "https") or not url.host:
        raise ValueError(
            f"search_url {search_url!r} is not an http address such as http://127.0.0.1:8001/retrieve"
        )
    return url
