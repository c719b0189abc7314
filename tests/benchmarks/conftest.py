"""Tiny generated graphs, queries about them, and a KG server that serves them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.kg_server_data import DataShape, ensure_data
from benchmarks.kg_server_process import Server, kg_server_command
from benchmarks.kg_server_queries import BLOCK, GraphFiles, Workload, draw_workload

SHAPE = DataShape(num_subgraphs=8, num_triples=2400, median_triples=220, seed=3)


@pytest.fixture(scope="package")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data path with one generated data set."""
    return ensure_data(tmp_path_factory.mktemp("generated"), SHAPE)


@pytest.fixture(scope="package")
def workload(base: Path) -> Workload:
    """Queries about it, a fifth of which have no answer."""
    return draw_workload(GraphFiles(base), num_queries=2 * BLOCK, seed=1, error_share=0.2)


@pytest.fixture(scope="package")
def workload_folder(workload: Workload, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The queries as the helpers read them."""
    folder = tmp_path_factory.mktemp("workload")
    workload.save(folder)
    return folder


@pytest.fixture(scope="package")
def server(base: Path) -> Iterator[Server]:
    """A KG server over the data path."""
    with Server(kg_server_command(base, []), "the KG server") as running:
        yield running
