"""The comparison on paper: `alignment_report.md` to read, `alignment_metrics.csv` to go on with."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

from kblampp.align.evaluation import Row
from kblampp.files import write_text

_CLOSE = ("cosine", "p50", "p95", "centred_cosine", "shuffled_cosine", "shuffled_centred_cosine", "spearman")


def write_report(folder: Path, rows: Sequence[Row], about: Mapping[str, object]) -> tuple[Path, Path]:
    """Writes both files into `folder`, and returns their paths."""
    report, table = folder / "alignment_report.md", folder / "alignment_metrics.csv"
    write_text(report, markdown(rows, about))
    write_text(table, _csv(rows))
    return report, table


def markdown(rows: Sequence[Row], about: Mapping[str, object]) -> str:
    """The report as text."""
    names = dict.fromkeys(name for row in rows for name in row.figures)
    found = [name for name in names if name not in _CLOSE]
    lines = ["# Alignment report", ""]
    lines += [f"- {key}: {value}" for key, value in about.items()]
    lines += ["", "## Nearness to the teacher, test sentences", ""]
    lines += _table([row for row in rows if "cosine" in row.figures], _CLOSE)
    lines += ["", "## Paraphrase finds sentence, among hard negatives and distractors", ""]
    lines += _table(rows, found)
    lines += [
        "",
        "The raw student searches its own index; every other row searches the teacher's. `top 10 shared` is",
        "the share of the teacher's first ten that is found too. Sentences come from a grammar: figures",
        "compare the rows of this table, and promise nothing for other texts.",
    ]
    return "\n".join(lines) + "\n"


def _table(rows: Sequence[Row], names: Sequence[str]) -> list[str]:
    head = ["", *(name.replace("_", " ") for name in names), "fit, s"]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for row in rows:
        cells = [f"{row.figures[name]:.3f}" if name in row.figures else "" for name in names]
        lines.append("| " + " | ".join([row.name, *cells, f"{row.fit_s:.2f}" if row.fit_s else ""]) + " |")
    return lines


def _csv(rows: Sequence[Row]) -> str:
    names = list(dict.fromkeys(name for row in rows for name in row.figures))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["name", "fit_s", *names])
    for row in rows:
        writer.writerow([row.name, f"{row.fit_s:.4f}", *(row.figures.get(name, "") for name in names)])
    return text.getvalue()
