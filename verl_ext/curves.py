"""Validation curves of several runs: ``python -m verl_ext.curves --arm LABEL=RUN[,RUN...] --out FILE.svg``.

An arm is what was done the same way with several seeds. Its line is the mean over its runs, its band reaches
from the worst to the best of them; the value of a run is the mean over its hop groups, so that a validation
file with many questions of one kind does not decide. The table goes to stdout, the picture to ``--out``.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from verl_ext.report import ReportError, validation_logs
from verl_ext.validation_log import METRICS, question_ids, read_validation_log, validation_summary

OVERALL = "mean over hops"


@dataclass(frozen=True)
class Arm:
    """Runs done the same way: per step and per hop group one value a run."""

    label: str
    values: Mapping[int, Mapping[str, Sequence[float]]]
    questions: frozenset[str]

    def spread(self, step: int, group: str = OVERALL) -> tuple[float, float, float]:
        """Mean, least and greatest over the runs."""
        values = self.values[step][group]
        return math.fsum(values) / len(values), min(values), max(values)


def run_values(run: Path, metric: str) -> tuple[dict[int, dict[str, float]], frozenset[str]]:
    """Per validated step the metric by hop group, and its mean over the groups; and the questions asked.

    Raises:
        ReportError: a folder without a validation log, or whose validations asked different questions.
    """
    found: dict[int, dict[str, float]] = {}
    asked: dict[str, frozenset[str]] = {}
    for log in validation_logs(run):
        step = int(log.stem.removeprefix("step_"))
        records = read_validation_log(log)
        asked[str(log)] = question_ids(records)
        summary = validation_summary(records)
        groups = {
            name.removesuffix(f"/{metric}"): value
            for name, value in summary.items()
            if name.endswith(f"/{metric}") and not name.startswith("all/")
        }
        found[step] = {OVERALL: math.fsum(groups.values()) / len(groups), **groups}
    return found, same_questions(asked)


def same_questions(asked: Mapping[str, frozenset[str]]) -> frozenset[str]:
    """The questions that all were asked, by the name of who was asked.

    Raises:
        ReportError: two were asked different ones; scores on different questions are not comparable.
    """
    (first, questions), *others = asked.items()
    for other, theirs in others:
        if theirs != questions:
            raise ReportError(
                f"{first} and {other} were asked different questions ({len(questions & theirs)} in common of "
                f"{len(questions)} and {len(theirs)}): validate all runs on one file with "
                "data.val_max_samples=-1, since a sample is drawn anew for each data.seed"
            )
    return questions


def read_arm(text: str, metric: str) -> Arm:
    """An arm from ``LABEL=RUN[,RUN...]``; only steps that all its runs have validated count.

    Raises:
        ReportError: text of another form, a run without a log, runs with no step in common or with
            different questions.
    """
    label, separator, folders = text.partition("=")
    if not (label and separator and folders):
        raise ReportError(f"{text!r} is no arm: write LABEL=RUN or LABEL=RUN,RUN")
    read = {folder: run_values(Path(folder), metric) for folder in folders.split(",")}
    questions = same_questions({folder: asked for folder, (_, asked) in read.items()})
    runs = [by_step for by_step, _ in read.values()]
    steps = sorted(set.intersection(*(set(run) for run in runs)))
    if not steps:
        raise ReportError(f"the runs of {label!r} have no validated step in common")
    values: dict[int, dict[str, list[float]]] = {}
    for step in steps:
        values[step] = {group: [run[step][group] for run in runs] for group in runs[0][step]}
    return Arm(label, values, questions)


def table(arms: Sequence[Arm]) -> str:
    """Markdown: a row for each arm and step, in each cell the mean and, of several runs, the range."""
    groups = list(next(iter(arms[0].values.values())))
    lines = [f"| arm | runs | step | {' | '.join(groups)} |", "|---" * (3 + len(groups)) + "|"]
    for arm in arms:
        for step in arm.values:
            num_runs = len(next(iter(arm.values[step].values())))
            cells = [cell(arm.spread(step, group)) for group in groups]
            lines.append(f"| {arm.label} | {num_runs} | {step} | {' | '.join(cells)} |")
    return "\n".join(lines)


def cell(spread: tuple[float, float, float]) -> str:
    """'.53' for one run, '.53 (.48-.57)' for several that differ."""
    mean, least, greatest = spread
    return f"{mean:.3f}" if least == greatest else f"{mean:.3f} ({least:.3f}-{greatest:.3f})"


def draw(arms: Sequence[Arm], references: Sequence[Arm], metric: str, out: Path) -> None:
    """Write the picture; its format is that of the file's ending.

    `references` are drawn as dotted levels, at their last validated step.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 3.8), layout="constrained")
    axes = figure.subplots()
    for arm in arms:
        steps = list(arm.values)
        means, least, greatest = zip(*(arm.spread(step) for step in steps), strict=True)
        (line,) = axes.plot(steps, means, marker="o", markersize=3.5, label=arm.label)
        axes.fill_between(steps, least, greatest, color=line.get_color(), alpha=0.18, linewidth=0)
    for number, arm in enumerate(references):
        mean, _, _ = arm.spread(max(arm.values))
        axes.axhline(mean, color=f"{0.2 + 0.2 * number:.1f}", linestyle=":", label=arm.label)
    axes.set(xlabel="step", ylabel=f"{metric}, {OVERALL}", ylim=(0, 1))
    axes.grid(alpha=0.25)
    axes.legend(frameon=False, fontsize="small", loc="best")
    out.parent.mkdir(parents=True, exist_ok=True)
    # The same numbers give the same file: no date, and names of parts that do not change.
    with rc_context({"svg.hashsalt": "curves"}):
        figure.savefig(out, metadata={"Date": None} if out.suffix == ".svg" else None)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; a user's mistake is one line and exit status 2."""
    parser = argparse.ArgumentParser(
        prog="python -m verl_ext.curves", description="Validation curves of runs, with a band over seeds."
    )
    parser.add_argument(
        "--arm", action="append", required=True, metavar="LABEL=RUN[,RUN...]", help="may be given often"
    )
    parser.add_argument(
        "--reference", action="append", default=[], metavar="LABEL=RUN[,RUN...]", help="drawn as a level"
    )
    parser.add_argument("--metric", choices=METRICS, default="hits_at_1")
    parser.add_argument("--out", type=Path, help="the picture to write: .svg, .png or .pdf")
    options = parser.parse_args(arguments)
    try:
        arms = [read_arm(text, options.metric) for text in options.arm]
        references = [read_arm(text, options.metric) for text in options.reference]
        same_questions({arm.label: arm.questions for arm in [*arms, *references]})
        if options.out is not None:
            draw(arms, references, options.metric, options.out)
    except (ValueError, OSError) as error:
        sys.stderr.write(f"error [{getattr(error, 'code', 'bad_curves')}]: {error}\n")
        return 2
    sys.stdout.write(table([*arms, *references]) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
