"""`Question.path`: reading it, and following it through the graph.

A path is a row of (direction, relation) hops that start at the first topic entity. Two more directions say
what hops alone cannot; their second part is the index of a topic entity:

- ("intersect", "1") begins a new chain of hops at topic entity 1; in the end the end sets of all chains are
  intersected. Neighbours of both topics: (("tail", "borders"), ("intersect", "1"), ("tail", "borders")).
- ("without", "0") takes topic entity 0 out of the set reached so far. Other films of a film's director:
  (("tail", "directed_by"), ("head", "directed_by"), ("without", "0")).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import reduce

from kg_r1.kg.knowledge_graph import KnowledgeGraph
from kg_r1.kg.paths import Hop, step
from kg_r1.llm_agent.question import Question

INTERSECT = "intersect"
WITHOUT = "without"


@dataclass(frozen=True)
class Without:
    """Takes what a topic's name means out of a set."""

    topic: str


@dataclass(frozen=True)
class Chain:
    """Steps from one topic entity, which is called as the question calls it."""

    topic: str
    steps: tuple[Hop | Without, ...]

    @property
    def num_hops(self) -> int:
        """How many steps follow a relation."""
        return sum(isinstance(step, Hop) for step in self.steps)


def join_chains(chains: Sequence[Iterable[tuple[str, str]]]) -> tuple[tuple[str, str], ...]:
    """One path from the hops of each chain, chain i starting at topic entity i."""
    path: list[tuple[str, str]] = []
    for index, hops in enumerate(chains):
        path += [(INTERSECT, str(index))] if index else []
        path += hops
    return tuple(path)


def is_conjunctive(question: Question) -> bool:
    """Whether the question's path intersects several chains."""
    return any(direction == INTERSECT for direction, _ in question.path)


def hop_group(question: Question) -> str:
    """'1-hop', '2-hop', ..., 'conjunctive', or 'unknown' for a question that does not say."""
    if is_conjunctive(question):
        return "conjunctive"
    return f"{question.num_hops}-hop" if question.num_hops else "unknown"


def chains_of(question: Question) -> list[Chain]:
    """The chains of a question's path; [] when it has none.

    Raises ValueError for a direction that is none, a chain without hops, or a topic that the question lacks.
    """
    if not question.path:
        return []
    chains: list[tuple[str, list[Hop | Without]]] = [(_topic(question, "0"), [])]
    for direction, relation in question.path:
        if direction == INTERSECT:
            chains.append((_topic(question, relation), []))
        elif direction == WITHOUT:
            chains[-1][1].append(Without(_topic(question, relation)))
        elif direction == "tail":
            chains[-1][1].append(Hop("tail", relation))
        elif direction == "head":
            chains[-1][1].append(Hop("head", relation))
        else:
            raise ValueError(f"question {question.question_id}: {direction!r} is no direction of a path")
    read = [Chain(topic, tuple(steps)) for topic, steps in chains]
    if not all(chain.num_hops for chain in read):
        raise ValueError(f"question {question.question_id}: the path has a chain without hops")
    return read


def path_ends(graph: KnowledgeGraph, question: Question) -> list[int]:
    """The entities where the question's path ends, in the order in which its first chain meets them.

    [] for a question without a path.
    """
    ends = [_chain_ends(graph, chain) for chain in chains_of(question)]
    if not ends:
        return []
    common = reduce(set.intersection, map(set, ends))
    return [entity for entity in ends[0] if entity in common]


def path_is_exact(graph: KnowledgeGraph, question: Question) -> bool:
    """Whether following the path gives exactly the gold answers, each by one of its aliases."""
    labels = graph.labels(path_ends(graph, question))
    return len(labels) == len(question.gold) and all(
        any(label in aliases for label in labels) for aliases in question.gold
    )


def _chain_ends(graph: KnowledgeGraph, chain: Chain) -> list[int]:
    entities = graph.resolve(chain.topic)
    for part in chain.steps:
        if isinstance(part, Without):
            left_out = set(graph.resolve(part.topic))
            entities = [entity for entity in entities if entity not in left_out]
        else:
            entities = step(graph, entities, part)
    return entities


def _topic(question: Question, index: str) -> str:
    try:
        return question.topic_entities[int(index)]
    except (ValueError, IndexError) as error:
        raise ValueError(
            f"question {question.question_id}: the path names no topic entity: {index!r}"
        ) from error
