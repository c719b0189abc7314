"""Streamable HTTP for the MCP server: who may reach it, and the application that answers.

In: an MCP server of the SDK, an address, and a key or none. Out: the protocol at /mcp, and /health for load
balancers. It starts no server that others can reach without a key or the word that this is meant.
"""

from __future__ import annotations

import ipaddress
import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from kg_r1 import __version__
from kg_r1.search.access import KEY_VARIABLE, AccessError, ApiKey, check_exposure, read_key
from kg_r1.search.kg_retrieval_server import UsageError, open_listener

if TYPE_CHECKING:
    from mcp.server import Server

logger = logging.getLogger(__name__)

MCP_PATH, HEALTH_PATH = "/mcp", "/health"
MAX_BODY_BYTES = 1_000_000  # of one request; the arguments of a call have a limit of their own below it
SHUTDOWN_S = 5


def checked_access(address: str, api_key_file: Path | None, is_insecure: bool) -> ApiKey | None:
    """The key that clients must send, by the rule of the KG server; None where none is asked for.

    Args:
        address: the IP address that is listened at.
        api_key_file: the file of the key; without one, the variable KG_SERVER_API_KEY counts.
        is_insecure: whether everybody may ask.

    Raises:
        UsageError: the key cannot be used; or others can reach the address and neither a key nor
            `is_insecure` is given.
    """
    try:
        key = read_key(api_key_file, os.environ.get(KEY_VARIABLE))
        check_exposure(address, key, is_insecure)
    except AccessError as error:
        raise UsageError(str(error)) from error
    return key


def serve_http(
    server: Server[Any], host: str, port: int, api_key_file: Path | None, is_insecure: bool
) -> None:
    """Serves streamable HTTP at /mcp, and /health, until a signal.

    Raises:
        UsageError: the address cannot be listened at, or as `checked_access`.
        KeyboardInterrupt: stopped by Ctrl-C.
    """
    import uvicorn

    listener = open_listener(host, port)
    with listener:
        address, bound_port = listener.getsockname()[:2]
        key = checked_access(address, api_key_file, is_insecure)
        in_url = f"[{host}]" if ":" in host else host
        logger.info("listening at http://%s:%d%s (Ctrl-C stops)", in_url, bound_port, MCP_PATH)
        config = uvicorn.Config(
            http_app(server, host, address, key),
            access_log=False,
            log_config=None,
            log_level="warning",
            timeout_graceful_shutdown=SHUTDOWN_S,
        )
        uvicorn.Server(config).run(sockets=[listener])


def http_app(server: Server[Any], host: str, address: str, key: ApiKey | None) -> ASGIApp:
    """The ASGI application: no session is kept, so any replica may answer any request.

    Args:
        server: the MCP server.
        host: the name under which clients on this machine ask it.
        address: the IP address it listens at. Where only this machine reaches that, requests that name any
            other host are refused: a web page could otherwise reach the tools through its reader's browser.
        key: what clients must send as a bearer token; None asks for none.
    """
    from mcp.server.transport_security import TransportSecuritySettings

    async def health(request: Request) -> Response:
        return JSONResponse({"status": "healthy", "service": "kg_mcp", "version": __version__})

    names = sorted({"127.0.0.1", "localhost", "[::1]", f"[{host}]" if ":" in host else host})
    security = TransportSecuritySettings(
        enable_dns_rebinding_protection=ipaddress.ip_address(address.partition("%")[0]).is_loopback,
        allowed_hosts=[f"{name}:*" for name in names],
        allowed_origins=[f"http://{name}:*" for name in names],
    )
    app = server.streamable_http_app(
        streamable_http_path=MCP_PATH,
        json_response=True,
        stateless_http=True,
        max_request_body_size=MAX_BODY_BYTES,
        transport_security=security,
        custom_starlette_routes=[Route(HEALTH_PATH, health)],
    )
    return app if key is None else RequireKey(app, key)


class RequireKey:
    """Answers 401 to a request without the key, /health excepted: a load balancer asks there.

    Args:
        app: what answers the others.
        key: the key that is asked for.
    """

    def __init__(self, app: ASGIApp, key: ApiKey) -> None:
        self.app = app
        self.key = key

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One ASGI connection."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        is_open = scope["path"] == HEALTH_PATH
        given = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
        if is_open or self.key.is_in(given):
            await self.app(scope, receive, send)
            return
        content = {
            "error": "send the key as: Authorization: Bearer KEY",
            "code": "unauthorized",
        }
        refusal = JSONResponse(content, status_code=401, headers={"WWW-Authenticate": "Bearer"})
        await refusal(scope, receive, send)
