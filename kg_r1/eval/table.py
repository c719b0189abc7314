"""A report as text: the table for a terminal, and every number in long form as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

CSV_COLUMNS = ("system", "by", "group", "metric", "mean", "low", "high", "num_questions")
# With intervals in the table, then those without. All are means per question; shares are in percent.
WITH_INTERVAL = ("em", "hits_at_1", "f1", "hit")
WITHOUT_INTERVAL = (
    "coverage",
    "valid_query_rate",
    "stop_accuracy",
    "share_answered",
    "num_turns",
    "total_tokens",
)
COUNTS = {"num_turns": 2, "total_tokens": 0}  # no shares: digits after the point
BY_HOP = ("em", "hits_at_1", "f1", "coverage", "stop_accuracy", "num_turns")

Report = Mapping[str, Any]
Group = Mapping[str, Any]


def report_csv(report: Report) -> str:
    """Every number of a report that has an interval, a row each.

    Statuses are the metrics ``status/<name>``, pass@k is ``<metric>/pass@<k>``.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(CSV_COLUMNS)
    for system in report["systems"]:
        for group in system["groups"]:
            for name, interval in _intervals(group):
                writer.writerow(
                    [
                        system["name"], group["by"], group["group"], name,
                        interval["mean"], interval["low"], interval["high"], group["num_questions"],
                    ]
                )  # fmt: skip
    return text.getvalue()


def report_table(report: Report) -> str:
    """The headline of every system, pass@k where there is any, and each system by hop group."""
    systems = [system for system in report["systems"] if system["groups"]]
    ceiling = next((system for system in systems if system["kind"] == "ceiling"), None)
    parts = ["Shares in percent, [95 % bootstrap interval over questions]", _headline(systems)]
    if passes := _pass_table(systems):
        parts += ["pass@k", passes]
    for system in systems:
        if system is not ceiling:
            beside = ", (oracle)" if ceiling is not None else ""
            parts += [f"{system['name']} by hop group{beside}", _hop_table(system, ceiling)]
    return "\n\n".join(parts)


def _headline(systems: Sequence[Mapping[str, Any]]) -> str:
    rows = [["system", "n", *WITH_INTERVAL, *WITHOUT_INTERVAL]]
    for system in systems:
        group = system["groups"][0]
        cells = [_cell(group, name, with_interval=True) for name in WITH_INTERVAL]
        cells += [_cell(group, name) for name in WITHOUT_INTERVAL]
        rows.append([system["name"], str(group["num_questions"]), *cells])
    return aligned(rows)


def _pass_table(systems: Sequence[Mapping[str, Any]]) -> str:
    rows: list[list[str]] = []
    for system in systems:
        for metric, by_k in system["groups"][0]["pass_at_k"].items():
            if not rows:
                rows.append(["system", "metric", *(f"k={k}" for k in by_k)])
            cells = [_percent(interval, with_interval=True) for interval in by_k.values()]
            rows.append([system["name"], metric, *cells])
    return aligned(rows) if rows else ""


def _hop_table(system: Mapping[str, Any], ceiling: Mapping[str, Any] | None) -> str:
    rows = [["questions", "n", *BY_HOP]]
    for group in system["groups"]:
        if group["by"] != "hop":
            continue
        best = None if ceiling is None else _group(ceiling, "hop", group["group"])
        cells = [
            _cell(group, name) + (f" ({_cell(best, name)})" if best is not None else "") for name in BY_HOP
        ]
        rows.append([group["group"], str(group["num_questions"]), *cells])
    return aligned(rows)


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """Rows of cells as text, each column as wide as its widest cell."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def _group(system: Mapping[str, Any], by: str, name: str) -> Group | None:
    return next((group for group in system["groups"] if (group["by"], group["group"]) == (by, name)), None)


def _cell(group: Group, name: str, with_interval: bool = False) -> str:
    interval = group["metrics"].get(name)
    if interval is None:
        return "-"
    if name in COUNTS:
        return f"{interval['mean']:.{COUNTS[name]}f}"
    return _percent(interval, with_interval)


def _percent(interval: Mapping[str, float], with_interval: bool = False) -> str:
    mean, low, high = (100 * interval[end] for end in ("mean", "low", "high"))
    return f"{mean:.1f} [{low:.1f}, {high:.1f}]" if with_interval else f"{mean:.1f}"


def _intervals(group: Group) -> Iterator[tuple[str, Mapping[str, float]]]:
    yield from group["metrics"].items()
    for status, interval in group["status_intervals"].items():
        yield f"status/{status}", interval
    for metric, by_k in group["pass_at_k"].items():
        for k, interval in by_k.items():
            yield f"{metric}/pass@{k}", interval
