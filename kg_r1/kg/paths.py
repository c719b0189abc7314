"""Evidence paths: the relations that lead from a question's topic entities to its answers."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from kg_r1.kg.knowledge_graph import KnowledgeGraph


@dataclass(frozen=True)
class Hop:
    """One step along a relation: 'tail' goes from heads to tails, 'head' from tails to heads."""

    direction: Literal["tail", "head"]
    relation: str


def shortest_path(
    graph: KnowledgeGraph,
    topics: Sequence[int],
    answers: Collection[int],
    max_hops: int = 3,
    max_entities: int = 1000,
) -> tuple[int, list[Hop]] | None:
    """The path from one topic entity whose end set matches the answers best.

    A path whose end set is exactly the answers wins over any other; without one, the highest F1 between end
    set and answers decides. Equal matches: the shorter path, then the topic named earlier, then hop order.

    Args:
        graph: the graph to walk.
        topics: entity indices a path may start from.
        answers: entity indices it should end at.
        max_hops: longest path considered.
        max_entities: a set larger than this is not walked on from; nobody could name its members in a search.

    Returns:
        (the topic's entity index, its hops), or None when no path reaches any answer.
    """
    wanted = frozenset(answers)
    # Only these hops can end at an answer, so the last level, by far the widest, is cut down to them.
    last_hops = {reverse(hop) for hop in hops_from(graph, sorted(wanted))}
    best: tuple[int, list[Hop]] | None = None
    best_f1 = 0.0
    frontier: list[tuple[int, list[Hop], list[int]]]
    frontier = [(topic, [], [topic]) for topic in dict.fromkeys(topics)]
    for num_hops in range(1, max_hops + 1):
        walked = []
        for topic, hops, entities in frontier:
            if len(entities) > max_entities:
                continue
            for hop in hops_from(graph, entities):
                if num_hops == max_hops and hop not in last_hops:
                    continue
                ends = step(graph, entities, hop)
                f1 = 2 * len(wanted.intersection(ends)) / (len(wanted) + len(ends))
                if f1 > best_f1:
                    best, best_f1 = (topic, [*hops, hop]), f1
                if f1 == 1.0:
                    return best
                if num_hops < max_hops:
                    walked.append((topic, [*hops, hop], ends))
        frontier = walked
    return best


def follow(graph: KnowledgeGraph, topics: Sequence[int], hops: Sequence[Hop]) -> list[list[int]]:
    """The entity sets after each hop, starting from all `topics` together.

    Returns:
        [len(hops)] lists of distinct entity indices, in the order in which a search for the list of the
        entities before would show them.
    """
    sets: list[list[int]] = []
    entities = list(dict.fromkeys(topics))
    for hop in hops:
        entities = step(graph, entities, hop)
        sets.append(entities)
    return sets


def step(graph: KnowledgeGraph, entities: Sequence[int], hop: Hop) -> list[int]:
    """The distinct entities one hop away from any of `entities`, in first-seen order."""
    neighbours = graph.tails if hop.direction == "tail" else graph.heads
    return list(dict.fromkeys(end for entity in entities for end in neighbours(entity, hop.relation)))


def reverse(hop: Hop) -> Hop:
    """The same relation walked the other way."""
    return Hop("head" if hop.direction == "tail" else "tail", hop.relation)


def hops_from(graph: KnowledgeGraph, entities: Sequence[int]) -> list[Hop]:
    """Every hop that leads anywhere from at least one of `entities`, tail hops first, by relation."""
    return sorted(set(_hops(graph, entities)), key=lambda hop: (hop.direction != "tail", hop.relation))


def _hops(graph: KnowledgeGraph, entities: Sequence[int]) -> Iterator[Hop]:
    for entity in entities:
        for relation in graph.tail_relations(entity):
            yield Hop("tail", relation)
        for relation in graph.head_relations(entity):
            yield Hop("head", relation)
