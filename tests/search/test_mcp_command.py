"""Mistakes at the command line of `kg-r1 mcp`: one line on stderr, nothing on stdout, exit code 2."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("mcp_types", reason="the MCP SDK is not installed")

from kg_r1.search.actions import ActionRegistry
from kg_r1.search.mcp_server import main
from tests.search.conftest import ServerProcess


def error_of(capsys: pytest.CaptureFixture[str], arguments: Sequence[object]) -> str:
    assert main([str(argument) for argument in arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert captured.err.startswith("error: ")
    return captured.err


def test_mistakes_at_the_command_line_are_told_in_one_line(
    base: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    scripted_server: Callable[..., Any],
) -> None:
    monkeypatch.delenv("KG_SERVER_API_KEY", raising=False)
    data = ("--base_data_path", base)
    http = (*data, "--transport", "http")
    (tmp_path / "empty").mkdir()
    (tmp_path / "key").write_text("two words\n")
    nobody = f"{scripted_server((200, b'{}')).address}/retrieve"
    for arguments, words in [
        ((), "one of the arguments --base_data_path --search_url is required"),
        ((*data, "--dataset", "world"), "unrecognized arguments: --dataset world"),
        (("--base_data_path", tmp_path / "nope"), "there is no folder"),
        (("--base_data_path", tmp_path / "empty"), "no data set found under"),
        (
            (*data, "--datasets", "world,nowhere"),
            "there is no data set 'nowhere'. Data sets: 'webqsp', 'world'",
        ),
        ((*data, "--datasets", "world,"), "has an empty name"),
        ((*data, "--actions", "get_all"), "there is no action 'get_all'. Actions"),
        ((*data, "--max_cache_size", "0"), "must be at least 1"),
        ((*data, "--port", "80"), "--port goes with --transport http"),
        ((*data, "--insecure"), "--insecure goes with --transport http"),
        ((*http, "--port", "70000"), "--port 70000 is not a port"),
        ((*http, "--host", "0.0.0.0", "--port", "0"), "or --insecure to serve without"),
        ((*http, "--host", "nowhere.invalid"), "is not an address of this machine"),
        ((*http, "--port", "0", "--api_key_file", tmp_path / "key"), "without spaces"),
        ((*http, "--port", "0", "--api_key_file", tmp_path / "no"), "cannot be read"),
        (("--search_url", "http://127.0.0.1:1/retrieve"), "no KG server answers at"),
        (("--search_url", nobody, "--datasets", "world"), "is not a KG server"),
        (("--search_url", "nowhere"), "is not an http address"),
    ]:
        assert words in error_of(capsys, arguments), arguments


def test_a_server_lacks_what_is_asked_for(
    base: Path,
    capsys: pytest.CaptureFixture[str],
    start_server: Callable[..., ServerProcess],
    global_registry: ActionRegistry,
) -> None:
    remote = ("--search_url", f"{start_server('--base_data_path', base).address}/retrieve")
    assert "there is no data set 'mars'" in error_of(capsys, (*remote, "--datasets", "world,mars"))
    world = (*remote, "--datasets", "world", "--actions")
    assert "there is no action 'x'" in error_of(capsys, (*world, "x"))
    message = error_of(capsys, (*world, "find_paths,get_relations"))
    assert "the KG server has no action 'find_paths'. Its actions: get_relations" in message


def test_a_missing_package_is_told_in_one_line(
    base: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "kg_r1.search.mcp_tools", raising=False)
    monkeypatch.setitem(sys.modules, "mcp.server", None)
    assert "install the project (README.md)" in error_of(capsys, ("--base_data_path", base))
