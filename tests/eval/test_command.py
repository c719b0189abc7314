"""`kg-r1 eval` from the command line to its files, with a tiny random model."""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kg_r1 import cli
from kg_r1.eval import command
from kg_r1.eval.command import model_digest
from kg_r1.eval.episodes_file import EPISODES, PART, SETTINGS
from kg_r1.eval.systems import BASELINES
from kg_r1.search.actions import ACTION_REGISTRY
from tests.search.conftest import ROOT, ServerProcess

# The tiny tokenizer has short tokens, so prompts are long.
LIMITS = ["--max-start-length", "500", "--max-episode-tokens", "520", "--max-response-length", "120"]


def arguments(model: Path, question_file: Path, base: Path, out: Path, *more: str) -> list[str]:
    return [
        "eval", "--model", str(model), "--questions", str(question_file), "--base_data_path", str(base),
        "--out", str(out), "--engine", "hf", *LIMITS, *more,
    ]  # fmt: skip


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_an_evaluation_writes_what_it_says(
    model: Path, question_file: Path, base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert cli.main(arguments(model, question_file, base, out, "--n-samples", "2")) == 0
    printed = capsys.readouterr().out
    records = lines(out / EPISODES)
    report = json.loads((out / "report.json").read_text())
    assert [system["name"] for system in report["systems"]] == ["model", *BASELINES]
    assert len(records) == 6 * 5 * 2 and not (out / PART).exists()
    assert {
        "system",
        "sample",
        "prompt",
        "output",
        "question",
        "status",
        "turns",
        "reward",
        "metrics",
    } <= set(records[0])
    assert {"total", "outcome", "turns", "parts"} == set(records[0]["reward"])
    assert (report["num_samples"], report["seed"], report["settings"]["temperature"]) == (2, 0, 0.7)
    oracle = report["systems"][-1]
    assert oracle["kind"] == "ceiling" and oracle["groups"][0]["metrics"]["em"]["mean"] == 1.0
    assert oracle["groups"][0]["metrics"]["reachable"]["mean"] == 1.0
    rows = list(csv.DictReader((out / "report.csv").open()))
    assert {row["system"] for row in rows} == {"model", *BASELINES}
    assert "oracle" in printed and str(out / "report.html") in printed
    assert (out / "report.html").stat().st_size > 1000


def test_tool_calls_without_tools_in_the_template_are_refused_before_the_model_is_loaded(
    model: Path,
    question_file: Path,
    base: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def load(*_: Any) -> Any:
        raise AssertionError("the model was loaded")

    monkeypatch.setattr(command, "load_policy", load)
    asked = arguments(
        model, question_file, base, tmp_path / "out", "--query-form", "tools", "--baselines", "none"
    )
    assert cli.main(asked) == 2
    told = capsys.readouterr().err.strip().splitlines()
    assert len(told) == 1 and "use query_form tags" in told[0]


def test_an_interrupted_evaluation_goes_on_and_ends_the_same(
    model: Path,
    question_file: Path,
    base: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = ["--baselines", "random_walk", "oracle"]
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    assert cli.main(arguments(model, question_file, base, whole, *asked)) == 0

    add, num_added = command.EpisodesFile.add, 0

    def interrupt_after_seven(self: Any, record: Any) -> None:
        nonlocal num_added
        add(self, record)
        num_added += 1
        if num_added == 7:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(command.EpisodesFile, "add", interrupt_after_seven)
        assert cli.main(arguments(model, question_file, base, broken, *asked)) == 130
    assert "the same command goes on" in capsys.readouterr().err
    kept = lines(broken / PART)
    assert len(kept) == 7
    assert cli.main(arguments(model, question_file, base, broken, *asked)) == 0

    def told(folder: Path) -> list[tuple[Any, ...]]:
        return [(one["system"], one["sample"], one["output"]) for one in lines(folder / EPISODES)]

    assert told(whole) == told(broken)
    # Times of the graph stand in each record, so a record that is equal to the last digit was not replayed.
    finished = lines(broken / EPISODES)
    assert all(one in finished for one in kept)


def test_a_finished_evaluation_is_reported_again_without_the_model(
    model: Path, question_file: Path, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    asked = arguments(model, question_file, base, out, "--baselines", "none", "--max-questions", "2")
    assert cli.main(asked) == 0
    (out / "report.json").unlink()
    before = (out / EPISODES).read_bytes()
    monkeypatch.setattr(command, "load_policy", None)
    assert cli.main(asked) == 0
    assert (out / "report.json").exists() and (out / EPISODES).read_bytes() == before


def test_a_baseline_can_be_added_later(model: Path, question_file: Path, base: Path, tmp_path: Path) -> None:
    out, few = tmp_path / "out", ["--max-questions", "2"]
    assert cli.main(arguments(model, question_file, base, out, "--baselines", "none", *few)) == 0
    first = lines(out / EPISODES)
    assert cli.main(arguments(model, question_file, base, out, "--baselines", "oracle", *few)) == 0
    both = lines(out / EPISODES)
    assert both[: len(first)] == first and {one["system"] for one in both} == {"model", "oracle"}


def test_other_settings_are_refused(
    model: Path, question_file: Path, base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = arguments(
        model, question_file, base, tmp_path / "out", "--baselines", "none", "--max-questions", "1"
    )
    assert cli.main(asked) == 0
    changed = tmp_path / "model"
    shutil.copytree(model, changed)
    (changed / "config.json").write_text((model / "config.json").read_text() + " ")
    for more in (["--max-turns", "3"], ["--seed", "1"], ["--model", str(changed)]):
        capsys.readouterr()
        assert cli.main([*asked, *more]) == 2
        error = capsys.readouterr().err
        assert "other settings" in error and error.count("\n") == 1
    assert model_digest(changed) != model_digest(model)


def test_a_folder_with_another_definition_of_evidence_is_refused(
    model: Path, question_file: Path, base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    asked = arguments(model, question_file, base, out, "--baselines", "none", "--max-questions", "1")
    assert cli.main(asked) == 0
    written = json.loads((out / SETTINGS).read_text())
    del written["settings"]["evidence"]
    (out / SETTINGS).write_text(json.dumps(written))
    capsys.readouterr()
    assert cli.main(asked) == 2
    assert "evidence: null there" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--model", "/no/such/folder"], "/no/such/folder"),
        (["--questions", "/no/such/file"], "/no/such/file"),
        (["--base_data_path", "/no/such/folder"], "/no/such/folder"),
        (["--search_url", "http://127.0.0.1:1/retrieve"], "no KG server answers"),
        (["--n-samples", "0"], "--n-samples must be at least 1"),
        (["--n-samples", "2", "--temperature", "0"], "same sample every time"),
        (["--temperature", "-1"], "--temperature"),
        (["--max_turns", "0"], "max_turns must be at least 1"),
        (["--max-obs-length", "1"], "max_obs_length"),
        (["--max-model-len", "100"], "--max-model-len 100"),
        (["--actions", "get_tail_entities", "--baselines", "random_walk"], "random_walk does not apply"),
        (["--actions", "fly"], "fly"),
        (["--baselines", "none", "oracle"], "stands alone"),
    ],
)
def test_a_mistake_is_one_line_and_code_2(
    model: Path,
    question_file: Path,
    base: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    more: list[str],
    words: str,
) -> None:
    assert cli.main(arguments(model, question_file, base, tmp_path / "out", *more)) == 2
    error = capsys.readouterr().err
    assert words in error and error.count("kg-r1 eval: ") == 1
    assert error.splitlines()[-1].startswith("kg-r1 eval: ") and "Traceback" not in error


@pytest.fixture
def registry_put_back() -> Iterator[None]:
    """What an evaluation enables stays enabled in its process."""
    before = dict(ACTION_REGISTRY)
    yield
    ACTION_REGISTRY.clear()
    ACTION_REGISTRY.update(before)


@pytest.mark.usefixtures("registry_put_back")
def test_a_server_without_the_questions_data_set_or_an_action_is_refused(
    model: Path, question_file: Path, base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "other" / "moon").mkdir(parents=True)
    (tmp_path / "other" / "moon" / "triples.tsv").write_text("a\tb\tc\n", encoding="utf-8")
    command = [sys.executable, "-m", "kg_r1.search.kg_retrieval_server", "--base_data_path"]
    for folder, more, words in [
        (tmp_path / "other", [], "Its data sets: 'moon'"),
        (base, ["--actions", "get_relations", "find_paths"], "has no action 'find_paths'"),
    ]:
        server = ServerProcess([*command, str(folder)], ROOT)
        more += ["--search_url", f"{server.address}/retrieve"]
        try:
            assert cli.main(arguments(model, question_file, base, tmp_path / "out", *more)) == 2
        finally:
            server.stop()
        assert words in capsys.readouterr().err.splitlines()[-1]


def test_a_graph_is_needed_and_a_file_counts_once(
    model: Path, question_file: Path, base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    without = ["eval", "--model", str(model), "--data", str(question_file), "--out", str(tmp_path / "out")]
    assert cli.main(without) == 2
    assert "name a graph" in capsys.readouterr().err
    assert cli.main([*without, "--base_data_path", str(base), "--data", *[str(question_file)] * 2]) == 2
    assert "two questions have the id" in capsys.readouterr().err


def test_its_modules_load_no_engine() -> None:
    code = (
        "import sys, kg_r1.eval.command\n"
        "print([name for name in ('torch', 'transformers', 'vllm', 'verl', 'bm25s') if name in sys.modules])"
    )
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert finished.stdout.strip() == "[]"
