"""A small data set, and servers that speak Ollama's and OpenAI's embedding interfaces over real sockets."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from tests.json_server import json_server

MODELS = {"small": 16, "large": 24}


def vector(text: str, dim: int) -> list[float]:
    """A bag of words, hashed, and seen through a fixed matrix of the model's width: alike for like texts."""
    bag = np.zeros(64)
    for word in text.lower().strip(".?").split():
        bag[int(hashlib.sha256(word.encode()).hexdigest(), 16) % 64] += 1.0
    mixed = bag @ np.random.default_rng(dim).normal(size=(64, dim)) + 5.0
    return [float(value) for value in mixed]


@dataclass
class Server:
    """Where it listens, and the requests that it was sent."""

    host: str
    requests: list[tuple[str, dict[str, Any], str | None]] = field(default_factory=list)
    chat: list[str] = field(default_factory=list)
    """What the chat endpoint answers, in turn; the last one again and again."""


def _answer(server: Server, path: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    if path == "/v1/chat/completions":
        content = server.chat.pop(0) if len(server.chat) > 1 else server.chat[0]
        return 200, {"choices": [{"message": {"content": content}}]}
    dim = MODELS.get(str(body.get("model")))
    if path not in ("/api/embed", "/v1/embeddings"):
        return 404, {"error": "no such path"}
    if dim is None:
        return 404, {"error": f"model '{body.get('model')}' not found"}
    vectors = [vector(text, dim) for text in body["input"]]
    if path == "/api/embed":
        return 200, {"model": body["model"], "embeddings": vectors, "total_duration": 1}
    items = [{"object": "embedding", "index": index, "embedding": one} for index, one in enumerate(vectors)]
    return 200, {"object": "list", "data": items[::-1]}


@pytest.fixture
def server() -> Iterator[Server]:
    """A server on a free port of this machine."""
    made = Server("")

    def answer(path: str, body: dict[str, Any], authorization: str | None) -> tuple[int, dict[str, Any]]:
        made.requests.append((path, body, authorization))
        return _answer(made, path, body)

    with json_server(answer) as made.host:
        yield made
