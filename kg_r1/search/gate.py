"""The way in: every HTTP request passes the `Gate`, which lets it through, answers it, or turns it away.

In: ASGI requests. Out: replies with a request id, counted and, if wanted, logged as one line of JSON each.
POST /retrieve is answered by the hot route; all other paths by the application behind the gate.
"""

from __future__ import annotations

import json
import logging
import re
import sys
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from kg_r1.search.access import ApiKey
from kg_r1.search.hot_route import BatchAnswer, Disconnected, HotRoute
from kg_r1.search.limits import ServerLimits
from kg_r1.search.metrics import OTHER_PATH
from kg_r1.search.replies import Headers, Refused, Reply, refusal
from kg_r1.search.worker_state import WorkerState

logger = logging.getLogger(__name__)

RETRIEVE, HEALTH = "/retrieve", "/health"
REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,128}")
CLIENT_GONE = 499  # counted and logged, never sent: the client left before its body was whole
MAX_LOGGED_PATH = 200
_JSON = (b"content-type", b"application/json")


@dataclass
class _Outcome:
    """What became of one HTTP request, for the counts and the log; `answer` where a batch was answered."""

    status: int = CLIENT_GONE
    num_bytes: int = 0
    answer: BatchAnswer | None = None


class Gate:
    """ASGI middleware that guards, limits, numbers, counts and logs requests. Belongs to one event loop.

    Args:
        app: answers what the hot route does not.
        hot_route: answers POST /retrieve.
        limits: of requests under way at once; /health is exempt.
        state: where requests are counted.
        paths: the paths to count under their own name.
        key: what every request but one to /health must carry; None for an open server.
        logs_requests: whether each request is logged on stderr.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        hot_route: HotRoute,
        limits: ServerLimits,
        state: WorkerState,
        paths: frozenset[str],
        key: ApiKey | None = None,
        logs_requests: bool = False,
    ) -> None:
        self.app = app
        self.hot_route = hot_route
        self.max_concurrent_requests = limits.max_concurrent_requests
        self.state = state
        self.paths = paths
        self.key = key
        self.logs_requests = logs_requests
        self._num_under_way = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one HTTP request; other kinds of connection are the application's."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        start = time.perf_counter()
        headers = dict(scope["headers"])
        given = headers.get(b"x-request-id", b"")
        request_id = given if REQUEST_ID.fullmatch(given) else uuid.uuid4().hex.encode()
        outcome = _Outcome()
        # What is below the place where the application was mounted, as its own routes see it.
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        counts_as_load = path != HEALTH
        self._num_under_way += counts_as_load
        try:
            self.state.follow_clears()
            refused = self._turned_away(headers) if counts_as_load else None
            if refused is not None:
                await _send(refused, request_id, outcome, send)
            elif path == RETRIEVE and scope["method"] == "POST":
                reply = await self._retrieve(receive, headers, outcome)
                if reply is not None:
                    await _send(reply, request_id, outcome, send)
            else:
                await self._pass_on(scope, receive, send, request_id, outcome)
        finally:
            self._num_under_way -= counts_as_load
            self._note(scope["method"], path, request_id, outcome, time.perf_counter() - start)

    def _turned_away(self, headers: Mapping[bytes, bytes]) -> Reply | None:
        if self.key is not None and not self.key.is_in(headers.get(b"authorization", b"")):
            problem = "this server wants its key, as the header 'Authorization: Bearer <key>'"
            return refusal(401, problem, ((b"www-authenticate", b'Bearer realm="kg_retrieval"'),))
        if self._num_under_way > self.max_concurrent_requests:
            problem = f"{self.max_concurrent_requests} requests are under way; ask again in a second"
            return refusal(503, problem, ((b"retry-after", b"1"),))
        return None

    async def _retrieve(
        self, receive: Receive, headers: Mapping[bytes, bytes], outcome: _Outcome
    ) -> Reply | None:
        """The reply; None when the client has gone."""
        try:
            answer = await self.hot_route.answer(receive, headers.get(b"content-length"))
        except Refused as refused:
            return refused.reply
        except Disconnected:
            return None
        except Exception as error:
            logger.exception("POST %s failed", RETRIEVE)
            return _broken(error)
        outcome.answer = answer
        return Reply(200, answer.body)

    async def _pass_on(
        self, scope: Scope, receive: Receive, send: Send, request_id: bytes, outcome: _Outcome
    ) -> None:
        has_started = False

        async def send_on(message: Message) -> None:
            nonlocal has_started
            if message["type"] == "http.response.start":
                has_started = True
                outcome.status = message["status"]
                message = {**message, "headers": [*message["headers"], (b"x-request-id", request_id)]}
            else:
                outcome.num_bytes += len(message.get("body", b""))
            await send(message)

        try:
            await self.app(scope, receive, send_on)
        except Exception as error:
            logger.exception("%s %s failed", scope["method"], scope["path"][:MAX_LOGGED_PATH])
            if has_started:
                raise
            await _send(_broken(error), request_id, outcome, send)

    def _note(self, method: str, path: str, request_id: bytes, outcome: _Outcome, seconds: float) -> None:
        known = path if path in self.paths else OTHER_PATH
        answer = outcome.answer
        if answer is None:
            self.state.note(known, outcome.status, seconds, {})
        else:
            self.state.note(known, outcome.status, seconds, answer.counts, has_read=answer.num_slow > 0)
        if self.logs_requests:
            line = {
                "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
                "id": request_id.decode("ascii"),
                "method": method,
                "path": path[:MAX_LOGGED_PATH],
                "status": outcome.status,
                "items": None if answer is None else answer.num_items,
                "seconds": round(seconds, 6),
                "bytes": outcome.num_bytes,
            }
            # One write per line, in ASCII: lines of several workers must not run into each other.
            sys.stderr.write(json.dumps(line) + "\n")


async def _send(reply: Reply, request_id: bytes, outcome: _Outcome, send: Send) -> None:
    outcome.status, outcome.num_bytes = reply.status, len(reply.body)
    headers: Headers = (
        _JSON,
        (b"content-length", b"%d" % len(reply.body)),
        (b"x-request-id", request_id),
        *reply.headers,
    )
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": reply.body})


def _broken(error: Exception) -> Reply:
    return refusal(500, f"the server broke with {type(error).__name__}; its log says more")
