"""Curves over seeds: what a step's mean and band are, and what is refused."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from kg_r1.llm_agent.question import Question
from verl_ext.curves import OVERALL, main, read_arm
from verl_ext.validation_log import MEANS, METRICS, write_validation_log


def record(number: int, num_hops: int, score: float) -> dict[str, object]:
    question = Question(
        question_id=f"q{number}",
        question="?",
        topic_entities=("A",),
        gold=(("B",),),
        dataset_name="d",
        num_hops=num_hops,
        question_type="t",
        split="val",
        path=(("tail", "r"),) * num_hops,
    )
    return {
        "question": question.to_dict(),
        "metrics": {name: score if name in METRICS else 1.0 for name in MEANS},
        "reward": {"total": score},
        "status": "answered",
    }


def write_run(folder: Path, scores: dict[int, dict[int, list[float]]]) -> Path:
    """`scores`: per step and number of hops the score of each question."""
    for step, by_hop in scores.items():
        lines = [
            record(10 * hops + number, hops, score)
            for hops, column in by_hop.items()
            for number, score in enumerate(column)
        ]
        write_validation_log(lines, folder / "validation", step)
    return folder


@pytest.fixture
def runs(tmp_path: Path) -> tuple[Path, Path]:
    first = write_run(
        tmp_path / "a",
        {0: {1: [0, 0], 2: [0]}, 5: {1: [1, 0], 2: [1]}, 10: {1: [1, 1], 2: [1]}},
    )
    second = write_run(tmp_path / "b", {0: {1: [0, 0], 2: [1]}, 5: {1: [0, 0], 2: [0]}})
    return first, second


def test_hops_count_alike_and_only_common_steps(runs: tuple[Path, Path]) -> None:
    arm = read_arm(f"GRPO={runs[0]},{runs[1]}", "hits_at_1")
    assert list(arm.values) == [0, 5]
    # One of two one-hop questions and the only two-hop one: (1/2 + 1) / 2, though two of three are right.
    assert arm.values[5][OVERALL] == [0.75, 0.0]
    assert arm.spread(0) == (0.25, 0.0, 0.5)
    assert arm.spread(5, "1-hop") == (0.25, 0.0, 0.5)


def test_table_and_picture(
    runs: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "new" / "curve.svg"
    arguments = ["--arm", f"GRPO={runs[0]},{runs[1]}", "--reference", f"walks={runs[1]}", "--out", str(out)]
    assert main(arguments) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"| arm | runs | step | {OVERALL} | 1-hop | 2-hop |"
    assert "| GRPO | 2 | 5 | 0.375 (0.000-0.750) | 0.250 (0.000-0.500) | 0.500 (0.000-1.000) |" in lines
    first = out.read_bytes()
    assert ElementTree.fromstring(first).tag.endswith("svg")
    main(arguments)
    assert out.read_bytes() == first, "the same runs give the same picture"


def test_runs_that_were_asked_different_questions_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = write_run(tmp_path / "a", {0: {1: [1], 2: [0]}})
    second = write_run(tmp_path / "b", {0: {1: [1, 1]}})
    later = write_run(tmp_path / "c", {0: {1: [1]}, 5: {1: [1, 1]}})
    for arms in ([f"x={first},{second}"], [f"x={first}", f"y={second}"], [f"x={later}"]):
        assert main([word for arm in arms for word in ("--arm", arm)]) == 2
        told = capsys.readouterr().err
        assert "different questions (1 in common of" in told and told.count("\n") == 1


@pytest.mark.parametrize(
    ("arm", "message"),
    [("runs/a", "is no arm"), ("GRPO=", "is no arm"), ("GRPO=nowhere", "no validation log")],
)
def test_a_mistake_is_one_line(arm: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--arm", arm]) == 2
    told = capsys.readouterr().err
    assert message in told and told.count("\n") == 1


def test_runs_that_share_no_step(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = write_run(tmp_path / "a", {0: {1: [0]}})
    second = write_run(tmp_path / "b", {5: {1: [0]}})
    assert main(["--arm", f"x={first},{second}"]) == 2
    assert "no validated step in common" in capsys.readouterr().err
