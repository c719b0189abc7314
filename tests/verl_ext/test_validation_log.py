"""The validation generation log and the report made from it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kg_r1.llm_agent.question import Question
from verl_ext.report import ReportError, changes, report
from verl_ext.trainer import share_equal_groups
from verl_ext.validation_log import read_validation_log, validation_summary, write_validation_log


def record(
    em: float, num_hops: int | None, status: str = "answered", question_id: str = "q"
) -> dict[str, Any]:
    metrics = dict.fromkeys(
        ("em", "hits_at_1", "hit", "f1", "coverage", "valid_query_rate", "num_turns", "tool_tokens"), em
    )
    return {
        "question": Question(
            question_id=question_id,
            question="Who?",
            topic_entities=("X",),
            gold=(("Ann", "Anna"),),
            dataset_name="people",
            num_hops=num_hops,
        ).to_dict(),
        "output": f"<answer>{'Ann' if em else 'Bob'}</answer>",
        "status": status,
        "turns": [{"text": "t"}],
        "reward": {"total": 2 * em},
        "metrics": {**metrics, "generated_tokens": 10.0, "total_tokens": 30.0},
    }


def test_means_by_number_of_hops() -> None:
    summary = validation_summary(
        [record(1.0, 1), record(0.0, 1), record(1.0, 2, "max_turns"), record(0.0, None)]
    )
    assert summary["all/em"] == 0.5
    assert summary["1-hop/em"] == 0.5
    assert summary["2-hop/em"] == 1.0
    assert summary["all/reward"] == 1.0
    assert summary["all/share_answered"] == 0.75
    assert summary["all/num_episodes"] == 4.0
    assert validation_summary([]) == {}


def test_a_log_is_read_as_it_was_written(tmp_path: Path) -> None:
    lines = [record(1.0, 1), {**record(0.0, 2), "output": "Zürich\u2028\n"}]
    path = write_validation_log(lines, tmp_path / "validation", 20)
    assert path.name == "step_000020.jsonl"
    assert read_validation_log(path) == lines
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_a_broken_line_is_named(tmp_path: Path) -> None:
    path = tmp_path / "step_000001.jsonl"
    path.write_text('{"a": 1}\n{"a"\n')
    with pytest.raises(ValueError, match=r"step_000001\.jsonl:2 "):
        read_validation_log(path)


def test_the_report_compares_the_first_and_the_last_log(tmp_path: Path) -> None:
    write_validation_log([record(0.0, 1), record(0.0, 2)], tmp_path / "validation", 0)
    write_validation_log([record(1.0, 1), record(0.0, 2)], tmp_path / "validation", 6)
    text = report(tmp_path)
    assert "step_000000 -> step_000006" in text
    row = next(line for line in text.splitlines() if line.startswith("all"))
    assert row.split()[:5] == ["all", "2", "0.00", "->", "0.50"]
    assert "<answer>Ann</answer>" in text
    assert "<answer>Bob</answer>" in text
    assert "gold: Ann" in text


def test_a_report_may_compare_with_another_runs_start(tmp_path: Path) -> None:
    write_validation_log(
        [record(0.0, 1, question_id="q1"), record(0.0, 2, question_id="q2")], tmp_path / "a" / "validation", 0
    )
    write_validation_log([record(1.0, 1, question_id="q1")], tmp_path / "b" / "validation", 5)
    text = report(tmp_path / "b", since=tmp_path / "a")
    assert "step_000000 -> step_000005, 1 questions in common of 2 and 1: all below is of those alone" in text
    assert "change over 1 questions" in text and "0.00 -> 1.00" in text
    write_validation_log([record(1.0, 1, question_id="q3")], tmp_path / "c" / "validation", 5)
    with pytest.raises(ReportError, match="share no question"):
        report(tmp_path / "c", since=tmp_path / "a")


def test_the_change_is_taken_question_by_question() -> None:
    names = [f"q{number}" for number in range(30)]
    before = [record(float(number % 2), 1, question_id=name) for number, name in enumerate(names)]
    after = [record(1.0, 1, question_id=name) for name in reversed(names)]
    lines = changes(before, after).splitlines()
    assert lines[0].startswith("change over 30 questions")
    assert lines[1].split()[:2] == ["em", "0.500"]
    assert "within chance" not in lines[1]
    assert "within chance" in "\n".join(changes(before, before).splitlines()[1:])


def test_a_run_without_validation_says_so(tmp_path: Path) -> None:
    with pytest.raises(ReportError, match="no validation log"):
        report(tmp_path)


def test_groups_whose_rollouts_all_earned_the_same() -> None:
    keys = ["q1_0_0", "q1_1_0", "q2_0_0", "q2_1_0"]
    episodes = [{"reward/total": value} for value in (1.0, 1.0, 0.0, 2.0)]
    assert share_equal_groups(keys, episodes) == 0.5
