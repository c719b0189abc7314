"""Pictures of evidence: two PNG files and one page that needs nothing else.

python -m kblampp.eval.visualize_alpha --input runs/kblampp/evidence.json --output runs/kblampp/pictures
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from kblampp.command import require_positive, run
from kblampp.eval.evidence import read_evidence
from kblampp.files import whole, write_text
from kblampp.pages import self_contained

Record = Mapping[str, Any]
MAX_ROWS = 60
"""Questions of the heat map."""
MAX_IN_PAGE = 1000
"""Questions of the page."""
_RIGHT, _WRONG = "#00694d", "#b03a00"


def draw_alpha(records: Sequence[Record], path: Path) -> None:
    """Alpha by rank, one row a question, supporting facts marked; the refusal is the last column.

    Args:
        records: of `read_evidence`; the first `MAX_ROWS` are drawn.
        path: PNG to write.
    """
    shown = records[:MAX_ROWS]
    num_ranks = max(len(record["facts"]) for record in shown)
    alpha = np.full((len(shown), num_ranks + 1), np.nan)
    marks = []
    for row, record in enumerate(shown):
        for fact in record["facts"]:
            alpha[row, fact["rank"]] = fact["alpha"]
            if fact["is_supporting"]:
                marks.append((fact["rank"], row))
        alpha[row, -1] = record["refusal_alpha"]
    figure = Figure(figsize=(9, 1.6 + 0.19 * len(shown)), layout="constrained")
    axes = figure.add_subplot()
    picture = axes.imshow(alpha, aspect="auto", cmap="Blues", vmin=0, vmax=1, interpolation="nearest")
    if marks:
        ranks, rows = zip(*marks, strict=True)
        axes.scatter(ranks, rows, s=26, facecolors="none", edgecolors=_WRONG, linewidths=1.4)
    axes.axvline(num_ranks - 0.5, color="black", linewidth=0.8)
    axes.set_xticks(range(num_ranks + 1), [*map(str, range(1, num_ranks + 1)), "none"], fontsize=7)
    axes.set_yticks(range(len(shown)), [_label(record) for record in shown], fontsize=6)
    for text, record in zip(axes.get_yticklabels(), shown, strict=True):
        text.set_color(_RIGHT if record["em"] == 1 else _WRONG)
    axes.set_xlabel("rank (none: the refusal); rings: supporting facts", fontsize=8)
    axes.set_title("Weight of each chosen fact (question green: right, brown: wrong)", fontsize=10)
    figure.colorbar(picture, ax=axes, label="alpha", fraction=0.04)
    _save(figure, path)


def draw_betas(records: Sequence[Record], path: Path) -> None:
    """How far each layer's gate was open, the questions apart by whether the answer was right."""
    layers = sorted({layer for record in records for layer in record["betas"]}, key=int)
    figure = Figure(figsize=(max(4.5, 1.2 * len(layers) + 2), 3.4), layout="constrained")
    axes = figure.add_subplot()
    spread = np.random.default_rng(0)
    for is_right, colour, shift in ((True, _RIGHT, -0.16), (False, _WRONG, 0.16)):
        some = [record for record in records if (record["em"] == 1) == is_right]
        for place, layer in enumerate(layers):
            values = [record["betas"][layer] for record in some if layer in record["betas"]]
            if values:
                x = place + shift + spread.uniform(-0.09, 0.09, len(values))
                axes.scatter(x, values, s=7, color=colour, alpha=0.45, linewidths=0)
                mean = float(np.mean(values))
                axes.hlines(mean, place + shift - 0.13, place + shift + 0.13, color=colour, linewidth=2)
        axes.scatter([], [], color=colour, label=f"{'right' if is_right else 'wrong'} ({len(some)})")
    axes.set_xticks(range(len(layers)), layers)
    axes.set_xlim(-0.6, len(layers) - 0.4)
    axes.set_ylim(-0.03, 1.03)
    axes.set_xlabel("layer")
    axes.set_ylabel("beta at the answer's first token")
    axes.set_title("How far the gates were open (lines: means)", fontsize=10)
    axes.legend(fontsize=8, loc="center")
    _save(figure, path)


def write_page(evidence: Mapping[str, Any], path: Path, max_questions: int = MAX_IN_PAGE) -> None:
    """One HTML file with the first `max_questions` questions, whole or not at all."""
    records = evidence["questions"]
    about = evidence.get("about", {})
    told = [
        f"{name} {about[name]}" for name in ("backbone", "checkpoint", "store", "num_facts") if name in about
    ]
    if len(records) > max_questions:
        told.append(f"the first {max_questions} of {len(records)} questions")
    data = {"about": ", ".join(told), "questions": records[:max_questions]}
    write_text(path, self_contained("kblampp.eval", "evidence", title="What the answers rest on", data=data))


def _label(record: Record) -> str:
    # A dollar sign would begin mathematics, and control characters have no glyph.
    text = "".join(letter if letter.isprintable() else " " for letter in record["question"])
    text = text if len(text) <= 62 else text[:61] + "…"
    return text.replace("$", r"\$")


def _save(figure: Figure, path: Path) -> None:
    with whole(path) as temporary:
        figure.savefig(temporary, format="png", dpi=130)


def draw_from_flags(arguments: argparse.Namespace) -> None:
    """Draws the pictures. Raises KblamppError."""
    require_positive(arguments, "max_questions")
    evidence = read_evidence(arguments.input)
    made = [arguments.output / name for name in ("alpha.png", "betas.png", "evidence.html")]
    draw_alpha(evidence["questions"], made[0])
    draw_betas(evidence["questions"], made[1])
    write_page(evidence, made[2], arguments.max_questions)
    sys.stdout.write("".join(f"{path}\n" for path in made))


def main(argv: Sequence[str] | None = None) -> int:
    """Draws the pictures. Exit code 2 for a user's mistake."""
    parser = argparse.ArgumentParser(prog="kblampp.eval.visualize_alpha", description=__doc__)
    parser.add_argument("--input", type=Path, required=True, help="file of kblampp.eval.dump_evidence")
    parser.add_argument("--output", type=Path, required=True, help="folder for the pictures and the page")
    parser.add_argument("--max-questions", type=int, default=MAX_IN_PAGE, help="questions of the page")
    return run(parser, draw_from_flags, argv)


if __name__ == "__main__":
    sys.exit(main())
