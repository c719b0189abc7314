"""The live OpenAPI description against the server that publishes it: every case that is made up agrees."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.search.conftest import ServerProcess

KEY = "a-key-for-the-schema"
# A request of a batch that breaks the schema gives an error item and not a 4xx: it must fail alone.
DOES_NOT_HOLD_BY_DESIGN = "negative_data_rejection"


def num_cases_passed(server: ServerProcess, num_examples: int, folder: Path) -> int:
    """Runs schemathesis over every operation; gives the number of cases, all of which passed."""
    assert server.process.stderr is not None
    log: list[str] = []
    # Thousands of odd requests are logged: a pipe that nobody reads would make the server wait.
    reader = threading.Thread(target=lambda: log.extend(server.process.stderr or ()))
    reader.start()
    command = [sys.executable, "-c", "from schemathesis.cli import schemathesis; schemathesis()"]
    command += ["run", f"{server.address}/openapi.json", "--header", f"Authorization: Bearer {KEY}"]
    command += ["--max-examples", str(num_examples), "--exclude-checks", DOES_NOT_HOLD_BY_DESIGN]
    command += ["--seed", "1", "--generation-database", "none", "--request-timeout", "60", "--no-color"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    server.process.kill()
    server.process.wait()
    reader.join()
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in "".join(log)
    assert re.search(r"Tested: +7\b", done.stdout), done.stdout
    counted = re.search(r"([\d,]+) generated, ([\d,]+) passed", done.stdout)
    assert counted is not None and counted[1] == counted[2], done.stdout
    return int(counted[1].replace(",", ""))


@pytest.fixture
def server(base: Path, start_server: Callable[..., ServerProcess]) -> ServerProcess:
    pytest.importorskip("schemathesis")
    return start_server("--base_data_path", base, env={"KG_SERVER_API_KEY": KEY})


def test_a_few_cases_agree_with_the_schema(server: ServerProcess, tmp_path: Path) -> None:
    assert num_cases_passed(server, 15, tmp_path) >= 100


@pytest.mark.slow
def test_ten_thousand_cases_agree_with_the_schema(server: ServerProcess, tmp_path: Path) -> None:
    assert num_cases_passed(server, 11_000, tmp_path) >= 10_000
