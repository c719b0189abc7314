"""The table of the KG server's measurements: the measured beside the peer's figure, the bar and the aim.

In: the figures of `benchmarks.kg_server`, one a round. Out: `Line`s with medians, and text. The peer is
another server for the same purpose (docs/server_speed.md).
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

PEER = {
    "1x1 queries/s": 1228.0,
    "1x1 p50 ms": 0.74,
    "1x1 CPU ms": 0.72,
    "16x16 queries/s": 3183.0,
    "256x16 queries/s": 4445.0,
    "256x16 CPU ms": 0.23,
    "health ms": 4300.0,
    "bytes per triple": 264.0,
    "start s": 4.7,
}


@dataclass(frozen=True)
class Goal:
    """What a figure is held to: in its unit, or in multiples of the peer's when `is_ratio`."""

    bar: float | None = None
    aim: float | None = None
    is_ratio: bool = False
    less_is_better: bool = False


@dataclass(frozen=True)
class Line:
    """One line of the table: a figure with its unit, the peer's (None where unknown), and the goal."""

    title: str
    unit: str
    measured: float | None
    peer: float | None = None
    goal: Goal = Goal()
    note: str = ""

    @property
    def ratio(self) -> float | None:
        """How many times better than the peer; None where that has no meaning."""
        if not self.measured or self.peer is None:
            return None
        return self.peer / self.measured if self.goal.less_is_better else self.measured / self.peer

    def reaches(self, limit: float | None) -> bool | None:
        """Whether the figure is as good as `limit`; None where there is no limit or no figure."""
        value = self.ratio if self.goal.is_ratio else self.measured
        if limit is None or value is None:
            return None
        return value <= limit if self.goal.less_is_better and not self.goal.is_ratio else value >= limit

    @property
    def met(self) -> str:
        """The best that is reached: "aim", "bar", "no", or "" where there is nothing to reach."""
        if self.reaches(self.goal.aim):
            return "aim"
        if self.reaches(self.goal.bar):
            return "bar"
        return "" if self.reaches(self.goal.aim) is self.reaches(self.goal.bar) is None else "no"


def median(rounds: Iterable[Mapping[str, Any]], name: str) -> float | None:
    """The median of one figure over the rounds; None when there are none."""
    values = [one[name] for one in rounds if one.get(name) is not None]
    return statistics.median(values) if values else None


def lines_of(figures: Mapping[str, Any]) -> list[Line]:
    """The table of all figures; see `Figures` in benchmarks.kg_server for their names."""
    return [*_load_lines(figures), *_other_lines(figures), *_comparisons(figures)]


def _load_lines(figures: Mapping[str, Any]) -> list[Line]:
    loads = figures["loads"]
    one = {shape: loads.get(f"kg/1 {shape}", []) for shape in ("1x1", "16x16", "256x16")}
    less = Goal(less_is_better=True)
    rate = {"256x16": Goal(15, 30, True), "16x16": Goal(8, 15, True), "1x1": Goal(2, 3, True)}
    lines = []
    for shape, goal in rate.items():
        measured, peer = median(one[shape], "queries_per_s"), PEER[f"{shape} queries/s"]
        lines.append(Line(f"{shape}, one process", "queries/s", measured, peer, goal))
    half = median(one["1x1"], "p50_ms")
    goal = Goal(2, 3, is_ratio=True, less_is_better=True)
    lines.append(Line("1x1, half are answered within", "ms", half, PEER["1x1 p50 ms"], goal))
    for shape in ("1x1", "256x16"):
        lines.append(
            Line(
                f"{shape}, CPU a query",
                "ms",
                median(one[shape], "cpu_ms"),
                PEER[f"{shape} CPU ms"],
                less,
            )
        )
    health = Goal(20, 5, less_is_better=True)
    lines.append(
        Line(
            "/health p99 while 256x16 runs",
            "ms",
            median(figures["health"], "p99_ms"),
            PEER["health ms"],
            health,
        )
    )
    return lines


def _other_lines(figures: Mapping[str, Any]) -> list[Line]:
    memory, bare = figures["memory"], figures["bare_memory"]
    lines = []
    for kind in ("rss", "pss", "uss"):
        goal = Goal(40, 24, less_is_better=True) if kind == "rss" else Goal(less_is_better=True)
        peer = PEER["bytes per triple"] if kind == "rss" else None
        lines.append(
            Line(
                f"{kind.upper()} per triple, one process", "B", memory[f"{kind}_per_triple"], peer, goal,
                f"{_megabytes(memory[kind])}, of which a server without data {_megabytes(bare[kind])}",
            )
        )  # fmt: skip
    start, bare_start = (
        median(figures["starts"], "first_answer_s"),
        median(figures["starts"], "bare_health_s"),
    )
    goal = Goal(1, 0.2, less_is_better=True)
    note = f"without data, to /health: {bare_start:.2f} s" if bare_start is not None else ""
    lines.append(Line("start to the first answer", "s", start, PEER["start s"], goal, note))
    return lines


def _comparisons(figures: Mapping[str, Any]) -> list[Line]:
    loads, lines = figures["loads"], []
    for shape, bar in (("256x16", 1.4), ("16x16", None)):
        ratio = _ratio(loads.get(f"kg/2 {shape}", []), loads.get(f"kg/1 {shape}", []))
        note = "" if ratio is not None else "not measured: no run with 2 workers"
        lines.append(Line(f"2 workers / 1, {shape}", "", ratio, goal=Goal(bar), note=note))
    for method, bar in (("quick", 300_000), ("retrieve", None)):
        rounds = figures["in_process"].get(method, [])
        share = median(rounds, "answered_share")
        note = f"{100 * share:.0f} % of the queries answered" if share is not None else ""
        lines.append(
            Line(
                f"in process, {method}",
                "queries/s",
                median(rounds, "queries_per_s"),
                goal=Goal(bar),
                note=note,
            )
        )
    for shape, aim in (("1x1", 0.3), ("16x16", 0.15), ("256x16", 0.1)):
        ratio = _ratio(loads.get(f"kg/1 {shape}", []), loads.get(f"echo {shape}", []))
        lines.append(Line(f"queries/s / bare echo, {shape}", "", ratio, goal=Goal(aim=aim)))
    return lines


def _ratio(above: Sequence[Mapping[str, Any]], below: Sequence[Mapping[str, Any]]) -> float | None:
    """The median of the ratios of rates, each of two runs of the same round."""
    pairs = zip(above, below, strict=True) if above and below else ()
    rates = [(one["queries_per_s"], other["queries_per_s"]) for one, other in pairs]
    ratios = [one / other for one, other in rates if other]
    return statistics.median(ratios) if ratios else None


def table_text(lines: Iterable[Line]) -> str:
    """The lines as columns: measured, ratio to the peer, bar, aim, met."""
    rows = [("", "measured", "x peer", "bar", "aim", "met", "")]
    for line in lines:
        shown = f"{_number(line.measured)} {line.unit}".strip()
        ratio = "-" if line.ratio is None else f"{line.ratio:.1f}x"
        limits = (_limit(line, line.goal.bar), _limit(line, line.goal.aim))
        rows.append((line.title, shown, ratio, *limits, line.met or "-", line.note))
    return columns(rows)


def loads_text(loads: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """Medians of every load: rate, times of a request, processor time a query, what was left."""
    names = ("queries_per_s", "p50_ms", "p99_ms", "cpu_ms", "client_cpu_ms")
    shares = ("idle_percent", "niced_percent")
    titles = ("queries/s", "p50 ms", "p99 ms", "CPU ms", "client CPU ms", "idle %", "niced %")
    rows: list[tuple[str, ...]] = [("server, load", *titles, "checked", "wrong")]
    for key, rounds in loads.items():
        counts = [sum(one[name] for one in rounds) for name in ("num_checked", "num_wrong")]
        figures = [_number(median(rounds, name)) for name in (*names, *shares)]
        rows.append((key, *figures, *map(str, counts)))
    return columns(rows)


def columns(rows: Sequence[Sequence[str]]) -> str:
    """Rows as text: the first column and one without a title to the left, the others to the right."""
    widths = [max(len(row[index]) for row in rows) for index in range(len(rows[0]))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if index == 0 or rows[0][index] == "" else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )


def _limit(line: Line, limit: float | None) -> str:
    if limit is None:
        return "-"
    if line.goal.is_ratio:
        return f"{limit:g}x"
    return f"{'<=' if line.goal.less_is_better else '>='} {limit:,g}"


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def _megabytes(num_bytes: float) -> str:
    return f"{num_bytes / 1e6:,.0f} MB"
