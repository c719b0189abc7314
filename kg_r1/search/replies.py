"""What the server sends: the documented shapes, and a reply ready to be sent.

The models are read by /docs and /openapi.json alone; replies are written as bytes without them, since
validating what the retriever has just made would take longer than making it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from pydantic import BaseModel, ConfigDict

from kg_r1.search.errors import one_line

Headers = tuple[tuple[bytes, bytes], ...]

HTTP_CODES = {
    401: "unauthorized",
    404: "not_found",
    405: "method_not_allowed",
    408: "request_timeout",
    413: "too_large",
    422: "bad_request",
    429: "too_many_requests",
    500: "internal_error",
    503: "overloaded",
}


class ReplyItem(BaseModel):
    """The answer to one request: a result, or {"error": one line, "code": code} in its place."""

    results: list[dict[str, Any]]
    query_time: float
    total_results: int


class Refusal(BaseModel):
    """An HTTP request that is refused as a whole."""

    error: str
    code: str


class HealthReply(BaseModel):
    """That the server answers; `uptime` in seconds."""

    status: str
    service: str
    version: str
    uptime: float


class ActionDetails(BaseModel):
    """One action of the registry."""

    required_fields: list[str]
    description: str


class ActionsReply(BaseModel):
    """The actions there are."""

    available_actions: list[str]
    action_details: dict[str, ActionDetails]


class DatasetsReply(BaseModel):
    """The data sets there are."""

    datasets: list[str]


class CacheReply(BaseModel):
    """The cache of the worker that answers; `worker` and `num_workers` are there if there are several."""

    model_config = ConfigDict(extra="forbid")

    cache_enabled: bool
    cache_size: int
    max_cache_size: int
    cached_items: list[str]
    worker: int | None = None
    num_workers: int | None = None


class Message(BaseModel):
    """A line that says what was done."""

    message: str


_MEANINGS = {
    401: "The server has a key, and the request does not carry it.",
    408: "The body did not arrive in time.",
    413: "The body or the batch is larger than the server takes.",
    422: "The body is not JSON, not a list, or nested too deeply.",
    429: "Never given by this server; a proxy in front of it may, and the clients wait and ask again.",
    500: "The server broke; its log says more.",
    503: "More requests are under way than the server takes; ask again after `Retry-After` seconds.",
}


def refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The documentation of refusals, in the form that a FastAPI route takes."""
    return {status: {"model": Refusal, "description": _MEANINGS[status]} for status in statuses}


@dataclass(frozen=True)
class Reply:
    """A whole reply.

    Attributes:
        status: the HTTP status.
        body: JSON in UTF-8.
        headers: beside content-type and content-length.
    """

    status: int
    body: bytes
    headers: Headers = ()


class Refused(Exception):
    """The HTTP request is refused as a whole, with a status of `HTTP_CODES` and one line."""

    def __init__(self, status: int, problem: str, headers: Headers = ()) -> None:
        super().__init__(problem)
        self.reply = refusal(status, problem, headers)


def refusal(status: int, problem: str, headers: Headers = ()) -> Reply:
    """The reply of a refusal: {"error": one line, "code": code}."""
    content = {"error": one_line(problem), "code": HTTP_CODES.get(status, "bad_request")}
    return Reply(status, orjson.dumps(content), headers)


def as_headers(headers: Mapping[str, str] | None) -> Headers:
    """Headers as ASGI wants them."""
    return tuple((name.lower().encode(), value.encode("latin-1")) for name, value in (headers or {}).items())
