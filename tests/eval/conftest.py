"""The small KG with its client, ways to play it, and a tiny random model."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kg_r1.data.rows import write_questions
from kg_r1.eval.systems import World
from kg_r1.kg.store import GraphStore
from kg_r1.llm_agent.config import GenerationConfig
from kg_r1.llm_agent.tokens import ByteTokenizer
from kg_r1.search.client import InProcessKGClient
from kg_r1.search.server import KnowledgeGraphRetriever
from tests.eval.small import QUESTIONS, write_graph


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data_kg")
    write_graph(folder)
    return folder


@pytest.fixture(scope="session")
def store(base: Path) -> GraphStore:
    return GraphStore(base)


@pytest.fixture
def make_world(store: GraphStore) -> Callable[..., World]:
    """make_world(policy=None, questions=..., **limits): a byte is a token, so limits are wide."""

    def make(policy: Any = None, questions: Any = QUESTIONS, **limits: Any) -> World:
        wide = {
            "max_turns": 5,
            "max_start_length": 3000,
            "max_prompt_length": 12000,
            "max_response_length": 600,
            "max_obs_length": 500,
        }
        return World(
            config=GenerationConfig(**(wide | limits)),
            tokenizer=ByteTokenizer(),
            policy=policy,
            client=InProcessKGClient(KnowledgeGraphRetriever(store)),
            store=store,
            questions=questions,
            seed=0,
            num_facts=3,
            max_fact_tokens=1000,
        )

    return make


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a random two-layer Llama and its tokenizer."""
    from tests.verl_ext.tiny import write_model

    folder = tmp_path_factory.mktemp("model")
    write_model(folder)
    return folder


@pytest.fixture(scope="session")
def question_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("questions") / "small.parquet"
    write_questions(path, QUESTIONS)
    return path
