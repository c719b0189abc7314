"""The service over HTTP: docs/kblampp_service.md has the endpoints. `create_app` is a thin layer."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import time
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from fastapi import FastAPI, Request, Response
from fastapi.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from kblampp.errors import KblamppError
from kblampp.eval.evidence import answer_record
from kblampp.infer.errors import (
    AnswerFailed,
    BadRequest,
    InvalidField,
    MissingField,
    ServiceError,
    SwapDisabled,
    TooLarge,
    UnknownStore,
)
from kblampp.infer.queries import query_of
from kblampp.infer.service import InjectionService, Reply
from kblampp.pages import self_contained

logger = logging.getLogger(__name__)
SERVICE_NAME = "kblampp_injection"
_HTTP_CODES = {404: "not_found", 405: "method_not_allowed"}
_STATUS_CONFLICT = 409


@dataclass(frozen=True)
class Limits:
    """Of one request."""

    max_body_bytes: int = 1_000_000
    max_questions: int = 256
    max_question_chars: int = 2000


def create_app(
    service: InjectionService, limits: Limits | None = None, store_root: Path | None = None
) -> FastAPI:
    """The HTTP service.

    Args:
        service: answers; who makes the app closes it.
        limits: of a request; None: the defaults of `Limits`.
        store_root: folder with one folder per store, for /admin/swap; None switches that off.
    """
    app = FastAPI(title="Injected knowledge", docs_url=None, redoc_url=None, openapi_url=None)
    limits = limits or Limits()
    page = self_contained("kblampp.infer", "ask", title="Ask with injected facts", connects=True)
    started = time.monotonic()

    @app.post("/qa")
    async def qa(request: Request) -> Response:
        return await _answered(service, limits, await _json_body(request, limits), with_paths=False)

    @app.post("/qa_with_paths")
    async def qa_with_paths(request: Request) -> Response:
        return await _answered(service, limits, await _json_body(request, limits), with_paths=True)

    @app.get("/health")
    async def health() -> Response:
        uptime_s = round(time.monotonic() - started, 3)
        about = {"status": "healthy", "service": SERVICE_NAME, "uptime_s": uptime_s}
        return _json(about | service.status())

    @app.post("/admin/swap")
    async def swap(request: Request) -> Response:
        body = await _json_body(request, limits)
        return _json(await run_in_threadpool(_swapped, service, store_root, request, body))

    @app.get("/")
    async def ask_page() -> Response:
        return Response(page, media_type="text/html")

    @app.exception_handler(KblamppError)
    async def refuse(_: Request, error: KblamppError) -> Response:
        status = error.status if isinstance(error, ServiceError) else _STATUS_CONFLICT
        return _json(_error(error), status)

    @app.exception_handler(HTTPException)
    async def refuse_http(_: Request, error: HTTPException) -> Response:
        code = _HTTP_CODES.get(error.status_code, BadRequest.code)
        content = {"error": str(error.detail), "code": code}
        return _json(content, error.status_code, error.headers)

    @app.exception_handler(Exception)
    async def broken(_: Request, error: Exception) -> Response:
        # uvicorn logs it; the client hears no more than that it broke.
        failure = AnswerFailed(f"the request failed with {type(error).__name__}; the log says more")
        return _json(_error(failure), failure.status)

    return app


async def _answered(service: InjectionService, limits: Limits, body: Any, *, with_paths: bool) -> Response:
    """One item for {question, ...}, a list of items for {questions: [...]}."""
    if not isinstance(body, Mapping):
        raise BadRequest("the body must be an object with 'question' or 'questions'")
    if "questions" not in body:
        [item] = await _items(service, limits, [body], with_paths)
        failure = item.pop("_status", None)
        return _json(item, failure or 200)
    if set(body) != {"questions"} or not isinstance(body["questions"], list):
        raise BadRequest("'questions' is a list of questions, and stands alone")
    if len(body["questions"]) > limits.max_questions:
        raise TooLarge(f"{len(body['questions'])} questions; at most {limits.max_questions} are allowed")
    items = await _items(service, limits, body["questions"], with_paths)
    return _json({"answers": [{k: v for k, v in item.items() if k != "_status"} for item in items]})


async def _items(
    service: InjectionService, limits: Limits, values: list[Any], with_paths: bool
) -> list[dict[str, Any]]:
    """An item for each question; what is wrong with one is told in its place."""
    queries: dict[int, Any] = {}
    items: dict[int, dict[str, Any]] = {}
    for number, value in enumerate(values):
        try:
            queries[number] = query_of(value, limits.max_question_chars)
        except ServiceError as error:
            items[number] = _error(error) | {"_status": error.status}
    futures = dict(zip(queries, service.submit(list(queries.values())), strict=True))
    for number, future in futures.items():
        items[number] = await _item(future, service.num_hops, with_paths)
    return [items[number] for number in range(len(values))]


async def _item(future: Future[Reply], num_hops: int, with_paths: bool) -> dict[str, Any]:
    try:
        reply = await asyncio.wrap_future(future)
    except KblamppError as error:
        return _error(error) | {"_status": getattr(error, "status", _STATUS_CONFLICT)}
    record = answer_record(reply.answer, num_hops)
    if not with_paths:
        del record["paths"], record["path"]
    return {
        "question": reply.query.question,
        "question_time": reply.query.time.to_json(),
        "answer": reply.answer.text,
        "is_refusal": reply.answer.is_refusal,
        **record,
        "store": reply.store,
        "num_prompt_tokens": reply.answer.num_prompt_tokens,
        "num_answer_tokens": reply.answer.num_answer_tokens,
    }


def _swapped(
    service: InjectionService, store_root: Path | None, request: Request, body: Any
) -> dict[str, Any]:
    if store_root is None:
        raise SwapDisabled("stores are not exchanged; start the server with --store-root to allow it")
    # A page of another site can send text, but not this type, without being asked for leave first.
    if request.headers.get("content-type", "").split(";")[0].strip().lower() != "application/json":
        raise BadRequest("the content type must be application/json")
    if not isinstance(body, Mapping) or "store" not in body:
        raise MissingField("field 'store' is missing")
    if set(body) != {"store"} or not isinstance(body["store"], str):
        raise InvalidField("the body is {'store': name}")
    folders = stores_in(store_root)
    if body["store"] not in folders:
        raise UnknownStore(f"there is no such store; there are: {', '.join(sorted(folders)) or 'none'}")
    num_facts = service.swap(folders[body["store"]], body["store"])
    return {"store": body["store"], "num_facts": num_facts}


def stores_in(root: Path) -> dict[str, Path]:
    """The folders of a folder that can be stores, by name; listed anew at each call."""
    with os.scandir(root) as entries:
        return {it.name: Path(it.path) for it in entries if it.is_dir() and not it.name.startswith(".")}


async def _json_body(request: Request, limits: Limits) -> Any:
    """Raises TooLarge before more than the limit was read, BadRequest for what is not JSON."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limits.max_body_bytes:
            raise TooLarge(f"the body has more than {limits.max_body_bytes} bytes")
    try:
        return json.loads(body, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise BadRequest(f"the body is not JSON ({_one_line(error)})") from error


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number")


def _error(error: KblamppError) -> dict[str, Any]:
    return {"error": _one_line(error), "code": error.code}


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


def _json(content: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    # ASCII escapes carry every text that Python can hold, lone surrogates included.
    written = json.dumps(content, allow_nan=False).encode("ascii")
    own = {"X-Content-Type-Options": "nosniff", **(headers or {})}
    return Response(written, status_code=status, media_type="application/json", headers=own)
