"""The commands from end to end on tiny graphs: what they print, what they write, what they refuse."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from kblampp.zerog import cli
from kblampp.zerog.readers import write_json
from tests.kblampp.zerog.conftest import toy_graph
from tests.kblampp.zerog.test_world import NAMES, TRIPLES

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def graphs(tmp_path: Path) -> dict[str, Path]:
    paths = {"source": tmp_path / "source.json", "unseen": tmp_path / "unseen.json"}
    write_json(toy_graph(0, 60, "source"), paths["source"])
    write_json(toy_graph(7, 30, "unseen"), paths["unseen"])
    return paths


def run(capsys: Capture, *arguments: object) -> tuple[dict[str, Any], list[str]]:
    """The JSON line and the table of a command that succeeds."""
    assert cli.main([str(argument) for argument in arguments]) == 0
    first, *rest = capsys.readouterr().out.splitlines()
    return json.loads(first), rest


def refused(capsys: Capture, *arguments: object) -> str:
    """The one line of a command that does not."""
    try:
        status = cli.main([str(argument) for argument in arguments])
    except SystemExit as exit_:
        status = exit_.code
    assert status == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    lines = [line for line in captured.err.splitlines() if line.startswith("error [")]
    assert len(lines) == 1
    return lines[0]


def test_train_on_one_graph_and_compare_on_another(
    capsys: Capture, graphs: dict[str, Path], folders: dict[str, Path], tmp_path: Path
) -> None:
    bert = ["--text-encoder", "bert", "--model-path", folders["bert"], "--device", "cpu"]
    made, lines = run(
        capsys,
        *("train", "--graph", graphs["source"], "--out", tmp_path / "tuned", *bert, "--num-epochs", 2),
        *("--training", "full", "--learning-rate", 1e-3, "--num-rounds", 1),
    )
    assert [row["epoch"] for row in made["history"]] == [0, 1, 2]
    assert made["peak_mib"] > 0
    assert sum(line.endswith("kept") for line in lines) == 1
    assert len(lines) == 4
    compared = [f"bert={folders['bert']}", f"llama3={folders['llama']}"]
    found, lines = run(
        capsys,
        *("eval", "--graph", graphs["unseen"], "--checkpoint", tmp_path / "tuned", "--device", "cpu"),
        *("--compare", compared[0], "--compare", compared[1], "--num-rounds", 1),
    )
    rows = found["rows"]
    assert [(row["family"], row["num_rounds"]) for row in rows] == [
        ("-", 0),
        ("encoder", 0),
        ("encoder", 1),
        ("decoder", 0),
        ("decoder", 1),
        ("encoder", 0),
        ("encoder", 1),
    ]
    assert rows[0]["accuracy"] == pytest.approx(1 / 3)
    assert rows[-1]["system"].startswith("tuned (full, epoch ")
    for row in rows:
        assert set(row) == {
            *("system", "family", "num_rounds", "seconds", "peak_mib"),
            *("accuracy", "micro_f1", "macro_f1", "num_nodes"),
        }
        assert row["num_nodes"] == 30
        assert row["micro_f1"] == pytest.approx(row["accuracy"])
        assert row["peak_mib"] > 0
    assert len(lines) == len(rows) + 1
    assert lines[-1].split()[-3] == f"{rows[-1]['macro_f1']:.3f}"
    assert [path.name for path in tmp_path.glob(".*")] == []


def test_nodes_that_a_checkpoint_has_seen_are_not_scored(
    capsys: Capture, graphs: dict[str, Path], folders: dict[str, Path], tmp_path: Path
) -> None:
    bert = ["--text-encoder", "bert", "--model-path", folders["bert"]]
    run(capsys, "train", "--graph", graphs["source"], "--out", tmp_path / "t", *bert, "--num-epochs", 1)
    evaluation = ["eval", "--graph", graphs["source"], "--checkpoint", tmp_path / "t"]
    for nodes in ("all", "train", "val"):
        message = refused(capsys, *evaluation, "--nodes", nodes)
        assert message.startswith("error [checkpoint_error]: ")
        assert "--nodes test" in message
    found, _ = run(capsys, *evaluation, "--nodes", "test")
    assert {row["num_nodes"] for row in found["rows"]} == {12}


def test_graphs_are_built_from_an_export(capsys: Capture, tmp_path: Path, folders: dict[str, Path]) -> None:
    (tmp_path / "triples.tsv").write_text(TRIPLES, encoding="utf-8")
    (tmp_path / "names.tsv").write_text(NAMES, encoding="utf-8")
    made, lines = run(capsys, "build-world", "--world", tmp_path, "--out", tmp_path / "graphs")
    assert [row["num_nodes"] for row in made["graphs"]] == [3, 6, 11]
    assert len(lines) == 3
    first = (tmp_path / "graphs" / "kinds.json").read_bytes()
    run(capsys, "build-world", "--world", tmp_path, "--out", tmp_path / "graphs", "--graphs", "kinds")
    assert (tmp_path / "graphs" / "kinds.json").read_bytes() == first
    llama = ["--text-encoder", "llama3", "--model-path", folders["llama"]]
    found, _ = run(capsys, "eval", "--graph", tmp_path / "graphs" / "places.json", *llama)
    assert [row["family"] for row in found["rows"]] == ["-", "decoder", "decoder"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["eval", "--graph", "missing.pt"], "error [file_error]: missing.pt: there is no such file"),
        (["eval", "--graph", "g.json", "--colour", "red"], "error [usage]: unrecognized arguments: --colour"),
        (["eval", "--grap", "g.json"], "error [usage]: the following arguments are required: --graph"),
        (["eval"], "error [usage]: the following arguments are required: --graph"),
        (["play"], "error [usage]: argument command: invalid choice: 'play'"),
        (
            ["eval", "--graph", "g.json", "--compare", "elmo"],
            "error [bad_option]: --compare elmo: there is no",
        ),
        (["eval", "--graph", "g.json", "--num-rounds", "-1"], "error [bad_option]: num_rounds must be"),
        (["train", "--graph", "g.json", "--out", "o", "--num-epochs", "0"], "error [bad_option]: num_epochs"),
        (
            ["train", "--graph", "g.json", "--out", "o", "--batch-size", "0"],
            "error [encoder_error]: batch_size",
        ),
        (
            ["build-world", "--world", "nowhere", "--out", "o"],
            "error [file_error]: nowhere/names.tsv: cannot",
        ),
    ],
)
def test_mistakes_are_one_line_with_a_code(
    capsys: Capture,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    write_json(toy_graph(0), tmp_path / "g.json")
    assert refused(capsys, *arguments).startswith(message)


def test_results_are_on_stdout_and_progress_on_stderr(
    graphs: dict[str, Path], folders: dict[str, Path], tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "kblampp.zerog.cli", "train", "--graph", graphs["source"], "--out"]
    command += [
        tmp_path / "t",
        "--text-encoder",
        "bert",
        "--model-path",
        folders["bert"],
        "--num-epochs",
        "1",
    ]
    finished = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=True)
    assert json.loads(finished.stdout.splitlines()[0])["checkpoint"] == str(tmp_path / "t")
    assert "epoch 1/1: loss " in finished.stderr
    assert " s left" in finished.stderr
    assert "epoch 1/1" not in finished.stdout
