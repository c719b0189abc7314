"""A small world made by the commands, and an endpoint that speaks OpenAI's chat interface over a socket."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from kblampp.offline.gen_synth_qa import main as make_questions
from kblampp.offline.gen_synth_world import main as make_world
from kblampp.questions import Question, read_questions
from kblampp.quintuples import Quintuple, read_quintuples
from tests.json_server import json_server

SPLITS = ("train", "dev", "test")


@dataclass
class Place:
    """A folder with the config of one data set."""

    folder: Path

    @property
    def facts_path(self) -> Path:
        return self.folder / "facts.jsonl"

    def arguments(self, *more: str) -> list[str]:
        return ["--config", str(self.folder / "config.yaml"), *more]

    def facts(self) -> list[Quintuple]:
        return read_quintuples(self.facts_path)

    def questions(self) -> dict[str, list[Question]]:
        ids = {fact.id for fact in self.facts()}
        return {split: read_questions(self.folder / f"{split}.jsonl", ids) for split in SPLITS}

    def bytes(self) -> list[bytes]:
        return [path.read_bytes() for path in sorted(self.folder.glob("*.jsonl"))]


def place_in(folder: Path) -> Place:
    folder.mkdir(parents=True, exist_ok=True)
    paths = {"train_5tuple_path": "facts", **{f"{split}_qa_path": split for split in SPLITS}}
    lines = [f"{key}: {folder / f'{name}.jsonl'}\n" for key, name in paths.items()]
    (folder / "config.yaml").write_text("".join(lines), encoding="utf-8")
    return Place(folder)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """A config whose files lie in a temporary folder."""
    return place_in(tmp_path / "data")


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """2,000 facts and their questions."""
    made = place_in(tmp_path_factory.mktemp("world"))
    settings = (
        "pipeline.num_facts=2000",
        "pipeline.num_train_questions=600",
        "pipeline.num_test_questions=120",
    )
    assert make_world(made.arguments(*settings)) == 0
    assert make_questions(made.arguments(*settings, "pipeline.num_dev_questions=120")) == 0
    return made


@dataclass
class Endpoint:
    """Where it listens, what it was sent, and how it answers: a status, and a completion for a request."""

    url: str
    requests: list[tuple[dict[str, Any], str | None]] = field(default_factory=list)
    status: Callable[[int], int] = lambda number: 200
    write: Callable[[str], str] = lambda text: f"Well, {text}"


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    """A server on a free port of this machine."""
    made = Endpoint("")

    def answer(path: str, body: dict[str, Any], authorization: str | None) -> tuple[int, dict[str, Any]]:
        made.requests.append((body, authorization))
        status = made.status(len(made.requests)) if path == "/v1/chat/completions" else 404
        text = body["messages"][0]["content"].rsplit("\n\n", 1)[1]
        return status, {"choices": [{"message": {"content": made.write(text)}}]}

    with json_server(answer) as host:
        made.url = f"{host}/v1"
        yield made
