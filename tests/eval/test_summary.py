"""The report's numbers by hand, and the same numbers in every form they take."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest

from kg_r1.eval.summary import STATUSES, summarise_group, summarise_system
from kg_r1.eval.table import CSV_COLUMNS, report_csv, report_table
from tests.eval.small import CONJUNCTIVE, ONE_HOP, PATHLESS, TWO_HOP, line

# Two samples of each of three questions: EM 1 and 0, 0 and 0, 1 and 1.
LINES = [
    line(ONE_HOP, 0, em=1.0, hits_at_1=1.0, num_turns=2.0, stop_accuracy=1.0),
    line(ONE_HOP, 1, em=0.0, hits_at_1=1.0, num_turns=4.0, stop_accuracy=0.0),
    line(TWO_HOP, 0, status="max_turns", em=0.0, num_turns=5.0, stop_accuracy=0.0),
    line(TWO_HOP, 1, em=0.0, num_turns=3.0, stop_accuracy=0.0),
    line(PATHLESS, 0, em=1.0, hits_at_1=1.0, num_turns=2.0),
    line(PATHLESS, 1, em=1.0, hits_at_1=1.0, num_turns=2.0),
]


def group(system: dict[str, Any], by: str, name: str) -> dict[str, Any]:
    return next(one for one in system["groups"] if (one["by"], one["group"]) == (by, name))


def report(*systems: dict[str, Any]) -> dict[str, Any]:
    return {"model": "m", "questions": ["q"], "systems": list(systems)}


def test_a_question_counts_once_with_the_mean_of_its_samples() -> None:
    system = summarise_system("model", "model", LINES, 1.5)
    everything = group(system, "all", "all")
    assert (system["num_questions"], everything["num_questions"]) == (3, 3)
    assert everything["metrics"]["em"]["mean"] == pytest.approx((0.5 + 0 + 1) / 3)
    assert everything["metrics"]["num_turns"]["mean"] == pytest.approx((3 + 4 + 2) / 3)
    assert everything["metrics"]["share_answered"]["mean"] == pytest.approx((1 + 0.5 + 1) / 3)
    for interval in everything["metrics"].values():
        assert interval["low"] <= interval["mean"] <= interval["high"]


def test_a_question_without_the_metric_is_left_out_of_it() -> None:
    everything = group(summarise_system("model", "model", LINES, 0.0), "all", "all")
    assert everything["metrics"]["stop_accuracy"]["mean"] == pytest.approx((0.5 + 0) / 2)
    assert "stop_accuracy" not in summarise_group("hop", "unknown", [LINES[4:]])["metrics"]


def test_pass_at_k_is_that_of_each_question() -> None:
    passes = group(summarise_system("model", "model", LINES, 0.0), "all", "all")["pass_at_k"]
    assert {k: one["mean"] for k, one in passes["em"].items()} == {
        "1": pytest.approx(0.5),
        "2": pytest.approx(2 / 3),
    }
    assert passes["hits_at_1"]["1"]["mean"] == pytest.approx(2 / 3)


def test_one_sample_has_no_pass_at_k() -> None:
    assert summarise_group("all", "all", [LINES[:1]])["pass_at_k"] == {}


def test_every_status_has_a_share_and_they_add_up() -> None:
    statuses = group(summarise_system("model", "model", LINES, 0.0), "all", "all")["statuses"]
    assert tuple(statuses) == STATUSES
    assert statuses["max_turns"] == pytest.approx(0.5 / 3)
    assert sum(statuses.values()) == pytest.approx(1.0)


def test_groups_are_all_then_hops_then_types() -> None:
    system = summarise_system("model", "model", [*LINES, line(CONJUNCTIVE)], 0.0)
    assert [(one["by"], one["group"]) for one in system["groups"]] == [
        ("all", "all"),
        ("hop", "1-hop"),
        ("hop", "2-hop"),
        ("hop", "conjunctive"),
        ("hop", "unknown"),
        ("type", "common"),
        ("type", "one"),
        ("type", "pathless"),
        ("type", "two"),
    ]
    assert group(system, "hop", "1-hop")["metrics"]["em"]["mean"] == 0.5


def test_csv_and_report_say_the_same() -> None:
    made = report(
        summarise_system("model", "model", LINES, 0.0),
        summarise_system("oracle", "ceiling", [line(ONE_HOP, em=1.0, hits_at_1=1.0)], 0.0),
    )
    rows = list(csv.DictReader(io.StringIO(report_csv(made))))
    assert tuple(rows[0]) == CSV_COLUMNS
    said: dict[tuple[str, ...], dict[str, float]] = {}
    for system in made["systems"]:
        for one in system["groups"]:
            named = dict(one["metrics"])
            named |= {f"status/{name}": each for name, each in one["status_intervals"].items()}
            named |= {
                f"{name}/pass@{k}": each
                for name, by_k in one["pass_at_k"].items()
                for k, each in by_k.items()
            }
            for name, interval in named.items():
                said[system["name"], one["by"], one["group"], name] = interval
                assert int(one["num_questions"]) > 0
    assert len(rows) == len(said)
    for row in rows:
        interval = said[row["system"], row["by"], row["group"], row["metric"]]
        assert {end: float(row[end]) for end in interval} == interval


def test_the_table_shows_the_ceiling_beside_each_hop_group() -> None:
    oracle = [line(asked, em=1.0, hits_at_1=1.0, num_turns=2.0) for asked in (ONE_HOP, TWO_HOP, PATHLESS)]
    text = report_table(
        report(
            summarise_system("model", "model", LINES, 0.0), summarise_system("oracle", "ceiling", oracle, 0.0)
        )
    )
    assert "model by hop group, (oracle)" in text and "oracle by hop group" not in text
    (row,) = [one for one in text.splitlines() if one.startswith("1-hop")]
    assert "50.0 (100.0)" in row and "3.00 (2.00)" in row
    assert "pass@k" in text


def test_the_report_of_a_system_without_episodes_has_no_groups() -> None:
    system = summarise_system("model", "model", [], 0.0)
    assert (system["num_questions"], system["groups"]) == (0, [])
    assert "model" not in report_table(report(system)).splitlines()
