"""The world KG's questions: candidates put into words, balanced over hops and patterns.

In: the facts and their graph. Out: train, val and test lists of `Question`, the same for the same seed.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from kg_r1.data.candidates import Candidate, CandidateFinder
from kg_r1.data.composing import with_composed
from kg_r1.data.evidence_path import join_chains
from kg_r1.data.patterns import GROUPS, Pattern
from kg_r1.data.patterns_conjunctive import CONJUNCTIVE
from kg_r1.data.patterns_one_hop import ONE_HOP
from kg_r1.data.patterns_three_hop import THREE_HOP
from kg_r1.data.patterns_two_hop import TWO_HOP
from kg_r1.data.splits import SPLITS, split_entities, split_phrasings
from kg_r1.data.world_facts import WorldFacts
from kg_r1.data.world_sources import fold
from kg_r1.kg.knowledge_graph import KnowledgeGraph
from kg_r1.llm_agent.question import Question

DATASET = "world"
PATTERNS: tuple[Pattern, ...] = ONE_HOP + TWO_HOP + THREE_HOP + CONJUNCTIVE


@dataclass(frozen=True)
class Sizes:
    """Questions per split."""

    train: int = 8000
    val: int = 400
    test: int = 800

    def of(self, split: str) -> int:
        """The size of a split by its name."""
        return {"train": self.train, "val": self.val, "test": self.test}[split]


def make_questions(
    facts: WorldFacts, graph: KnowledgeGraph, seed: int = 0, sizes: Sizes | None = None
) -> dict[str, list[Question]]:
    """Split -> questions.

    Every hop group gets a quarter of a split and every pattern the same share of its group, as far as there
    are candidates: what a pattern cannot fill goes to the others of its group.
    """
    sizes = sizes or Sizes()
    finder = CandidateFinder(graph, facts, split_entities(facts, seed), seed)
    found = {pattern.name: finder.find(pattern) for pattern in PATTERNS}
    writer = _Writer(facts, graph, seed)
    made: dict[str, list[Question]] = {}
    for split in SPLITS:
        questions: list[Question] = []
        for group, quota in zip(GROUPS, _shares(sizes.of(split), len(GROUPS)), strict=True):
            patterns = [pattern for pattern in PATTERNS if pattern.group == group]
            pools = [writer.write(p, found[p.name][split], split, quota) for p in patterns]
            for pool, share in zip(pools, even_shares([len(pool) for pool in pools], quota), strict=True):
                questions += pool[:share]
        random.Random(f"{seed}:order:{split}").shuffle(questions)
        made[split] = [_numbered(question, split, number) for number, question in enumerate(questions)]
    return made


class _Writer:
    """Puts candidates into words; no wording comes twice, and none holds its own answer."""

    def __init__(self, facts: WorldFacts, graph: KnowledgeGraph, seed: int) -> None:
        self._facts = facts
        self._graph = graph
        self._seed = seed
        self._with_article = {facts.names[entity] for entity in facts.with_article}
        self._texts: set[str] = set()

    def write(
        self, pattern: Pattern, candidates: Sequence[Candidate], split: str, max_questions: int
    ) -> list[Question]:
        """At most `max_questions` questions: each candidate once, then each once more in other words, ..."""
        written: list[Question] = []
        for candidate, phrasing in self._wordings(pattern, candidates, split):
            if len(written) == max_questions:
                break
            text = self._text(phrasing, candidate.topics)
            gold = tuple(self._aliases(answer) for answer in candidate.answers)
            if text not in self._texts and not holds_answer(text, gold):
                self._texts.add(text)
                written.append(_question(candidate, text, gold))
        return written

    def _wordings(
        self, pattern: Pattern, candidates: Sequence[Candidate], split: str
    ) -> Iterator[tuple[Candidate, str]]:
        phrasings = split_phrasings(pattern.name, pattern.phrasings, self._seed)[split]
        if split == "train":
            phrasings = with_composed(pattern, phrasings, self._seed)
        rng = random.Random(f"{self._seed}:words:{split}:{pattern.name}")
        starts = [rng.randrange(len(phrasings)) for _ in candidates]
        for turn in range(len(phrasings)):
            for candidate, start in zip(candidates, starts, strict=True):
                yield candidate, phrasings[(start + turn) % len(phrasings)]

    def _text(self, phrasing: str, topics: Sequence[str]) -> str:
        shown = [f"the {topic}" if topic in self._with_article else topic for topic in topics]
        text = phrasing.format(**dict(zip("ab", shown, strict=False)))
        return text[0].upper() + text[1:]

    def _aliases(self, answer: int) -> tuple[str, ...]:
        entity = self._graph.entity_id(answer)
        names = [self._graph.label(answer), self._graph.name(answer), *self._facts.aliases.get(entity, ())]
        return tuple(dict.fromkeys(names))


def _question(candidate: Candidate, text: str, gold: tuple[tuple[str, ...], ...]) -> Question:
    return Question(
        question_id="",
        question=text,
        topic_entities=candidate.topics,
        gold=gold,
        dataset_name=DATASET,
        num_hops=candidate.pattern.num_hops,
        question_type=candidate.pattern.name,
        path=join_chains([chain.hops for chain in candidate.pattern.chains]),
    )


def _numbered(question: Question, split: str, number: int) -> Question:
    return Question.from_dict(
        {**question.to_dict(), "question_id": f"{DATASET}-{split}-{number:05d}", "split": split}
    )


def holds_answer(text: str, gold: Sequence[Sequence[str]]) -> bool:
    """Whether a text holds some alias of some answer as whole words, whatever stands between the words."""
    words = _words(text)
    return any(_words(alias) in words for aliases in gold for alias in aliases)


def _words(text: str) -> str:
    return " " + " ".join(re.findall(r"\w+", fold(text))) + " "


def _shares(total: int, num_parts: int) -> list[int]:
    """`total` in `num_parts` parts that differ by one at most."""
    return [total // num_parts + (part < total % num_parts) for part in range(num_parts)]


def even_shares(capacities: Sequence[int], total: int) -> list[int]:
    """Shares of `total`, as even as the capacities allow."""
    shares = [0] * len(capacities)
    while total > 0:
        open_parts = [part for part, capacity in enumerate(capacities) if shares[part] < capacity]
        if not open_parts:
            break
        for part, share in zip(open_parts, _shares(total, len(open_parts)), strict=True):
            taken = min(share, capacities[part] - shares[part])
            shares[part] += taken
            total -= taken
    return shares


def pattern_by_name() -> Mapping[str, Pattern]:
    """Question type -> pattern."""
    return {pattern.name: pattern for pattern in PATTERNS}
