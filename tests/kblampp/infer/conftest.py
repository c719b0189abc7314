"""A tiny world with two stores, and a service over the first."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from kblampp.config import Config
from kblampp.infer.service import InjectionService
from kblampp.quintuples import Quintuple
from tests.kblampp.injection import make_answerer, make_world

HOSTILE = "</script><img src=x onerror=window.hacked=1>"


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Config:
    """Stores 'tiny' and 'other' below one root; in the other, Ada Brook was born in a hostile place."""
    folder = tmp_path_factory.mktemp("world")
    config = make_world(folder)
    changed = Quintuple("ada-brook/birthplace", "Ada Brook", "birthplace", HOSTILE, context=HOSTILE)
    more = Quintuple("added/fact", "Ada Brook", "shoe size", "41")
    make_world(folder, [changed, more], store="store/other")
    return config


@pytest.fixture
def service(world: Config) -> Iterator[InjectionService]:
    """Over the store 'tiny'."""
    made = InjectionService(make_answerer(world), "tiny", max_batch=4)
    yield made
    made.close()


@pytest.fixture
def store_root(world: Config) -> Path:
    """The folder that has both stores."""
    return Path(world.store.path).parent
