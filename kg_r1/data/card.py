"""The data card: what a built data set holds, counted from its files, with examples."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from kg_r1.data.evidence_path import hop_group, path_is_exact
from kg_r1.kg.knowledge_graph import KnowledgeGraph
from kg_r1.llm_agent.question import Question

MAX_CHECKED = 2000
_NUM_EXAMPLES = 8


@dataclass(frozen=True)
class DataCard:
    """Counts of one data set.

    `ceilings` give, per question file that is not empty, the share of questions whose path ends at exactly
    the gold answers, and over how many questions (at most `MAX_CHECKED`, spread evenly) it was taken.
    """

    dataset: str
    num_triples: int
    num_entities: int
    num_relations: int
    groups: dict[str, Counter[str]]
    types: dict[str, Counter[str]]
    ceilings: dict[str, tuple[float, int]]
    examples: list[Question]

    def text(self) -> str:
        """The card as lines of text for a terminal."""
        lines = [
            f"Data set {self.dataset}: {self.num_triples:,} triples, {self.num_entities:,} entities, "
            f"{self.num_relations} relations",
            "",
            *_table("questions", self.groups),
            "",
            *_table("by type", self.types),
            "",
            "Oracle ceiling (the path gives exactly the gold answers):",
        ]
        lines += [
            f"  {name}: {share:.1%} of {checked} checked" for name, (share, checked) in self.ceilings.items()
        ]
        lines += ["", "Examples:"]
        for question in self.examples:
            answers = " | ".join(aliases[0] for aliases in question.gold)
            lines.append(
                f"  [{hop_group(question)}, {question.question_type}] {question.question} -> {answers}"
            )
        return "\n".join(lines)


def card_of(dataset: str, graph: KnowledgeGraph, files: Mapping[str, Sequence[Question]]) -> DataCard:
    """The card of a graph and its question files (file name -> questions)."""
    ceilings = {}
    for name, questions in files.items():
        step = max(1, -(-len(questions) // MAX_CHECKED))
        checked = questions[::step]
        if checked:
            num_exact = sum(path_is_exact(graph, question) for question in checked)
            ceilings[name] = (num_exact / len(checked), len(checked))
    backwards = [question for questions in reversed(list(files.values())) for question in questions]
    return DataCard(
        dataset=dataset,
        num_triples=graph.num_triples,
        num_entities=graph.num_entities,
        num_relations=graph.num_relations,
        groups={name: Counter(map(hop_group, questions)) for name, questions in files.items()},
        types={name: Counter(q.question_type for q in questions) for name, questions in files.items()},
        ceilings=ceilings,
        examples=_some_of_each_group(backwards),
    )


def _some_of_each_group(questions: Sequence[Question]) -> list[Question]:
    """The first questions of each hop group, `_NUM_EXAMPLES` in all, as even as that goes."""
    by_group: dict[str, list[Question]] = {}
    for question in questions:
        by_group.setdefault(hop_group(question), []).append(question)
    each = max(1, _NUM_EXAMPLES // max(1, len(by_group)))
    return [question for _, group in sorted(by_group.items()) for question in group[:each]]


def _table(title: str, columns: Mapping[str, Counter[str]]) -> list[str]:
    rows = sorted({row for counts in columns.values() for row in counts})
    width = max([len(title), *map(len, rows)])
    lines = ["  ".join([title.ljust(width), *(f"{name:>12}" for name in columns)])]
    for row in rows:
        lines.append("  ".join([row.ljust(width), *(f"{counts[row]:>12,}" for counts in columns.values())]))
    lines.append("  ".join(["all".ljust(width), *(f"{counts.total():>12,}" for counts in columns.values())]))
    return lines
