"""The table of systems, over a tiny world and random models."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import pytest

from kblampp.config import Config
from kblampp.eval import eval_qa, systems
from kblampp.questions import write_questions
from tests.kblampp.injection import make_answerer, questions, write_checkpoint, write_config


def test_every_system_is_in_the_table(
    world: Config, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = str(write_config(world, tmp_path / "config.yaml"))
    checkpoint = str(write_checkpoint(world, tmp_path / "checkpoint"))
    out = tmp_path / "report"
    flags = ["--config", config, "--checkpoint", checkpoint, "--checkpoint", checkpoint, "--out", str(out)]
    assert eval_qa.main(flags) == 0
    table = capsys.readouterr().out
    for name in (*eval_qa.BASELINES, "injection (2 seeds)", "2 hops", "unanswerable"):
        assert name in table
    report = json.loads((out / "report.json").read_text())
    assert [it["system"] for it in report["results"]] == [*eval_qa.BASELINES, "injection", "injection"]
    by_name = {it["system"]: it["scores"] for it in report["results"]}
    assert by_name["gold-in-prompt"]["acc"]["1"] is not None
    assert by_name["closed-book"]["acc"]["1"] is None
    assert by_name["injection"]["num_context_tokens"] == 0
    assert by_name["gold-in-prompt"]["num_context_tokens"] > by_name["closed-book"]["num_context_tokens"] > 0
    rows = list(csv.DictReader((out / "report.csv").open()))
    assert {row["group"] for row in rows} >= {"all", "single-hop", "2 hops", "temporal", "unanswerable"}
    answers = [json.loads(line) for line in (out / "answers.jsonl").read_text().splitlines()]
    assert len(answers) == 6 * len(questions())


def test_the_selector_alone(world: Config, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = str(write_config(world, tmp_path / "config.yaml"))
    assert eval_qa.main(["--config", config, "--selector-only", "--max-questions", "4"]) == 0
    table = capsys.readouterr().out
    assert table.count("selector") == 2 and "closed-book" not in table
    row = table.splitlines()[1].split()
    assert row[2:5] == ["-", "-", "-"] and row[8:10] == ["-", "-"]
    assert all(float(accuracy) >= 0 for accuracy in row[5:8])


def test_prompts_hold_what_was_found(world: Config) -> None:
    answerer = make_answerer(world)
    asked = questions()
    gold = systems.InPrompt(answerer, systems.gold_facts(answerer.retriever.store), asked)
    facts, told = gold._information(asked[2:3])
    assert [fact.id for fact in facts[0]] == list(asked[2].supporting_facts)
    assert told == ["The birthplace of Theo Lund is Bexley.\nThe country of Bexley is Norland."]
    assert len(gold._demonstrations) == 3
    assert sum("I do not know" in it for it in gold._demonstrations) == 1
    found = systems.lexical(answerer.retriever.store)(asked[:1])[0]
    assert found[0].id == "ada-brook/birthplace" or "Ada Brook" in systems.in_words(found[0])
    assert len(systems.dense(answerer)(asked[:2])[0]) == systems.NUM_IN_PROMPT


def test_mistakes_are_one_line(world: Config, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = str(write_config(world, tmp_path / "config.yaml"))
    assert eval_qa.main(["--config", config, "--checkpoint", str(tmp_path)]) == 2
    assert eval_qa.main(["--config", config, "--questions", str(tmp_path / "none.jsonl")]) == 2
    errors = capsys.readouterr().err.splitlines()
    complaints = [line for line in errors if line.startswith("error [")]
    assert len(complaints) == 2
    assert "train_stageA makes it" in complaints[0] and "none.jsonl: cannot be read" in complaints[1]


def test_demonstrations_need_their_facts(
    world: Config, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    multi_hop = tmp_path / "train.jsonl"
    write_questions(multi_hop, [it for it in questions() if it.type != "single-hop"])
    config = str(write_config(replace(world, train_qa_path=str(multi_hop)), tmp_path / "config.yaml"))
    assert eval_qa.main(["--config", config]) == 2
    assert "give --baselines without a name" in capsys.readouterr().err
    assert eval_qa.main(["--config", config, "--max-questions", "0"]) == 2
    assert "--max-questions must be at least 1, not 0" in capsys.readouterr().err
