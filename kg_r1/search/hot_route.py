"""POST /retrieve: from the bytes of a body to the bytes of the reply, past FastAPI's checks and encoders.

In: the body of a request, a JSON list. Out: a `BatchAnswer` with one item per request, or `Refused`. What the
retriever has at hand (`quick`) is answered on the event loop, in short turns; everything else by `retrieve`
in a worker thread, so that a graph that takes seconds to read holds up nobody.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from starlette.concurrency import run_in_threadpool
from starlette.types import Receive

from kg_r1.search.errors import CODES, InvalidField, KGError, ReplyTooLarge, quoted
from kg_r1.search.limits import (
    ServerLimits,
    has_float,
    is_nested_deeper,
    overlong_field,
)
from kg_r1.search.replies import Refused
from kg_r1.search.retriever import KnowledgeGraphRetriever, json_type

MAX_TURN_S = 0.0005
"""Longest work on the event loop before others are let in; a turn may be longer by one look at the clock."""

LOOK_EVERY = 16
"""Quick items between two looks at the clock."""

MAX_THREAD_ITEMS = 64
"""Most items of one call to a worker thread: the threads are shared by all batches, in turn."""

OK = "ok"
UNKNOWN_ACTION = "unknown"
OTHER_CODE = "other"
KNOWN_CODES = frozenset(CODES)

ItemCounts = Counter[tuple[str, str]]  # (action, code) -> items


class Disconnected(Exception):
    """The client went away before its body was whole; there is nobody to answer."""


@dataclass(frozen=True)
class BatchAnswer:
    """The answer to a whole body.

    Attributes:
        body: a JSON list with one item per request.
        num_items: how many requests there were.
        num_slow: how many of them the retriever had to be asked in a thread.
        counts: items per (action, code).
    """

    body: bytes
    num_items: int
    num_slow: int
    counts: ItemCounts


class HotRoute:
    """Answers the bodies of POST /retrieve. Belongs to one event loop.

    Args:
        retriever: answers each request.
        limits: of a body, a batch, its texts and its reply.
    """

    def __init__(self, retriever: KnowledgeGraphRetriever, limits: ServerLimits) -> None:
        self.retriever = retriever
        self.limits = limits
        self._turn = asyncio.Lock()  # first come, first served
        self._spent_s = 0.0  # work on the event loop since others were last let in

    async def answer(self, receive: Receive, content_length: bytes | None) -> BatchAnswer:
        """Reads a body and answers it.

        Args:
            receive: gives the body, as ASGI messages.
            content_length: the header, if there is one; a body that announces too much is not read.

        Raises:
            Refused: the body is too large, too slow, or no list of requests.
            Disconnected: the client went away.
        """
        body = await self._read(receive, content_length)
        async with self._turn:
            start = time.perf_counter()
            batch = _Batch(body, _decoded(body, self.limits), self.limits)
            slow = await self._answer_quickly(batch, await self._let_others_in(start))
        for first in range(0, len(slow), MAX_THREAD_ITEMS):
            await run_in_threadpool(self._answer_slowly, batch, slow[first : first + MAX_THREAD_ITEMS])
        content = b"[" + b",".join(batch.parts) + b"]"
        return BatchAnswer(content, len(batch.requests), len(slow), batch.counts)

    async def _answer_quickly(self, batch: _Batch, start: float) -> list[int]:
        """Puts the items that are at hand in their places; gives the indices of the others."""
        slow: list[int] = []
        requests, quick = batch.requests, self.retriever.quick
        # No text has more characters than the body has bytes, so a small body needs no look at its texts.
        has_long_texts = len(batch.body) > self.limits.max_text_chars
        for first in range(0, len(requests), LOOK_EVERY):
            for index in range(first, min(first + LOOK_EVERY, len(requests))):
                request = requests[index]
                if has_long_texts and self._put_overlong(batch, index):
                    continue
                part = quick(request)
                if part is None:
                    slow.append(index)
                else:
                    batch.put(index, part, request["action_type"], OK)
            start = await self._let_others_in(start)
        return slow

    def _answer_slowly(self, batch: _Batch, indices: list[int]) -> None:
        """Puts the items of some requests in their places; in a worker thread, one at a time per batch."""
        for index, request in zip(indices, batch.exact(indices), strict=True):
            item = self.retriever.retrieve(request)
            batch.put(index, encoded(item), _action_of(request, self.retriever), _code_of(item))

    def _put_overlong(self, batch: _Batch, index: int) -> bool:
        limit = self.limits.max_text_chars
        request = batch.requests[index]
        name = overlong_field(request, limit)
        if name is not None:
            error = InvalidField(f"field {quoted(name)} holds a text of more than {limit} characters")
            batch.put(index, _error_item(error), _action_of(request, self.retriever), error.code)
        return name is not None

    async def _read(self, receive: Receive, content_length: bytes | None) -> bytes:
        limit = self.limits.max_body_bytes
        if content_length is not None and content_length.isdigit() and int(content_length) > limit:
            raise _too_large(int(content_length), limit)
        chunks: list[bytes] = []
        num_bytes = 0
        try:
            async with asyncio.timeout(self.limits.max_body_read_s):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise Disconnected
                    chunks.append(message.get("body", b""))
                    num_bytes += len(chunks[-1])
                    if num_bytes > limit:
                        raise _too_large(num_bytes, limit)
                    if not message.get("more_body", False):
                        return chunks[0] if len(chunks) == 1 else b"".join(chunks)
        except TimeoutError as error:
            problem = f"the body did not arrive within {self.limits.max_body_read_s:g} s"
            # What is left of the body could not be told from the next request.
            raise Refused(408, problem, ((b"connection", b"close"),)) from error

    async def _let_others_in(self, start: float) -> float:
        """Ends the turn if it was long enough; gives the time at which the next piece of work starts.

        The lock is kept meanwhile. Small batches add up to one turn, so that many cannot fill an iteration
        of the loop.
        """
        now = time.perf_counter()
        self._spent_s += now - start
        if self._spent_s < MAX_TURN_S:
            return now
        self._spent_s = 0.0
        await asyncio.sleep(0)
        return time.perf_counter()


class _Batch:
    """The requests of one body, and their items as they come, each in its place unless it is too large."""

    def __init__(self, body: bytes, requests: list[Any], limits: ServerLimits) -> None:
        self.body = body
        self.requests = requests
        self.parts = [b""] * len(requests)
        self.counts: ItemCounts = Counter()
        self._limits = limits
        self._num_bytes = 0
        self._is_exact = False

    def put(self, index: int, part: bytes, action: str, code: str) -> None:
        """Puts one item, and counts it under its action and code."""
        if len(part) > self._limits.max_item_bytes:
            allowed = f"at most {self._limits.max_item_bytes} bytes are sent for one request"
            part, code = _too_large_item(len(part), allowed), ReplyTooLarge.code
        elif self._num_bytes + len(part) > self._limits.max_reply_bytes:
            allowed = f"at most {self._limits.max_reply_bytes} bytes are sent for one body"
            part, code = _too_large_item(len(part), allowed), ReplyTooLarge.code
        self._num_bytes += len(part)
        self.parts[index] = part
        self.counts[action, code] += 1

    def exact(self, indices: list[int]) -> list[Any]:
        """Some requests, with the integers beyond 64 bits that orjson reads as floats."""
        if not self._is_exact and has_float([self.requests[index] for index in indices]):
            self.requests = _decoded_exactly(self.body)
            self._is_exact = True
        return [self.requests[index] for index in indices]


def encoded(item: Mapping[str, Any]) -> bytes:
    """An item as JSON: compact UTF-8, or ASCII escapes where it holds lone surrogates or huge integers."""
    try:
        return orjson.dumps(item)
    except orjson.JSONEncodeError:
        return json.dumps(item, separators=(",", ":")).encode("ascii")


def _decoded(body: bytes, limits: ServerLimits) -> list[Any]:
    """The requests of a body. Raises Refused."""
    try:
        requests = orjson.loads(body)
    except orjson.JSONDecodeError:
        # Stricter than the documented format: lone surrogates and NaN spoil their own item only.
        requests = _decoded_exactly(body)
    if not isinstance(requests, list):
        raise Refused(422, f"the body must be a list of requests, not {json_type(requests)}")
    if len(requests) > limits.max_batch_requests:
        raise Refused(
            413, f"{len(requests)} requests in one body; at most {limits.max_batch_requests} are taken"
        )
    # Brackets bound the depth: the list, one of the objects, and at worst all others within each other.
    num_objects = [type(request) for request in requests].count(dict)
    max_depth = body.count(b"[") + body.count(b"{") - num_objects + 1
    if max_depth > limits.max_json_depth and is_nested_deeper(requests, limits.max_json_depth):
        raise Refused(422, f"the body is nested more than {limits.max_json_depth} deep")
    return requests


def _decoded_exactly(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Refused(422, f"the body is not JSON ({error})") from error


def _too_large(num_bytes: int, limit: int) -> Refused:
    return Refused(413, f"a body of {num_bytes} bytes or more; at most {limit} are taken")


def _too_large_item(num_bytes: int, allowed: str) -> bytes:
    hint = "Ask for less with 'limit' and 'offset'"
    return _error_item(ReplyTooLarge(f"the answer has {num_bytes} bytes, and {allowed}", hint))


def _error_item(error: KGError) -> bytes:
    result = {"error": str(error), "code": error.code}
    return orjson.dumps({"results": [result], "query_time": 0.0, "total_results": 0})


def _action_of(request: object, retriever: KnowledgeGraphRetriever) -> str:
    """The action to count a request under. Only names of the registry: a client must not make up labels."""
    name = request.get("action_type") if isinstance(request, Mapping) else None
    return name if isinstance(name, str) and name in retriever.registry else UNKNOWN_ACTION


def _code_of(item: Mapping[str, Any]) -> str:
    results: Iterable[Mapping[str, Any]] = item["results"]
    for result in results:
        if result.get("error") is not None:
            code = result.get("code")
            return code if code in KNOWN_CODES else OTHER_CODE
    return OK
