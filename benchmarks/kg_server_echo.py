"""A server that does nothing but HTTP and JSON: about the most that asyncio in Python can reach here.

    python -m benchmarks.kg_server_echo --bytes_per_item 420

In: `POST` with a JSON list, parsed with orjson. Out: as many items as the list has, each of the same
number of bytes, put together beforehand. It logs `listening at http://127.0.0.1:PORT`. No routes, no
refusals: it is no server for anybody but the load client.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence

import orjson

LENGTH = b"content-length: "
MIN_ITEM = b'{"results":[{"filler":""}],"query_time":0.000001,"total_results":1}'


class Echo(asyncio.Protocol):
    """One connection. Requests may come in pieces, and several at a time.

    Args:
        replies: whole replies by number of items; filled as numbers of items occur.
        item: the bytes of one item.
    """

    def __init__(self, replies: dict[int, bytes], item: bytes) -> None:
        self.replies, self.item = replies, item
        self.received = b""
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.received = self.received + data if self.received else data
        while True:
            end = self.received.find(b"\r\n\r\n")
            if end < 0:
                return
            head = self.received[: end + 2].lower()
            start = head.index(LENGTH) + len(LENGTH)
            length = int(head[start : head.index(b"\r\n", start)])
            begin, end = end + 4, end + 4 + length
            if len(self.received) < end:
                return
            body, self.received = self.received[begin:end], self.received[end:]
            self.answer(body)

    def answer(self, body: bytes) -> None:
        """Replies to one body."""
        count = len(orjson.loads(body))
        if count not in self.replies:
            self.replies[count] = whole_reply(self.item, count)
        assert self.transport is not None
        self.transport.write(self.replies[count])


def filler_item(num_bytes: int) -> bytes:
    """An item of about so many bytes that looks like one of the KG server's."""
    return MIN_ITEM.replace(b'""', b'"' + b"x" * max(0, num_bytes - len(MIN_ITEM)) + b'"')


def whole_reply(item: bytes, count: int) -> bytes:
    """Head and body of a reply with `count` items."""
    body = b"[" + b",".join([item] * count) + b"]"
    head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    return head.encode("ascii") + body


async def serve(bytes_per_item: int) -> None:
    """Listens at a free port until the process is ended."""
    replies: dict[int, bytes] = {}
    item = filler_item(bytes_per_item)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Echo(replies, item), "127.0.0.1", 0, backlog=1024)
    sys.stderr.write(f"listening at http://127.0.0.1:{server.sockets[0].getsockname()[1]}\n")
    sys.stderr.flush()
    await server.serve_forever()


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Answers every list with filler of a given size.")
    parser.add_argument("--bytes_per_item", type=int, required=True)
    parser.add_argument("--loop", choices=("asyncio", "uvloop"), default="asyncio")
    options = parser.parse_args(argv)
    if options.loop == "uvloop":
        import uvloop

        uvloop.run(serve(options.bytes_per_item))
    else:
        asyncio.run(serve(options.bytes_per_item))
    return 0


if __name__ == "__main__":
    sys.exit(main())
