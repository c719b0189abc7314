"""What the environment says back: a retrieval, or a fault of the turn, as short text within a token limit."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from kg_r1.llm_agent.protocol import TAGS
from kg_r1.llm_agent.turn_form import TurnForm
from kg_r1.search.client import Retrieval

# The graph did not answer at all, which says nothing about the query.
INFRASTRUCTURE_CODES = frozenset(
    {"server_unavailable", "server_timeout", "bad_response", "endpoint_unavailable"}
)
UNREACHABLE_TEXT = "Error: the knowledge graph cannot be reached now."
NOTHING_TEXT = "Nothing found."
MUST_ANSWER_LINE = "Last turn: you must answer now.\n"
REPEATED_HINT = "You asked this before: ask something else, or answer"
REPEATED_NOTE = " (asked before)"
SEPARATOR = " | "
MAX_ERROR_CHARS = 300
MAX_NOTED_NAMES = 3
# So much of a message, copied, is no name that happens to begin like it.
MIN_REPEATED_CHARS = 20
TAGS_FORM = TurnForm()

_OWN_TAG = re.compile(rf"<(\s*/?\s*(?:{'|'.join(TAGS)})\s*/?\s*)>", re.IGNORECASE)

CountTokens = Callable[[str], int]


@dataclass(frozen=True)
class Observation:
    """The text of an observation, without its frame, and how many listed items it shows and leaves out."""

    text: str
    num_shown: int
    num_left_out: int


def render(
    retrieval: Retrieval, count_tokens: CountTokens, max_tokens: int, *, is_repeated: bool = False
) -> Observation:
    """The items of a retrieval as one line, cut at a whole item so that `count_tokens(text) <= max_tokens`.

    Items left out are counted at the end, as in ``Paris | Lyon (+3 more)``; the count alone is the least
    that `max_tokens` must hold. An error becomes one line
    beginning with 'Error:'; where the graph could not be reached, the line says only that. What was asked
    before in the episode is said to be so (`is_repeated`): small models go round in circles otherwise.
    """
    if retrieval.error is not None:
        if retrieval.error.code in INFRASTRUCTURE_CODES:
            return render_error(UNREACHABLE_TEXT.removeprefix("Error: "), count_tokens, max_tokens)
        again = REPEATED_HINT if is_repeated else ""
        return render_error(retrieval.error.message, count_tokens, max_tokens, again)
    items = [harmless(item) for item in retrieval.items()]
    if not items:
        return Observation(shorten(NOTHING_TEXT, count_tokens, max_tokens), 0, 0)
    for notes in dict.fromkeys((_notes(retrieval) + (REPEATED_NOTE if is_repeated else ""), "")):
        num_shown = _num_fitting(items, notes, count_tokens, max_tokens)
        if num_shown:
            break
    return Observation(_listing(items, num_shown) + notes, num_shown, len(items) - num_shown)


def render_error(message: str, count_tokens: CountTokens, max_tokens: int, hint: str = "") -> Observation:
    """One line that says what went wrong, shortened to `MAX_ERROR_CHARS` and to `max_tokens`.

    `hint` follows the message and keeps its tags: it holds nothing that a model or a graph has named.
    """
    text = "Error: " + harmless(message) + (f". {hint}" if hint else "")
    if len(text) > MAX_ERROR_CHARS:
        text = text[: MAX_ERROR_CHARS - 1] + "…"
    return Observation(shorten(text, count_tokens, max_tokens), 0, 0)


def frame(text: str, must_answer: bool, form: TurnForm = TAGS_FORM) -> str:
    """The observation as it is appended, with the last-turn line where due and the next turn's beginning."""
    last_line = MUST_ANSWER_LINE if must_answer else ""
    return f"{form.before}{text}{form.after}{last_line}{form.closing}{form.begin}"


def repeats_message(answer: str, messages: Iterable[str]) -> bool:
    """Whether an answer, or a name in it, is no name but a message of the environment or its beginning.

    Args:
        answer: the text between the answer tags.
        messages: the errors, and the words for an empty result, that the episode was shown. Listings are
            not among them: to repeat one is to answer with what was found.
    """
    told = [_words(message) for message in (*messages, MUST_ANSWER_LINE)]
    parts = {_words(part) for part in (answer, *answer.split(SEPARATOR.strip()))}
    return any(_is_beginning(part, message) for part in parts for message in told)


def _is_beginning(said: str, message: str) -> bool:
    if said == message:
        return True
    one, other = sorted((said, message), key=len)
    return len(one) >= MIN_REPEATED_CHARS and other.startswith(one)


def _words(text: str) -> str:
    """Small letters, single spaces, without 'error:' in front and a full stop behind."""
    return " ".join(text.casefold().split()).removeprefix("error:").strip(" .…")


def harmless(text: str) -> str:
    """`text` on one line, unable to pass for one of our tags: they get other brackets (‹answer›)."""
    return _OWN_TAG.sub(r"‹\1›", " ".join(text.split()))


def break_special(text: str, special_tokens: Iterable[str]) -> str:
    """`text` with a space after the first character of every special token's spelling in it, so that a
    tokenizer reads the spelling as ordinary text."""
    for token in special_tokens:
        text = text.replace(token, f"{token[:1]} {token[1:]}")
    return text


def shorten(text: str, count_tokens: CountTokens, max_tokens: int) -> str:
    """The longest beginning of `text`, marked with '…' where cut, of at most `max_tokens` tokens."""
    if count_tokens(text) <= max_tokens:
        return text
    return text[: _largest(len(text), lambda n: count_tokens(text[:n] + "…") <= max_tokens)] + "…"


def _num_fitting(items: list[str], notes: str, count_tokens: CountTokens, max_tokens: int) -> int:
    """How many of the first items fit, with the notes and the count of those left out."""
    if len(items) <= max_tokens and count_tokens(SEPARATOR.join(items) + notes) <= max_tokens:
        return len(items)
    # An item is at least one token, so no more than max_tokens of them can fit; the bound keeps a
    # listing of thousands from being tokenised over and over.
    most = min(len(items) - 1, max_tokens)
    return _largest(most, lambda n: count_tokens(_listing(items, n) + notes) <= max_tokens)


def _listing(items: list[str], num_shown: int) -> str:
    num_left_out = len(items) - num_shown
    shown = SEPARATOR.join(items[:num_shown])
    if not num_left_out:
        return shown
    return f"{shown} (+{num_left_out} more)" if shown else f"(+{num_left_out} more)"


def _largest(most: int, fits: Callable[[int], bool]) -> int:
    """The largest n in 1..most that fits, taking a beginning of a fitting text to fit; 0 when none does."""
    low, high = 0, most
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(middle) else (low, middle - 1)
    return low


def _notes(retrieval: Retrieval) -> str:
    """What the result says beside its items: names meant twice over, and names that are not in the graph."""
    parts = []
    for key, word in (("matched_entities", "meant"), ("unknown_entities", "unknown")):
        names = [harmless(str(name)) for result in retrieval.results for name in result.get(key, ())]
        if names:
            more = ", …" if len(names) > MAX_NOTED_NAMES else ""
            parts.append(f" ({word}: {', '.join(names[:MAX_NOTED_NAMES])}{more})")
    return "".join(parts)
