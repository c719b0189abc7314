"""The HTTP service: `create_app` puts a retriever behind FastAPI. Endpoints: docs/server.md."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from kg_r1 import __version__
from kg_r1.kg.store import CacheInfo
from kg_r1.search.actions import SearchRequest
from kg_r1.search.errors import one_line
from kg_r1.search.results import SERVICE_NAME
from kg_r1.search.retriever import KnowledgeGraphRetriever, json_type

__all__ = ["KnowledgeGraphRetriever", "create_app"]

HTTP_CODES = {404: "not_found", 405: "method_not_allowed", 422: "bad_request"}


def create_app(retriever: KnowledgeGraphRetriever) -> FastAPI:
    """The HTTP service over a retriever. Endpoints: docs/server.md."""
    app = FastAPI(title="KG retrieval", version=__version__)
    started = time.monotonic()

    @app.post("/retrieve", openapi_extra={"requestBody": _request_body_schema()})
    async def retrieve(request: Request) -> Response:
        body = await request.body()
        # In a worker thread: reading a large graph takes seconds, and /health must answer meanwhile.
        return await run_in_threadpool(_retrieve_json, retriever, body)

    @app.get("/health")
    async def health() -> dict[str, Any]:
        uptime = round(time.monotonic() - started, 3)
        return {"status": "healthy", "service": SERVICE_NAME, "version": __version__, "uptime": uptime}

    @app.get("/actions")
    async def actions() -> dict[str, Any]:
        specs = retriever.registry.specs()
        details = {
            spec.name: {"required_fields": list(spec.required_fields), "description": spec.description}
            for spec in specs
        }
        return {"available_actions": [spec.name for spec in specs], "action_details": details}

    @app.get("/cache/info")
    async def cache_info() -> CacheInfo:
        return retriever.store.cache_info()

    @app.post("/cache/clear")
    async def cache_clear() -> dict[str, str]:
        retriever.store.clear_cache()
        return {"message": "Cache cleared successfully"}

    @app.exception_handler(HTTPException)
    async def refuse(request: Request, error: HTTPException) -> Response:
        return _refusal(error.status_code, str(error.detail), error.headers)

    return app


def _retrieve_json(retriever: KnowledgeGraphRetriever, body: bytes) -> Response:
    try:
        requests = json.loads(body)
    except (ValueError, RecursionError) as error:
        return _refusal(422, f"the body is not JSON ({error})")
    if not isinstance(requests, list):
        return _refusal(422, f"the body must be a list of requests, not {json_type(requests)}")
    # ASCII escapes carry every string Python can hold, lone surrogates included.
    content = json.dumps(retriever.retrieve_batch(requests))
    return Response(content=content.encode("ascii"), media_type="application/json")


def _refusal(status: int, problem: str, headers: Mapping[str, str] | None = None) -> Response:
    content = {"error": one_line(problem), "code": HTTP_CODES.get(status, "bad_request")}
    return JSONResponse(content, status_code=status, headers=headers)


def _request_body_schema() -> dict[str, Any]:
    schema = {"type": "array", "items": SearchRequest.model_json_schema()}
    return {"required": True, "content": {"application/json": {"schema": schema}}}
