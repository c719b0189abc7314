"""Every question that a pattern can ask of the world KG, before it is put into words.

A candidate's walk stays narrow: at most `MAX_SET` entities after each hop, so that an agent that names the
entities of the last result in one search gets through in as many searches as there are hops.
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from kg_r1.data.patterns import NAMESAKE, Chain, Pattern
from kg_r1.data.splits import SPLITS, split_name
from kg_r1.data.world_facts import WorldFacts, kind_of
from kg_r1.kg.knowledge_graph import KnowledgeGraph
from kg_r1.kg.paths import Hop, follow, step

T = TypeVar("T")

MAX_SET = 8
# Topics per country in pairs: cities are many, and their pairs far more than anybody asks for.
_MAX_PAIR_TOPICS = 6


@dataclass(frozen=True)
class Candidate:
    """A pattern with its topics (labels) and its answers (entity indices, by label)."""

    pattern: Pattern
    topics: tuple[str, ...]
    answers: tuple[int, ...]


@dataclass(frozen=True)
class _Topic:
    """A possible start: what it is called, what it means, its split and the country it counts for."""

    label: str
    indices: tuple[int, ...]
    split: str
    home: str


Ended = tuple[_Topic, list[int]]  # a topic and the entities where its walk ends


class CandidateFinder:
    """Lists candidates per split, in an order in which every country has its turn.

    Args:
        graph: the world KG as the agent will see it.
        facts: where its entities' kinds and home countries are known.
        splits: entity id -> split.
        seed: for the order.
    """

    def __init__(
        self, graph: KnowledgeGraph, facts: WorldFacts, splits: Mapping[str, str], seed: int
    ) -> None:
        self._graph = graph
        self._seed = seed
        self._topics: dict[str, list[_Topic]] = defaultdict(list)
        bearers: dict[str, list[int]] = defaultdict(list)
        for index in range(graph.num_entities):
            entity, name = graph.entity_id(index), graph.name(index)
            bearers[name].append(index)
            if graph.label(index) == name:
                home = facts.home.get(entity, entity)
                self._topics[kind_of(entity)].append(_Topic(name, (index,), splits[entity], home))
        for name, indices in sorted(bearers.items()):
            if len(indices) > 1 and all(kind_of(graph.entity_id(i)) == "city" for i in indices):
                self._topics[NAMESAKE].append(_Topic(name, tuple(indices), split_name(name, seed), name))

    def find(self, pattern: Pattern) -> dict[str, list[Candidate]]:
        """Split -> candidates of a pattern."""
        rng = random.Random(f"{self._seed}:candidates:{pattern.name}")
        if len(pattern.chains) == 1:
            return self._single(pattern, rng)
        walks = [self._walks(chain, rng) for chain in pattern.chains]
        return {split: list(self._pairs(pattern, walks, split, rng)) for split in SPLITS}

    def _single(self, pattern: Pattern, rng: random.Random) -> dict[str, list[Candidate]]:
        found: dict[str, list[Candidate]] = {split: [] for split in SPLITS}
        for topic, ends in self._walks(pattern.chains[0], rng):
            is_namesake = pattern.chains[0].topic_kind == NAMESAKE
            if self._can_be_answer(ends) and (len(ends) > 1 or not is_namesake):
                found[topic.split].append(Candidate(pattern, (topic.label,), self._sorted(ends)))
        return found

    def _pairs(
        self, pattern: Pattern, walks: Sequence[Sequence[Ended]], split: str, rng: random.Random
    ) -> Iterator[Candidate]:
        """Pairs of topics of one split whose walks meet, neither walk alone giving the answer.

        `walks` are those of the pattern's first chain and of its second.
        """
        first, second = (_few_per_country(chain_walks, split) for chain_walks in walks)
        by_end: dict[int, list[int]] = defaultdict(list)
        for position, (_, ends) in enumerate(second):
            for end in ends:
                by_end[end].append(position)
        is_symmetric = pattern.chains[0] == pattern.chains[1]
        drawn = []
        for one, ends in first:
            partners = sorted({position for end in ends for position in by_end[end]})
            for position in partners:
                other, other_ends = second[position]
                common = set(ends) & set(other_ends)
                is_new = one.label < other.label or not is_symmetric
                if is_new and one.home != other.home and len(common) < min(len(ends), len(other_ends)):
                    drawn.append((one, other, self._sorted(common)))
        rng.shuffle(drawn)
        for one, other, answers in _by_turns(drawn, lambda item: item[0].home):
            if self._can_be_answer(answers):
                pair = (one, other) if not is_symmetric or rng.random() < 0.5 else (other, one)
                yield Candidate(pattern, (pair[0].label, pair[1].label), answers)

    def _walks(self, chain: Chain, rng: random.Random) -> list[Ended]:
        """(topic, end entities) for every topic of the chain's kind whose walk is narrow and whole."""
        hops = [_hop(direction, relation) for direction, relation in chain.hops]
        topics = list(self._topics[chain.topic_kind])
        rng.shuffle(topics)
        walks = []
        for topic in _by_turns(topics, lambda topic: topic.home):
            sets = [list(topic.indices), *follow(self._graph, topic.indices, hops)]
            if all(0 < len(entities) <= MAX_SET for entities in sets) and self._is_whole(sets, hops):
                walks.append((topic, sets[-1]))
        return walks

    def _is_whole(self, sets: Sequence[Sequence[int]], hops: Sequence[Hop]) -> bool:
        """Whether each entity on the way has the next relation: no silent gap in the answer."""
        return all(
            step(self._graph, [entity], hop)
            for entities, hop in zip(sets[:-1], hops, strict=True)
            for entity in entities
        )

    def _can_be_answer(self, ends: Sequence[int]) -> bool:
        return all(self._graph.label(end) == self._graph.name(end) for end in ends)

    def _sorted(self, ends: Sequence[int] | set[int]) -> tuple[int, ...]:
        return tuple(sorted(ends, key=self._graph.label))


def _hop(direction: str, relation: str) -> Hop:
    return Hop("tail" if direction == "tail" else "head", relation)


def _few_per_country(walks: Sequence[Ended], split: str) -> list[Ended]:
    """The walks of a split's topics, the first `_MAX_PAIR_TOPICS` of each country."""
    num_taken: Counter[str] = Counter()
    kept = []
    for topic, ends in walks:
        if topic.split == split and num_taken[topic.home] < _MAX_PAIR_TOPICS:
            num_taken[topic.home] += 1
            kept.append((topic, ends))
    return kept


def _by_turns(items: Sequence[T], group: Callable[[T], str]) -> list[T]:
    """The items so that each group's first comes before any group's second, and so on; else in order."""
    num_seen: Counter[str] = Counter()
    turns = []
    for item in items:
        turns.append(num_seen[group(item)])
        num_seen[group(item)] += 1
    return [items[position] for position in sorted(range(len(items)), key=turns.__getitem__)]
