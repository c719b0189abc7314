"""What the tests of injection share."""

from __future__ import annotations

import pytest

from kblampp.config import Config
from tests.kblampp.injection import make_world


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Config:
    """A tiny world; not to be changed."""
    return make_world(tmp_path_factory.mktemp("world"))
