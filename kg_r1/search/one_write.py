"""A reply in one write: uvicorn writes head and body one after the other, and each would be a packet.

In: the protocol class that uvicorn would use. Out: one like it, whose connections hold the head of a reply
back until its body comes, or until the event loop goes on.
"""

from __future__ import annotations

import asyncio
from typing import Any

MAX_JOINED_BYTES = 65536
"""Longest body that is copied behind its head; a longer one fills packets of its own."""


def with_one_write(protocol: type[asyncio.Protocol]) -> type[asyncio.Protocol]:
    """A protocol class that writes through a `_JoiningTransport`, and is otherwise the one given."""

    class OneWrite(protocol):  # type: ignore[valid-type, misc]
        def connection_made(self, transport: asyncio.Transport) -> None:
            super().connection_made(_JoiningTransport(transport))

    return OneWrite


class _JoiningTransport:
    """A transport that joins two writes of the same turn of the event loop."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._held = b""
        self._loop = asyncio.get_running_loop()

    def write(self, data: bytes) -> None:
        """Writes, at the latest when the event loop goes on."""
        if self._held:
            held, self._held = self._held, b""
            if len(data) <= MAX_JOINED_BYTES:
                self._transport.write(held + data)
            else:
                self._transport.writelines([held, data])
        elif data:
            self._held = data
            self._loop.call_soon(self._flush)

    def close(self) -> None:
        """Closes once everything is written."""
        self._flush()
        self._transport.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def _flush(self) -> None:
        if self._held:
            held, self._held = self._held, b""
            self._transport.write(held)
