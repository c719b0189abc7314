"""A real SPARQL endpoint for tests: the Oxigraph server, in memory, on a free port."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sysconfig
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from kg_r1.data.export_rdf import RdfCounts, rdf_lines, settings_for
from kg_r1.kg.graph import Subgraph
from kg_r1.kg.sparql import SparqlGraph, SparqlSource

BASE = "http://example.org/kg/"
START_S = 30


class Endpoint:
    """A running server. Every data set of a test lies in a named graph of its own."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.query_address = f"{address}/query"
        self._http = httpx.Client(trust_env=False, timeout=120)

    def load(self, name: str, content: str, media_type: str = "application/n-triples") -> str:
        """Loads RDF text into a named graph; gives the graph's IRI."""
        graph = f"http://example.org/graph/{name}"
        response = self._http.put(
            f"{self.address}/store",
            params={"graph": graph},
            content=content.encode(),
            headers={"Content-Type": media_type},
        )
        assert response.status_code in (201, 204), response.text
        return graph

    def publish(self, name: str, graph: Subgraph, folder: Path, **settings: Any) -> SparqlGraph:
        """Loads a graph in memory, and opens it again as a data set in `folder`."""
        iri = self.load(name, "\n".join(rdf_lines(graph, BASE, RdfCounts())))
        return opened(folder, **{**settings_for(self.query_address), "graph": iri, **settings})

    def close(self) -> None:
        """Closes the connections."""
        self._http.close()


def opened(folder: Path, **settings: Any) -> SparqlGraph:
    """Writes a sparql.json into `folder` and loads its graph."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "sparql.json").write_text(json.dumps(settings), encoding="utf-8")
    return SparqlSource(folder).load(None)


@contextmanager
def running_endpoint() -> Iterator[Endpoint]:
    """Starts a server and stops it; skips where the package that carries it is not installed."""
    program = shutil.which("oxigraph", path=sysconfig.get_path("scripts")) or shutil.which("oxigraph")
    if program is None:
        pytest.skip("the Oxigraph server is not installed (package oxigraph)")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [program, "serve", "--bind", f"127.0.0.1:{port}"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    endpoint = Endpoint(f"http://127.0.0.1:{port}")
    try:
        deadline = time.monotonic() + START_S
        while True:
            assert process.poll() is None, process.stderr and process.stderr.read()
            try:
                with socket.create_connection(("127.0.0.1", port), timeout=1):
                    break
            except OSError:
                assert time.monotonic() < deadline, "the server does not listen"
                time.sleep(0.02)
        yield endpoint
    finally:
        endpoint.close()
        process.kill()
        process.communicate()
