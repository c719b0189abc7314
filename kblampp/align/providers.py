"""Where vectors come from: an Ollama server, an OpenAI-compatible one, or a model in this process."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import httpx
import numpy as np

from kblampp.align.errors import ProviderError
from kblampp.encoders.config import Precision

DEFAULT_HOST = "http://127.0.0.1:11434"  # Ollama's
TIMEOUT_S = 300.0  # the first request loads the model
IN_PROCESS = "hf:"


class EmbeddingProvider(Protocol):
    """Anything that turns texts into vectors."""

    @property
    def name(self) -> str:
        """Says which model this is; part of the key under which vectors are kept."""

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """float32 [len(texts), d]. Raises ProviderError when it cannot."""


class OllamaProvider:
    """Ollama's `/api/embed` (its API documentation, "Generate Embeddings").

    Args:
        host: the server's address.
        model: as `ollama list` names it.
        client: another HTTP client.
    """

    def __init__(self, host: str, model: str, client: httpx.Client | None = None) -> None:
        self.name = f"ollama:{model}"
        self._url = f"{host.rstrip('/')}/api/embed"
        self._model = model
        self._client = client or httpx.Client(timeout=TIMEOUT_S)

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """See `EmbeddingProvider.embed`."""
        body = {"model": self._model, "input": list(texts), "truncate": True}
        reply = _post(self._client, self._url, body, {})
        return _matrix(reply.get("embeddings"), len(texts), self._url)


class OpenAIProvider:
    """Any server with OpenAI's `/v1/embeddings` (vLLM, llama.cpp, TEI, ...).

    Args:
        base_url: its address up to and including `/v1`.
        model: as the server names it.
        key: sent as bearer token where one is given.
        client: another HTTP client.
    """

    def __init__(
        self, base_url: str, model: str, key: str | None = None, client: httpx.Client | None = None
    ) -> None:
        self.name = f"openai:{model}"
        self._url = f"{base_url.rstrip('/')}/embeddings"
        self._model = model
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._client = client or httpx.Client(timeout=TIMEOUT_S)

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """See `EmbeddingProvider.embed`."""
        reply = _post(self._client, self._url, {"model": self._model, "input": list(texts)}, self._headers)
        items = reply.get("data")
        if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
            raise ProviderError(f"{self._url} answered without a list 'data'; is it an embeddings server?")
        # The order is the index's, not the list's.
        ordered = sorted(items, key=lambda item: item.get("index", 0))
        return _matrix([item.get("embedding") for item in ordered], len(texts), self._url)


class LocalProvider:
    """A transformers checkpoint in this process, pooled as its family asks (`kblampp.encoders`).

    Args:
        model: a folder or a model of the hub.
        dtype: of the weights; bfloat16 is several times as fast on processors that have it.
        batch_size: texts in one forward pass.
        max_length: tokens of a text.
    """

    def __init__(
        self, model: str, dtype: Precision = "float32", batch_size: int = 32, max_length: int = 128
    ) -> None:
        # Loading torch takes seconds that a server's user need not wait.
        from kblampp.encoders.loading import load_by_family

        folder = Path(model)
        self._encoder = load_by_family(model, dtype=dtype, batch_size=batch_size, max_length=max_length)
        name = folder.name if folder.is_dir() else model
        self.name = f"{IN_PROCESS}{name}:{self._encoder.revision[:12]}:{dtype}"

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """See `EmbeddingProvider.embed`."""
        return self._encoder.encode(texts)


def make_provider(
    model: str, host: str = DEFAULT_HOST, key: str | None = None, dtype: Precision = "float32"
) -> EmbeddingProvider:
    """The provider of a model: 'hf:' and a folder or hub name, or a name at a server.

    A host that ends with `/v1` is spoken to as OpenAI's, any other as Ollama's.
    """
    if model.startswith(IN_PROCESS):
        return LocalProvider(model.removeprefix(IN_PROCESS), dtype)
    if host.rstrip("/").endswith("/v1"):
        return OpenAIProvider(host, model, key)
    return OllamaProvider(host, model)


def _post(client: httpx.Client, url: str, body: dict[str, Any], headers: dict[str, str]) -> dict[str, Any]:
    try:
        response = client.post(url, json=body, headers=headers)
    except httpx.HTTPError as error:
        raise ProviderError(
            f"{url} does not answer ({error or type(error).__name__}); start the server, or name another "
            "with --host"
        ) from error
    try:
        reply = response.json()
    except ValueError:
        reply = {}
    if response.status_code != 200 or not isinstance(reply, dict):
        said = reply.get("error", reply) if isinstance(reply, dict) else reply
        raise ProviderError(
            f"{url} refused model {body['model']!r} with status {response.status_code}: {said}"
        )
    return reply


def _matrix(rows: object, num_wanted: int, url: str) -> np.ndarray:
    try:
        made = np.asarray(rows, dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise ProviderError(f"{url} answered with vectors of different lengths, or none") from error
    if made.ndim != 2 or len(made) != num_wanted or not np.isfinite(made).all():
        raise ProviderError(
            f"{url} answered with shape {made.shape} for {num_wanted} texts, or not with numbers"
        )
    return made
