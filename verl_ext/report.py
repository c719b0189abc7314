"""What a run's validation generation logs say: ``python -m verl_ext.report RUN_FOLDER``.

Prints a table of the first and the last validation, two episodes with their tags, and where the logs are.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from kg_r1.eval.intervals import LEVEL, change_interval
from verl_ext.validation_log import METRICS, question_ids, read_validation_log, validation_summary

COLUMNS = (*METRICS, "share_answered", "num_turns", "total_tokens")


class ReportError(ValueError):
    """A folder with nothing to report on."""

    code = "no_validation_log"


def validation_logs(run: Path) -> list[Path]:
    """The run's logs in the order of their steps.

    Raises:
        ReportError: when there is none.
    """
    logs = sorted((run / "validation").glob("step_*.jsonl"))
    if not logs:
        raise ReportError(f"no validation log under {run}/validation: has the run validated yet?")
    return logs


def comparison(before: Mapping[str, float], after: Mapping[str, float]) -> str:
    """A table of groups against metrics, each cell ``before -> after``; both are of the same questions."""
    groups = sorted({name.split("/")[0] for name in before}, key=lambda name: (name != "all", name))
    rows = [["questions", "n", *COLUMNS]]
    for group in groups:
        row = [group, f"{before[f'{group}/num_episodes']:.0f}"]
        for column in COLUMNS:
            digits = 0 if column == "total_tokens" else 2
            first, last = before[f"{group}/{column}"], after[f"{group}/{column}"]
            row.append(f"{first:.{digits}f} -> {last:.{digits}f}")
        rows.append(row)
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def changes(before: Sequence[Mapping[str, Any]], after: Sequence[Mapping[str, Any]]) -> str:
    """The mean change of each metric, with its interval; both validations asked the same questions."""
    earlier = {record["question"]["question_id"]: record["metrics"] for record in before}
    pairs = [(earlier[record["question"]["question_id"]], record["metrics"]) for record in after]
    lines = [f"change over {len(pairs)} questions, {LEVEL:.0%} bootstrap interval"]
    for name in METRICS:
        interval = change_interval([old[name] for old, _ in pairs], [new[name] for _, new in pairs])
        verdict = "" if interval.is_clear else "  (within chance)"
        lines.append(f"  {name:<18}{interval}{verdict}")
    return "\n".join(lines)


def in_common(
    before: Sequence[Mapping[str, Any]], after: Sequence[Mapping[str, Any]]
) -> tuple[list[Mapping[str, Any]], list[Mapping[str, Any]]]:
    """The episodes of both validations whose question stands in both.

    Raises:
        ReportError: when there is none.
    """
    both = question_ids(before) & question_ids(after)
    if not both:
        raise ReportError("the two validations share no question: give both runs the same data.val_files")
    first, second = (
        [record for record in records if record["question"]["question_id"] in both]
        for records in (before, after)
    )
    return first, second


def choose_episodes(records: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """One right answer with the most turns and one wrong answer, as far as there are such."""
    right = [record for record in records if record["metrics"]["em"] == 1.0]
    wrong = [record for record in records if record["metrics"]["em"] == 0.0]
    chosen = [max(right, key=lambda record: len(record["turns"]))] if right else []
    return chosen + wrong[: 2 - len(chosen)]


def show_episode(record: Mapping[str, Any]) -> str:
    """The question, what the model and the environment wrote, and how it was scored."""
    question, metrics = record["question"], record["metrics"]
    gold = " | ".join(aliases[0] for aliases in question["gold"])
    return (
        f"question: {question['question']}\n{record['output'].strip()}\n"
        f"gold: {gold}   em {metrics['em']:.0f}  f1 {metrics['f1']:.2f}  "
        f"reward {record['reward']['total']:.2f}  status {record['status']}"
    )


def report(run: Path, since: Path | None = None) -> str:
    """The whole report as text, compared with the first validation of `since` (of the run itself).

    Raises:
        ReportError: as :func:`validation_logs` and :func:`in_common`.
    """
    logs = validation_logs(run)
    first = validation_logs(since)[0] if since is not None else logs[0]
    asked_before, asked_after = read_validation_log(first), read_validation_log(logs[-1])
    before, after = in_common(asked_before, asked_after)
    told = f"{len(after)} questions"
    if len(after) < max(len(asked_before), len(asked_after)):
        told += f" in common of {len(asked_before)} and {len(asked_after)}: all below is of those alone"
    episodes = "\n\n".join(show_episode(record) for record in choose_episodes(after))
    return (
        f"validation, {first.stem} -> {logs[-1].stem}, {told}\n"
        f"{comparison(validation_summary(before), validation_summary(after))}\n\n"
        f"{changes(before, after)}\n\n"
        f"two episodes of {logs[-1].stem}\n\n{episodes}\n\nvalidation generation log: {logs[-1]}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="Report a run's validation before and after.")
    parser.add_argument("run", type=Path, help="a folder under runs/")
    parser.add_argument("--since", type=Path, help="a run with whose first validation to compare instead")
    arguments = parser.parse_args()
    try:
        sys.stdout.write(report(arguments.run, arguments.since) + "\n")
    except ReportError as error:
        sys.stderr.write(f"error [{error.code}]: {error}\n")
        sys.exit(2)


if __name__ == "__main__":
    main()
