"""One process that serves: uvicorn, set up for many small requests.

In: a listening socket and what answers. Out: replies until SIGTERM or Ctrl-C, those under way included.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import socket
import sys
from dataclasses import dataclass
from importlib.util import find_spec

import uvicorn

from kg_r1.search.access import ApiKey
from kg_r1.search.limits import ServerLimits
from kg_r1.search.one_write import with_one_write
from kg_r1.search.retriever import KnowledgeGraphRetriever
from kg_r1.search.server import create_app
from kg_r1.search.shared import SharedState
from kg_r1.search.worker_state import WorkerState

logger = logging.getLogger(__name__)

KEEP_ALIVE_S = 75
"""Seconds that an idle connection is kept; longer than training pauses between two rounds of searches."""

SWITCH_INTERVAL_S = 0.0005
"""How long a thread may keep the interpreter while the event loop waits for it. Python's own 5 ms would be
the answering time of /health whenever one batch is answered in a thread."""


FAST_PARTS = ("uvloop", "httptools", "kg_r1.kg.compiled._lookup")
"""What may be missing: packages, and look-ups in C that need a compiler when the project is installed."""


@dataclass(frozen=True)
class Service:
    """What every worker of a server serves.

    Attributes:
        retriever: answers requests.
        limits: of what a client may ask.
        key: what requests must carry; None for an open server.
        logs_requests: whether each HTTP request is logged on stderr.
        max_stop_s: seconds that requests under way are given once the server is told to stop.
    """

    retriever: KnowledgeGraphRetriever
    limits: ServerLimits
    key: ApiKey | None
    logs_requests: bool
    max_stop_s: int

    def run(self, listener: socket.socket, shared: SharedState, worker: int = 0) -> None:
        """Serves as one worker until a signal; the signal is raised again at the end, as uvicorn does.

        Args:
            listener: a socket that listens; other processes may accept from it too.
            shared: the memory of all workers of the server.
            worker: this worker's number, from 0.
        """
        sys.setswitchinterval(SWITCH_INTERVAL_S)
        app = create_app(
            self.retriever,
            self.limits,
            key=self.key,
            state=WorkerState(self.retriever.store, shared, worker),
            logs_requests=self.logs_requests,
        )
        config = uvicorn.Config(
            app,
            loop="uvloop" if find_spec("uvloop") else "asyncio",
            http=_http_protocol(),
            ws="none",
            lifespan="off",
            interface="asgi3",
            proxy_headers=False,
            server_header=False,
            date_header=False,
            access_log=False,
            log_config=None,
            log_level="warning",
            timeout_keep_alive=KEEP_ALIVE_S,
            timeout_graceful_shutdown=self.max_stop_s,
        )
        # What was imported so far stays: looking through it over and over would hold up the event loop.
        gc.collect()
        gc.freeze()
        uvicorn.Server(config).run(sockets=[listener])


def warn_of_slow_parts() -> None:
    """Says once, in one line, which of the faster parts are not installed."""
    missing = [name for name in FAST_PARTS if find_spec(name) is None]
    if missing:
        logger.warning("%s not installed: the server works, but answers more slowly", " and ".join(missing))


def _http_protocol() -> type[asyncio.Protocol]:
    protocol: type[asyncio.Protocol]
    if find_spec("httptools"):
        from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol as protocol
    else:
        from uvicorn.protocols.http.h11_impl import H11Protocol as protocol
    return with_one_write(protocol)
