"""The failures of the graph layer: one class and one code each.

Actions and readers raise these; one place (the retriever) turns them into JSON, and the text of a failure
is always a single line, so that it can stand in a log, on a terminal or in front of a model.
"""

from __future__ import annotations

from collections.abc import Iterable

MAX_MESSAGE_CHARS = 1000


class KGError(Exception):
    """A failure with a code, a message saying what was asked and a hint saying what to do.

    `str()` gives message and hint as one line of at most `MAX_MESSAGE_CHARS` characters that always encodes
    as UTF-8.
    """

    code: str = "action_failed"

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message, hint)
        self.message = one_line(message)
        self.hint = one_line(hint)

    def __str__(self) -> str:
        return one_line(f"{self.message}. {self.hint}" if self.hint else self.message)


class DataError(KGError):
    """A data file that cannot be read, with its path and, where there is one, its line."""

    code = "data_error"


class UnknownDataset(KGError):
    """No data set of this name lies under the data path."""

    code = "unknown_dataset"


class UnknownSample(KGError):
    """The data set has one graph per sample, and none for this sample id."""

    code = "unknown_sample"


class EndpointError(DataError):
    """The endpoint refused a query, or answered with what is not the documented reply."""


class EndpointUnavailable(DataError):
    """The endpoint cannot be reached, is busy, or gave no answer in time; a later try may succeed."""

    code = "endpoint_unavailable"


class TooManyResults(DataError):
    """The answer is larger than the settings allow; none of it is given: a part would mislead."""

    code = "too_many_results"


def one_line(text: str, max_chars: int = MAX_MESSAGE_CHARS) -> str:
    """`text` with white space folded, lone surrogates escaped, cut at `max_chars`."""
    safe = text[: 4 * max_chars].encode("utf-8", "backslashreplace").decode("utf-8")
    folded = " ".join(safe.split())
    return folded if len(folded) <= max_chars else folded[: max_chars - 1] + "…"


def quoted(text: str, max_chars: int = 80) -> str:
    """`text` in quotes for a message: control characters and lone surrogates escaped, long text cut."""
    return repr(text) if len(text) <= max_chars else repr(text[:max_chars]) + "…"


def listed(items: Iterable[str], max_items: int = 20) -> str:
    """`items` as 'a, b, c (+N more)', or 'none' when there are none."""
    everything = list(items)
    shown = ", ".join(everything[:max_items])
    num_left_out = len(everything) - max_items
    return (f"{shown} (+{num_left_out} more)" if num_left_out > 0 else shown) or "none"
