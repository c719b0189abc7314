"""Results as a table of text."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from statistics import mean
from typing import TYPE_CHECKING

from kblampp.eval.metrics import CUTS, Scores

if TYPE_CHECKING:
    from kblampp.eval.eval_qa import Result

SELECTOR = "selector"
"""The system that chooses facts and gives no answer."""
_HEAD = (
    "system",
    "n",
    "EM",
    "95 %",
    "F1",
    *(f"ACC@{k}" for k in CUTS),
    "ref. P",
    "ref. R",
    "context",
    "s/question",
)


def as_text(results: Sequence[Result]) -> str:
    """Systems first, then the groups of each; several seeds of a system are one line."""
    by_system: dict[str, list[Result]] = defaultdict(list)
    for result in results:
        by_system[result.system].append(result)
    rows = [
        _row(name, [it.scores for it in some], _seconds(some), name != SELECTOR)
        for name, some in by_system.items()
    ]
    lines = _aligned([_HEAD, *rows])
    for name, some in by_system.items():
        groups = [
            _row(group, [it.groups[group] for it in some], "", name != SELECTOR) for group in some[0].groups
        ]
        lines += ["", f"{name}, by group", *_aligned([_HEAD, *groups])]
    return "\n".join(lines)


def _row(name: str, scores: Sequence[Scores], seconds: str, has_answers: bool) -> tuple[str, ...]:
    """Means over seeds; for one seed the interval over questions, for several the lowest and highest EM.

    `-` stands for all that is about answers where a system gives none.
    """
    first = scores[0]
    if len(scores) == 1:
        span = (first.em_low, first.em_high)
    else:
        span = (min(it.em for it in scores), max(it.em for it in scores))
    said = (
        f"{mean(it.em for it in scores):.3f}",
        f"{span[0]:.3f}-{span[1]:.3f}",
        f"{mean(it.f1 for it in scores):.3f}",
    )
    refusals = ([it.refusal_precision for it in scores], [it.refusal_recall for it in scores])
    return (
        name if len(scores) == 1 else f"{name} ({len(scores)} seeds)",
        str(first.num_questions),
        *(said if has_answers else "---"),
        *(_mean([it.acc[k] for it in scores]) for k in CUTS),
        *(_mean(it) if has_answers else "-" for it in refusals),
        f"{mean(it.num_context_tokens for it in scores):.0f}",
        seconds,
    )


def _seconds(results: Sequence[Result]) -> str:
    return f"{mean(it.seconds_per_question for it in results):.3f}"


def _mean(values: Sequence[float | None]) -> str:
    known = [value for value in values if value is not None]
    return f"{mean(known):.3f}" if known else "-"


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join(
            cell.ljust(width) if not column else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
