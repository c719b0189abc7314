"""The command line: what is printed, and what a user's mistake looks like."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from kg_r1 import cli
from kg_r1.data.rows import write_questions
from kg_r1.kg.store import GraphStore
from kg_r1.llm_agent.question import Question

SEARCH = '<think>t</think>\n<search>get_tail_entities("France", "capital")</search>'
ANSWER = "<think>t</think>\n<answer>Paris</answer>"


@pytest.fixture
def questions(tmp_path: Path, question: Question) -> Path:
    path = tmp_path / "questions.parquet"
    write_questions(path, [question])
    return path


def run(store: GraphStore, questions: Path, *more: str) -> int:
    return cli.main(
        ["episode", "--questions", str(questions), "--base_data_path", str(store.base_data_path), *more]
    )


def test_a_script_is_played_and_printed(
    store: GraphStore, questions: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script = tmp_path / "turns.txt"
    script.write_text(f"{SEARCH}\n\n{ANSWER}\n", encoding="utf-8")
    assert run(store, questions, "--script", str(script)) == 0
    assert capsys.readouterr().out == (
        f"Question: What is the capital of France?\n{SEARCH}\n<information>Paris</information>\n{ANSWER}\n"
        "gold: Paris\nstatus: answered  reward: 2.00  em: 1  f1: 1.00  evidence: 1.00\n"
    )


def test_turns_can_be_typed_in(
    store: GraphStore, questions: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{SEARCH}\n{ANSWER}\n"))
    assert run(store, questions, "--json") == 0
    captured = capsys.readouterr()
    record = json.loads(captured.out)
    assert (record["status"], record["answer"], record["reward"]["total"]) == ("answered", "Paris", 2.0)
    assert captured.err.count("<information>Paris</information>") == 1
    assert "Question: What is the capital of France?" in captured.err


def test_typing_that_ends_early_ends_the_episode(
    store: GraphStore, questions: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{SEARCH}\n"))
    assert run(store, questions) == 0
    assert "status: policy_aborted" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--index", "1"], "holds 1 questions"),
        (["--index", "-1"], "holds 1 questions"),
        (["--script", "/no/such/file"], "/no/such/file"),
        (["--model", "/no/such/folder"], "/no/such/folder"),
        (["--max_turns", "0"], "max_turns must be at least 1"),
        (["--model", "x", "--temperature", "-1"], "temperature"),
    ],
)
def test_a_mistake_is_one_line_and_code_2(
    store: GraphStore, questions: Path, capsys: pytest.CaptureFixture[str], more: list[str], words: str
) -> None:
    assert run(store, questions, *more) == 2
    error = capsys.readouterr().err
    assert words in error and error.count("\n") == 1


def test_a_missing_questions_file_is_one_line(
    store: GraphStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(store, tmp_path / "none.parquet") == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_serve_and_build_hand_their_arguments_on(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[str, list[str]]] = []

    class Module:
        def __init__(self, name: str) -> None:
            self.name = name

        def main(self, arguments: list[str]) -> int | None:
            seen.append((self.name, arguments))
            return 3 if "--bad" in arguments else None

    monkeypatch.setattr("importlib.import_module", Module)
    assert cli.main(["serve", "--port", "9", "--help"]) == 0
    assert cli.main(["build", "world", "--bad"]) == 3
    assert seen == [
        ("kg_r1.search.kg_retrieval_server", ["--port", "9", "--help"]),
        ("kg_r1.data.build", ["world", "--bad"]),
    ]


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(["--help"])
    assert caught.value.code == 0
    printed = capsys.readouterr().out
    assert all(name in printed for name in ("serve", "build", "episode"))
