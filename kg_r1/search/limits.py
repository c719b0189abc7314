"""What one client may ask of the server: `ServerLimits`, its command-line options, and what checks a body.

In: the values of options, or decoded JSON. Out: limits that are known to be sound, and the first thing that
breaks one. The default of every limit is far above what training sends.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

MIB = 2**20


def _limit(default: float, meaning: str) -> Any:
    return field(default=default, metadata={"help": meaning})


@dataclass(frozen=True)
class ServerLimits:
    """The limits of one server process; each is an option of the command line under the same name.

    Raises:
        ValueError: a limit is not above 0, or not finite.
    """

    max_body_bytes: int = _limit(16 * MIB, "largest body of a request in bytes; beyond it 413")
    max_batch_requests: int = _limit(4096, "most requests in one body; beyond it 413")
    max_text_chars: int = _limit(100_000, "longest text in a request; beyond it that request fails alone")
    max_json_depth: int = _limit(64, "deepest nesting of a body; beyond it 422")
    max_item_bytes: int = _limit(4 * MIB, "largest item of a reply in bytes; beyond it that item fails alone")
    max_reply_bytes: int = _limit(256 * MIB, "largest reply in bytes; items beyond it fail alone")
    max_concurrent_requests: int = _limit(512, "most HTTP requests under way at once; beyond it 503")
    max_body_read_s: float = _limit(30.0, "longest wait for the whole body in seconds; beyond it 408")

    def __post_init__(self) -> None:
        for one in fields(self):
            value = getattr(self, one.name)
            if not 0 < value < math.inf:
                raise ValueError(f"--{one.name} is {value}; it must be above 0")


def add_limit_options(parser: argparse.ArgumentParser) -> None:
    """Gives a parser one option per limit."""
    for one in fields(ServerLimits):
        parser.add_argument(
            f"--{one.name}",
            type=type(one.default),
            default=one.default,
            help=f"{one.metadata['help']} (default: %(default)s)",
        )


def limits_of(args: argparse.Namespace) -> ServerLimits:
    """The limits that a parsed command line asks for.

    Raises:
        ValueError: a limit is not above 0.
    """
    return ServerLimits(**{one.name: getattr(args, one.name) for one in fields(ServerLimits)})


def is_nested_deeper(value: object, max_depth: int) -> bool:
    """Whether lists and objects stand in each other more than `max_depth` deep; a bare value has depth 0.

    Walks without recursion, since what it guards against is a body that exhausts the stack.
    """
    level = [value]
    for _ in range(max_depth):
        level = _one_deeper(level)
        if not level:
            return False
    return any(isinstance(one, (list, dict)) for one in level)


def overlong_field(request: object, max_chars: int) -> str | None:
    """The first field of a request that holds a text longer than `max_chars`, at any depth, else None."""
    if not isinstance(request, Mapping):
        return None
    for name, value in request.items():
        level = [value]
        while level:
            if any(isinstance(one, str) and len(one) > max_chars for one in level):
                return str(name)
            level = _one_deeper(level)
    return None


def has_float(value: object) -> bool:
    """Whether a number that is no whole one stands anywhere in the value."""
    level = [value]
    while level:
        if any(isinstance(one, float) for one in level):
            return True
        level = _one_deeper(level)
    return False


def _one_deeper(level: list[object]) -> list[object]:
    inner: list[object] = []
    for one in level:
        if isinstance(one, list):
            inner.extend(one)
        elif isinstance(one, dict):
            inner.extend(one.values())
    return inner
