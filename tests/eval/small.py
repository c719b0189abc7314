"""A KG of three countries, questions about it, and lines of an evaluation made by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kg_r1.llm_agent.question import Question

TRIPLES = [
    ("France", "capital", "Paris"),
    ("Spain", "capital", "Madrid"),
    ("Andorra", "capital", "Andorra la Vella"),
    ("Italy", "capital", "Rome"),
    ("France", "borders", "Spain"),
    ("France", "borders", "Andorra"),
    ("France", "borders", "Italy"),
    ("Spain", "borders", "France"),
    ("Spain", "borders", "Andorra"),
    ("Andorra", "borders", "France"),
    ("Andorra", "borders", "Spain"),
    ("France", "official_language", "French"),
    ("Spain", "official_language", "Spanish"),
]


def question(
    name: str,
    text: str,
    topics: tuple[str, ...],
    gold: tuple[str, ...],
    path: tuple[tuple[str, str], ...],
    num_hops: int | None,
) -> Question:
    return Question(
        f"small-{name}", text, topics, tuple((one,) for one in gold), "small", None, num_hops, name, "", path
    )


ONE_HOP = question(
    "one", "What is the capital of France?", ("France",), ("Paris",), (("tail", "capital"),), 1
)
TWO_HOP = question(
    "two",
    "Which capitals do the neighbours of Spain have?",
    ("Spain",),
    ("Paris", "Andorra la Vella"),
    (("tail", "borders"), ("tail", "capital")),
    2,
)
CONJUNCTIVE = question(
    "common",
    "Which country borders both France and Spain?",
    ("France", "Spain"),
    ("Andorra",),
    (("tail", "borders"), ("intersect", "1"), ("tail", "borders")),
    2,
)
OTHERS = question(
    "others",
    "Which other countries border what Spain borders?",
    ("Spain",),
    ("France", "Andorra", "Italy"),
    (("tail", "borders"), ("tail", "borders"), ("without", "0")),
    2,
)
PATHLESS = question("pathless", "Whose capital is Rome?", ("Rome",), ("Italy",), (), None)
UNREACHABLE = question("unreachable", "Who sings in Paris?", ("Paris",), ("Piaf",), (), None)
QUESTIONS = [ONE_HOP, TWO_HOP, CONJUNCTIVE, OTHERS, PATHLESS]


def write_graph(base: Path) -> None:
    (base / "small").mkdir(parents=True)
    lines = "".join("\t".join(triple) + "\n" for triple in TRIPLES)
    (base / "small" / "triples.tsv").write_text(lines, encoding="utf-8")


def line(
    asked: Question, sample: int = 0, system: str = "model", status: str = "answered", **metrics: float
) -> dict[str, Any]:
    """As much of a line of episodes.jsonl as is read again."""
    return {
        "system": system,
        "sample": sample,
        "question": asked.to_dict(),
        "status": status,
        "metrics": {"em": 0.0, "hits_at_1": 0.0, **metrics},
    }
