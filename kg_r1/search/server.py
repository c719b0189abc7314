"""The HTTP service: `create_app` puts a retriever behind a gate and FastAPI. Endpoints: docs/server.md."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Any

from fastapi import APIRouter, FastAPI, Request, Response, Security
from fastapi.security import HTTPBearer
from starlette.exceptions import HTTPException
from starlette.routing import Route

from kg_r1 import __version__
from kg_r1.search.access import ApiKey
from kg_r1.search.actions import SearchRequest
from kg_r1.search.gate import HEALTH, RETRIEVE, Gate
from kg_r1.search.hot_route import HotRoute
from kg_r1.search.limits import ServerLimits
from kg_r1.search.metrics import CountsCollector
from kg_r1.search.replies import (
    ActionsReply,
    CacheReply,
    DatasetsReply,
    HealthReply,
    Message,
    ReplyItem,
    as_headers,
    refusal,
    refusals,
)
from kg_r1.search.results import SERVICE_NAME
from kg_r1.search.retriever import KnowledgeGraphRetriever
from kg_r1.search.worker_state import WorkerState

__all__ = ["KnowledgeGraphRetriever", "create_app"]

METRICS_TYPE = "text/plain; version=1.0.0; charset=utf-8"
METRICS_DOCUMENTED: dict[int | str, dict[str, Any]] = {
    200: {"content": {"text/plain": {"schema": {"type": "string"}}}}
}


def create_app(
    retriever: KnowledgeGraphRetriever,
    limits: ServerLimits | None = None,
    *,
    key: ApiKey | None = None,
    state: WorkerState | None = None,
    logs_requests: bool = False,
) -> FastAPI:
    """The HTTP service over a retriever, for one event loop. Endpoints: docs/server.md.

    Args:
        retriever: answers the requests.
        limits: of what a client may ask; None: the defaults.
        key: what every request but one to /health must carry; None for an open server.
        state: counts and shared memory of a worker among several; None for a server of one process.
        logs_requests: whether each HTTP request is logged as a line of JSON on stderr.
    """
    limits = limits or ServerLimits()
    state = state or WorkerState(retriever.store)
    app = FastAPI(title="KG retrieval", version=__version__)
    app.include_router(_health_router())
    guards = (
        [] if key is None else [Security(HTTPBearer(auto_error=False))]
    )  # the gate checks; this documents
    common = refusals(503) if key is None else refusals(401, 503)
    for router in (_retrieve_router(limits), _info_router(retriever, state)):
        app.include_router(router, dependencies=guards, responses=common)

    @app.exception_handler(HTTPException)
    async def refuse(request: Request, error: HTTPException) -> Response:
        reply = refusal(error.status_code, str(error.detail), as_headers(error.headers))
        response = Response(reply.body, reply.status, media_type="application/json")
        response.raw_headers.extend(reply.headers)
        return response

    app.add_middleware(
        Gate,
        hot_route=HotRoute(retriever, limits),
        limits=limits,
        state=state,
        paths=frozenset(route.path for route in app.routes if isinstance(route, Route)),
        key=key,
        logs_requests=logs_requests,
    )
    return app


def _retrieve_router(limits: ServerLimits) -> APIRouter:
    router = APIRouter()
    items = SearchRequest.model_json_schema()
    schema = {"type": "array", "maxItems": limits.max_batch_requests, "items": items}
    body = {"required": True, "content": {"application/json": {"schema": schema}}}

    @router.post(RETRIEVE, responses=refusals(408, 413, 422, 429, 500), openapi_extra={"requestBody": body})
    async def retrieve() -> list[ReplyItem]:
        """Answers each request with an item, in the same order; one that is wrong fails alone."""
        raise NotImplementedError("the gate answers this path; the function is here to document it")

    return router


def _health_router() -> APIRouter:
    router = APIRouter()
    started = time.monotonic()

    @router.get(HEALTH)
    async def health() -> HealthReply:
        """Says that the server answers. Needs no key."""
        uptime = round(time.monotonic() - started, 3)
        return HealthReply(status="healthy", service=SERVICE_NAME, version=__version__, uptime=uptime)

    return router


def _info_router(retriever: KnowledgeGraphRetriever, state: WorkerState) -> APIRouter:
    router = APIRouter()
    collector = CountsCollector(state.all_counts, lambda: len(retriever.store.datasets()))

    @router.get("/actions", response_model=ActionsReply)
    async def actions() -> dict[str, Any]:
        """Lists the actions and the fields that each needs."""
        specs = retriever.registry.specs()
        details = {
            spec.name: {"required_fields": list(spec.required_fields), "description": spec.description}
            for spec in specs
        }
        return {"available_actions": [spec.name for spec in specs], "action_details": details}

    @router.get("/datasets")
    def datasets() -> DatasetsReply:
        """Lists the data sets."""
        return DatasetsReply(datasets=retriever.store.datasets())

    @router.get("/cache/info", response_model=CacheReply, response_model_exclude_none=True)
    async def cache_info() -> dict[str, Any]:
        """Tells what the worker that answers has in its cache."""
        info = asdict(retriever.store.cache_info())
        return info if state.num_workers == 1 else info | _place(state)

    @router.post("/cache/clear")
    async def cache_clear() -> Message:
        """Clears the cache of every worker."""
        state.clear_everywhere()
        return Message(message="Cache cleared successfully")

    @router.get("/metrics", response_class=Response, responses=METRICS_DOCUMENTED)
    def metrics() -> Response:
        """The counts of all workers in Prometheus's text format."""
        return Response(collector.exposition(), media_type=METRICS_TYPE)

    return router


def _place(state: WorkerState) -> dict[str, int]:
    return {"worker": state.worker, "num_workers": state.num_workers}
