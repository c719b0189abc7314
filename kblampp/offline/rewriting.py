"""Sentences reworded by a language model behind an OpenAI-compatible chat endpoint."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, TextIO

import httpx

from kblampp.errors import EndpointError
from kblampp.records import read_jsonl, text_field

TIMEOUT_S = 60.0
TEMPERATURE = 0.8
_REQUEST = (
    "Rewrite the {sort} in other words and keep its whole meaning. Keep these words exactly as they are: "
    "{kept}. "
    "Answer with the new {sort} alone, in one line.\n\n{text}"
)


class Rewriter:
    """Rewords texts one by one; what was reworded is kept in a file, so that a second run goes on.

    Use it as a context manager.

    Args:
        base_url: of the endpoint; `/chat/completions` is added.
        model: its model.
        key: sent as a bearer token; None sends none.
        cache: the file of what was reworded, one JSON object a line; it grows with every text.

    Raises:
        DataError: the file is there and malformed; names file and line.
    """

    def __init__(self, base_url: str, model: str, key: str | None, cache: Path) -> None:
        self.num_rewritten = 0
        self.num_refused = 0
        """Texts that stay as they were, because the model lost a name."""
        self._url = f"{base_url.rstrip('/')}/chat/completions"
        self._model = model
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._cache = cache
        self._known: dict[str, str] = {}
        if cache.exists():
            self._known.update(read_jsonl(cache, self._read, "a run with an endpoint makes it"))
        self._client: httpx.Client | None = None
        self._file: TextIO | None = None

    def __enter__(self) -> Rewriter:
        self._client = httpx.Client(timeout=TIMEOUT_S, headers=self._headers)
        self._cache.parent.mkdir(parents=True, exist_ok=True)
        self._file = self._cache.open("a", encoding="utf-8")
        return self

    def __exit__(self, *_: object) -> None:
        assert self._client is not None
        assert self._file is not None
        self._client.close()
        self._file.close()

    def __call__(self, text: str, kept: Collection[str], sort: str = "sentence") -> str:
        """The text in other words, or as it was when the model's words lack one of `kept`.

        Args:
            text: a sentence or question.
            kept: what must stand in it unchanged, such as the names.
            sort: what it is, in the request's words.

        Raises:
            EndpointError: the endpoint does not answer, or refuses; says how much is kept.
        """
        written = self._known.get(text)
        if written is None:
            written = self._asked(text, kept, sort)
            self._known[text] = written
            assert self._file is not None
            record = {"model": self._model, "text": text, "written": written}
            self._file.write(json.dumps(record, ensure_ascii=False) + "\n")
            self._file.flush()
        self.num_rewritten += written != text
        self.num_refused += written == text
        return written

    def _asked(self, text: str, kept: Collection[str], sort: str) -> str:
        assert self._client is not None
        content = _REQUEST.format(sort=sort, kept="; ".join(kept), text=text)
        body = {
            "model": self._model,
            "messages": [{"role": "user", "content": content}],
            "temperature": TEMPERATURE,
            "seed": 0,
        }
        try:
            response = self._client.post(self._url, json=body)
        except httpx.HTTPError as error:
            raise self._error(f"does not answer ({error or type(error).__name__})") from error
        if response.status_code != 200:
            raise self._error(f"refused model {self._model!r} with status {response.status_code}")
        try:
            written = " ".join(response.json()["choices"][0]["message"]["content"].split())
        except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
            raise self._error(f"answers with something else than a completion ({error!r})") from error
        is_whole = all(word in written for word in kept) and len(written) <= 4 * len(text)
        return written if is_whole and written.endswith("?") == text.endswith("?") else text

    def _error(self, words: str) -> EndpointError:
        kept = f"{len(self._known)} texts are kept in {self._cache}"
        return EndpointError(f"{self._url} {words}; {kept}, the same command goes on")

    def _read(self, record: Mapping[str, Any]) -> tuple[str, str]:
        return text_field(record, "text"), text_field(record, "written")
