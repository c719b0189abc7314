"""The commands as a person runs them, and the lines of their tables."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.kg_server import build_parser, check_options, worker_counts
from benchmarks.kg_server_process import ROOT, BenchmarkError, has_workers_option
from benchmarks.kg_server_soak import grows, slope
from benchmarks.kg_server_table import Goal, Line, columns, table_text


def run(script: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "benchmarks" / script), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT.parent)


@pytest.mark.slow
def test_the_quick_benchmark_measures_every_line(tmp_path: Path) -> None:
    out = tmp_path / "figures.json"
    done = run("kg_server.py", "--quick", "--data_dir", tmp_path, "--workers", "1", "--out", out)
    assert done.returncode == 0, done.stderr
    figures = json.loads(out.read_text(encoding="utf-8"))
    assert figures["problems"] == []
    assert {key.split()[0] for key in figures["loads"]} == {"kg/1", "echo"}
    unmeasured = [line["title"] for line in figures["table"] if line["measured"] is None]
    assert unmeasured == ["2 workers / 1, 256x16", "2 workers / 1, 16x16"]
    for line in figures["table"]:
        assert line["title"] in done.stdout


@pytest.mark.slow
@pytest.mark.skipif(not has_workers_option(), reason="this server has no option --workers")
def test_a_soak_kills_workers_and_loses_nothing(tmp_path: Path) -> None:
    out = tmp_path / "soak.json"
    sizes = ("--num_subgraphs", "4", "--num_triples", "800", "--num_queries", "256")
    options = (*sizes, "--data_dir", tmp_path)
    done = run("kg_server_soak.py", *options, "--minutes", "0.06", "--kill_every_s", "1.5", "--out", out)
    assert done.returncode == 0, done.stderr
    figures = json.loads(out.read_text(encoding="utf-8"))
    assert figures["totals"]["num_checked"] > 0
    assert figures["totals"]["num_wrong"] == figures["totals"]["num_lost"] == 0
    assert len(figures["return_s"]) >= 1


@pytest.mark.parametrize("script", ["kg_server.py", "kg_server_soak.py"])
def test_a_mistake_is_one_line_and_status_2(script: str, tmp_path: Path) -> None:
    done = run(script, "--base_data_path", tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("error: ") == 1
    assert "does not hold any data set of the layout" in done.stderr


def test_options_out_of_range_are_refused() -> None:
    for arguments in (["--num_queries", "100"], ["--error_share", "1.5"]):
        with pytest.raises(BenchmarkError, match=arguments[0]):
            check_options(build_parser().parse_args(arguments))
    for text in ("2", "1,x", ""):
        with pytest.raises(BenchmarkError, match="no list of numbers with 1 among them"):
            worker_counts(text)
    assert worker_counts("1") == [1]


@pytest.mark.parametrize(
    ("measured", "goal", "met"),
    [
        (4445 * 31, Goal(15, 30, is_ratio=True), "aim"),
        (4445 * 16, Goal(15, 30, is_ratio=True), "bar"),
        (4445 * 14, Goal(15, 30, is_ratio=True), "no"),
        (2000.0, Goal(2, 3, is_ratio=True, less_is_better=True), "bar"),
        (2300.0, Goal(2, 3, is_ratio=True, less_is_better=True), "no"),
        (4.0, Goal(20, 5, less_is_better=True), "aim"),
        (19.0, Goal(20, 5, less_is_better=True), "bar"),
        (21.0, Goal(20, 5, less_is_better=True), "no"),
        (0.2, Goal(aim=0.1), "aim"),
        (0.2, Goal(aim=0.3), "no"),
        (0.2, Goal(), ""),
        (None, Goal(1.4), ""),
        (0.0, Goal(300_000), "no"),
    ],
)
def test_which_goal_is_met(measured: float | None, goal: Goal, met: str) -> None:
    assert Line("a line", "unit", measured, 4445.0, goal).met == met


def test_the_table_shows_ratio_and_limits() -> None:
    shown = ["256x16", "44,450", "queries/s", "10.0x", "15x", "30x", "no", "a", "note"]
    line = Line("256x16", "queries/s", 44_450.0, 4445.0, Goal(15, 30, is_ratio=True), note="a note")
    assert table_text([line]).splitlines()[1].split() == shown
    assert columns([("a", "b"), ("long", "1")]) == "a     b\nlong  1"


def test_memory_that_grows_is_told_from_memory_that_swings() -> None:
    swinging = [(float(second), 200_000_000 + 30_000_000 * (second % 30 > 15)) for second in range(600)]
    growing = [(float(second), 200_000_000 + 100_000 * second) for second in range(600)]
    assert not grows(swinging)
    assert grows(growing)
    assert slope(growing)[0] == pytest.approx(6_000_000)
    assert not grows([])
