"""One small world for all real runs: making its half-trained model takes most of a minute."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.verl_ext.gpu_profiles import write_qwen2
from tests.verl_ext.running import World, shared_world


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with shared_world(tmp_path_factory.mktemp("training")) as world:
        yield world


@pytest.fixture(scope="session")
def qwen2(world: World) -> Path:
    """The world's half-trained model as a Qwen2."""
    write_qwen2(world.folder / "model", world.folder / "qwen2")
    return world.folder / "qwen2"
