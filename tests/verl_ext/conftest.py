"""One small world for all real runs: making its half-trained model takes most of a minute."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.verl_ext.running import World, shared_world


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with shared_world(tmp_path_factory.mktemp("training")) as world:
        yield world
