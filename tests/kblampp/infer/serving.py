"""A service over a tiny world at a real socket."""

from __future__ import annotations

import json
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uvicorn

from kblampp.infer.app import Limits, create_app
from kblampp.infer.infer_server import open_listener
from kblampp.infer.service import InjectionService

START_S = 20


class Client:
    """Sends requests to a port and reads JSON."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"

    def send(
        self, path: str, body: Any = None, content_type: str | None = "application/json"
    ) -> tuple[int, Any]:
        """Status and body; bytes are sent as they are, anything else as JSON, None as a GET."""
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        headers = {"Content-Type": content_type} if content_type else {}
        request = urllib.request.Request(self.url + path, data=data, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                return response.status, json.loads(response.read())
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.loads(error.read())


@contextmanager
def serving(
    service: InjectionService, limits: Limits | None = None, store_root: Path | None = None
) -> Iterator[Client]:
    """The service at a port that the kernel picks."""
    with open_listener("127.0.0.1", 0) as listener:
        settings = uvicorn.Config(create_app(service, limits, store_root), log_config=None)
        server = uvicorn.Server(settings)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        try:
            yield Client(listener.getsockname()[1])
        finally:
            server.should_exit = True
            thread.join(START_S)
