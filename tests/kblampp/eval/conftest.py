"""A tiny world and an answerer over it, made once."""

from __future__ import annotations

import pytest

from kblampp.answering import QuestionAnswerer
from kblampp.config import Config
from tests.kblampp.injection import make_answerer, make_world


@pytest.fixture(scope="session")
def tiny_config(tmp_path_factory: pytest.TempPathFactory) -> Config:
    """Of a world that no test changes."""
    return make_world(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="session")
def answerer(tiny_config: Config) -> QuestionAnswerer:
    """Untrained, with a random injection."""
    return make_answerer(tiny_config)
