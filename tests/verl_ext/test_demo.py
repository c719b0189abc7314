"""The demo's KG server is the one that it started, whatever else listens on the machine."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from kg_r1.search.client import check_server
from kg_r1.search.errors import ServerUnavailable
from kg_r1.search.offers import offer_of
from tests.verl_ext.running import ROOT, Server


@pytest.fixture(scope="module")
def demo() -> ModuleType:
    spec = importlib.util.spec_from_file_location("demo", ROOT / "scripts" / "demo.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def running() -> Iterator[subprocess.Popen[bytes]]:
    """A process that does nothing and does not end."""
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    yield process
    process.kill()
    process.wait()


def folder_of(parent: Path, dataset: str) -> str:
    folder = parent / f"with_{dataset}"
    (folder / dataset).mkdir(parents=True)
    (folder / dataset / "triples.tsv").write_text("a\tb\tc\n", encoding="utf-8")
    return str(folder)


def test_two_demos_have_a_server_each(
    demo: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KG_SERVER_API_KEY", "of-another-server")
    with (
        demo.kg_server(tmp_path / "first.log", folder_of(tmp_path, "moon")) as first,
        demo.kg_server(tmp_path / "second.log", folder_of(tmp_path, "mars")) as second,
    ):
        assert first != second
        assert (offer_of(first).datasets, offer_of(second).datasets) == (("moon",), ("mars",))
    for search_url in (first, second):
        with pytest.raises(ServerUnavailable):
            check_server(search_url)


def test_a_server_with_other_data_is_not_taken_for_its_own(
    demo: ModuleType, tmp_path: Path, running: subprocess.Popen[bytes]
) -> None:
    log = tmp_path / "own.log"
    with demo.kg_server(tmp_path / "other.log", folder_of(tmp_path, "moon")) as other:
        log.write_text(f"listening at {other.removesuffix('/retrieve')} (Ctrl-C stops)\n")
        with pytest.raises(demo.DemoError, match=r"has the data sets moon, and .*with_mars has mars"):
            demo.wait_for_server(running, log, Path(folder_of(tmp_path, "mars")))


def test_a_server_that_ended_is_told_with_its_log(demo: ModuleType, tmp_path: Path) -> None:
    with (
        pytest.raises(demo.DemoError, match=r"ended with status 2; .*\n.*there is no folder"),
        demo.kg_server(tmp_path / "server.log", str(tmp_path / "none")),
    ):
        pytest.fail("a server without a folder is ready")


def test_a_server_that_never_says_where_it_listens_is_told(
    demo: ModuleType, tmp_path: Path, running: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo, "SERVER_START_S", 0.1)
    (tmp_path / "server.log").touch()
    with pytest.raises(demo.DemoError, match="its log tells no address"):
        demo.wait_for_server(running, tmp_path / "server.log", tmp_path)


def test_a_server_that_tests_start_is_its_own_too(tmp_path: Path) -> None:
    first = Server(Path(folder_of(tmp_path / "first", "moon")))
    second = Server(Path(folder_of(tmp_path / "second", "moon")))
    second.port, second.search_url = first.port, first.search_url
    try:
        first.start()
        with pytest.raises(RuntimeError, match=r"ended:\n(.*\n)*error: cannot listen"):
            second.start()
        first.kill()
        second.start()
        assert offer_of(second.search_url).datasets == ("moon",)
    finally:
        first.kill()
        second.kill()
