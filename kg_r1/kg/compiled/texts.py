"""Tables of texts in a compiled store, held as JSON, so that a reply is put together from slices.

In: the bytes of every text, each the inside of its JSON string (`quote and "escapes"` stay escaped). Out: a
slice for a reply, or a `str`. Two texts are equal if and only if their slices are, since one function escapes
both.
"""

from __future__ import annotations

from mmap import mmap
from zlib import crc32

import orjson

from kg_r1.kg.names import fold


def escaped(text: str) -> bytes | None:
    """The inside of `text` as a JSON string in UTF-8; None for what UTF-8 cannot hold (lone surrogates)."""
    try:
        return orjson.dumps(text)[1:-1]
    except TypeError:
        return None


def unescaped(slice_: bytes) -> str:
    """The text of a slice."""
    return str(orjson.loads(b'"' + slice_ + b'"')) if b"\\" in slice_ else slice_.decode("utf-8")


def folded_hash(folded: str) -> int | None:
    """The 32-bit key of a folded spelling in a spelling table; None for what UTF-8 cannot hold."""
    try:
        return crc32(folded.encode("utf-8"))
    except UnicodeEncodeError:
        return None


def quick_fold(text: str) -> str:
    """The same as `kg_r1.kg.names.fold`, several times faster on ASCII."""
    return text.strip().lower() if text.isascii() else fold(text)


class TextTable:
    """Texts by number.

    Args:
        data: the slices one after the other. Bytes are taken straight from the map: a view of a view would
            take twice as long to make, and again to join.
        starts: [num_texts + 1] where each starts, the end of the last one behind them.
    """

    __slots__ = ("data", "starts")

    def __init__(self, data: mmap | bytes, starts: memoryview) -> None:
        self.data = data
        self.starts = starts

    def __len__(self) -> int:
        return len(self.starts) - 1

    def slice(self, index: int) -> bytes:
        """One text as it stands in JSON, without its quotes; empty where there is none."""
        return self.data[self.starts[index] : self.starts[index + 1]]

    def text(self, index: int) -> str:
        """One text."""
        return unescaped(self.slice(index))
