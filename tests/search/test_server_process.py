"""The command line and the launch script, as processes on real sockets."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from kg_r1.search.kg_retrieval_server import main
from tests.search.conftest import ROOT, ServerProcess

GOOD = {
    "action_type": "get_tail_entities",
    "dataset_name": "world",
    "entity_id": "France",
    "relation": "capital",
}


def check_served(address: str) -> None:
    items = httpx.post(f"{address}/retrieve", json=[GOOD]).json()
    assert items[0]["results"] == [{"tail_entities": ["Paris [q2]"]}]


def test_as_a_script_and_stopped_by_ctrl_c(base: Path, start_server: Callable[..., ServerProcess]) -> None:
    server = start_server("--base_data_path", base, cwd=base.parent)
    assert server.address.startswith("http://127.0.0.1:")
    check_served(server.address)
    assert server.stop(signal.SIGINT) == 0
    log = "".join(server.lines)
    assert "data sets: webqsp, world" in log
    assert "Traceback" not in log
    assert "POST /retrieve" not in log


def test_as_a_module_and_stopped_by_sigterm(base: Path, start_server: Callable[..., ServerProcess]) -> None:
    command = [sys.executable, "-m", "kg_r1.search.kg_retrieval_server"]
    server = start_server("--base_data_path", base, "--host", "localhost", command=command)
    check_served(server.address)
    assert server.stop(signal.SIGTERM) == -signal.SIGTERM
    assert "Traceback" not in "".join(server.lines)


@pytest.mark.parametrize("through_link", [False, True])
def test_the_launch_script_from_elsewhere(
    base: Path, tmp_path: Path, start_server: Callable[..., ServerProcess], through_link: bool
) -> None:
    script = ROOT / "scripts" / "kg_retrieval_launch.sh"
    if through_link:
        link = tmp_path / "launch"
        link.symlink_to(script)
        script = link
    # Where the checkout has no .venv, the script takes python3 from the PATH: this interpreter here.
    (tmp_path / "bin").mkdir()
    python = tmp_path / "bin" / "python3"
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    env = {"PATH": f"{python.parent}:{os.defpath}"}
    server = start_server("--base_data_path", "data_kg", command=[str(script)], cwd=base.parent, env=env)
    check_served(server.address)
    # The signal goes to the process that was started: exec left no shell in between.
    assert server.stop(signal.SIGINT) == 0


def test_names_that_no_file_system_holds(base: Path, start_server: Callable[..., ServerProcess]) -> None:
    server = start_server("--base_data_path", base)
    nasty = "\\ud800\\u0000\\n'\\\"" * 20_000
    fields = '"dataset_name": "%s", "sample_id": "%s", "entity_id": "%s", "relation": "%s"'
    requests = [
        '{"action_type": "get_tail_entities", ' + fields % names + "}"
        for names in [
            (nasty, "s1", "m.1", "type"),
            ("webqsp", nasty, "m.1", "type"),
            ("webqsp", "s1", nasty, "type"),
            ("webqsp", "s1", "m.1", nasty),
            ("webqsp", "s1", "m.1", "type"),
        ]
    ]
    response = httpx.post(f"{server.address}/retrieve", content=f"[{','.join(requests)}]".encode())
    assert response.status_code == 200
    assert [item["results"][0].get("code") for item in response.json()] == [
        "unknown_dataset",
        "unknown_sample",
        "unknown_entity",
        "unknown_relation",
        None,
    ]


def error_of(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> str:
    assert main([str(argument) for argument in arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    return captured.err


def test_mistakes_are_told_in_one_line(
    base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    data = ("--base_data_path", base)
    assert "there is no folder" in error_of(capsys, "--base_data_path", tmp_path / "nope")
    assert "no data set found under" in error_of(capsys, "--base_data_path", empty)
    assert "--port 70000 is not a port" in error_of(capsys, *data, "--port", "70000")
    assert "must be at least 1" in error_of(capsys, *data, "--max_cache_size", "0")
    assert "is not an address of this machine" in error_of(capsys, *data, "--host", "nowhere.invalid")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        message = error_of(capsys, *data, "--port", port)
    assert f"cannot listen at 127.0.0.1 port {port} (Address already in use)" in message
    assert "give another --port" in message


def test_a_missing_option_is_a_usage_error() -> None:
    command = [sys.executable, str(ROOT / "kg_r1" / "search" / "kg_retrieval_server.py")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2
    assert "--base_data_path" in done.stderr


def test_an_interpreter_without_the_packages_is_told_what_to_do(base: Path) -> None:
    script = str(ROOT / "kg_r1" / "search" / "kg_retrieval_server.py")
    command = [sys.executable, "-S", "-E", script, "--base_data_path", str(base)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith("error: No module named")
    assert done.stderr.count("\n") == 1


WITHOUT_FAST_PARTS = """
import sys
sys.modules["uvloop"] = sys.modules["httptools"] = None  # as if they were not installed
from kg_r1.search.kg_retrieval_server import main
sys.exit(main())
"""


def test_without_the_fast_parts_it_serves_and_says_so_once(
    base: Path, start_server: Callable[..., ServerProcess]
) -> None:
    command = [sys.executable, "-c", WITHOUT_FAST_PARTS]
    server = start_server("--base_data_path", base, "--workers", "2", command=command)
    check_served(server.address)
    server.stop()
    assert "".join(server.lines).count("uvloop and httptools not installed") == 1


def test_bad_limits_and_options_are_told_in_one_line(base: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = ("--base_data_path", base)
    assert "--max_body_bytes is 0; it must be above 0" in error_of(capsys, *data, "--max_body_bytes", "0")
    assert "--max_body_read_s is nan" in error_of(capsys, *data, "--max_body_read_s", "nan")
    assert "--workers is 0; it must be at least 1" in error_of(capsys, *data, "--workers", "0")
    for arguments in (("--max_body_bytes", "many"), ("--made_up",)):
        with pytest.raises(SystemExit) as stopped:
            main([str(argument) for argument in (*data, *arguments)])
        assert stopped.value.code == 2
        error = capsys.readouterr().err
        assert error.startswith("error: ") and error.count("\n") == 1
