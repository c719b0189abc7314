"""The shortest paths between two sets of entities, along relations in either direction.

In: a graph, where paths may start, where they must end, and bounds. Out: paths of the least length there
is, in an order that depends on the graph alone. The search runs from both sides, level by level, always on
the side with fewer entities to go on from, and its work is bounded whatever the graph.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import islice

from kg_r1.kg.errors import KGError
from kg_r1.kg.knowledge_graph import KnowledgeGraph
from kg_r1.kg.paths import Hop, reverse

Link = tuple[Hop, int]  # how to walk, and the entity at the far end


@dataclass(frozen=True)
class SearchBounds:
    """What one search may cost."""

    max_entities: int = 50_000
    """Entities reached, from both sides together."""
    max_links: int = 200_000
    """Neighbours looked at, each as often as it is met. A single list is always read whole."""


class BoundReached(KGError):
    """The search was broken off before it found a path, so that it is not known whether there is one."""

    code = "bound_reached"


@dataclass(frozen=True)
class Path:
    """A walk from one entity: each link names the hop taken and the entity reached by it."""

    start: int
    links: tuple[Link, ...]

    def inner(self) -> list[int]:
        """The entities between the two ends, in the order of the walk."""
        return [entity for _, entity in self.links[:-1]]

    def text(self, graph: KnowledgeGraph) -> str:
        """The path as 'France -[capital]-> Paris <-[flows_through]- Seine'; arrows go from head to tail."""
        parts = [graph.label(self.start)]
        for hop, entity in self.links:
            arrow = f"-[{hop.relation}]->" if hop.direction == "tail" else f"<-[{hop.relation}]-"
            parts += [arrow, graph.label(entity)]
        return " ".join(parts)


def shortest_paths(
    graph: KnowledgeGraph,
    sources: Collection[int],
    targets: Collection[int],
    max_hops: int = 4,
    max_paths: int = 3,
    bounds: SearchBounds | None = None,
) -> list[Path]:
    """The first `max_paths` of all paths of the least length from any source to any target.

    Paths are ordered by the label of their start, then link by link: relation, from head to tail before
    from tail to head, label reached. Two relations between the same two entities make two paths.

    Args:
        graph: the graph to walk.
        sources: entity indices to start from, none of which is a target.
        targets: entity indices to end at.
        max_hops: longest path considered.
        max_paths: most paths returned.
        bounds: what the search may cost; the defaults of `SearchBounds` when None. A search that has found
            a path when it reaches one returns what it has, which may be fewer paths than there are.

    Returns:
        The paths, or [] when there is none of at most `max_hops` hops.

    Raises:
        BoundReached: a bound was reached before any path was found; the message says which.
        ValueError: `sources` and `targets` share an entity.
    """
    if not set(sources).isdisjoint(targets):
        raise ValueError("sources and targets share an entity")
    search = _Search(graph, sources, targets, bounds or SearchBounds())
    return list(islice(search.paths(max_hops), max_paths))


class _Side:
    """What one side has reached, and by which links: of an entity, those that lead back to this side."""

    def __init__(self, entities: Collection[int]) -> None:
        self.frontier = list(dict.fromkeys(entities))
        self.links: dict[int, list[Link]] = {entity: [] for entity in self.frontier}

    def take(self, level: dict[int, list[Link]]) -> None:
        """Makes `level` the new frontier."""
        self.links.update(level)
        self.frontier = list(level)


class _Search:
    def __init__(
        self,
        graph: KnowledgeGraph,
        sources: Collection[int],
        targets: Collection[int],
        bounds: SearchBounds,
    ) -> None:
        self._graph = graph
        self._bounds = bounds
        self._near, self._far = _Side(sources), _Side(targets)
        self._num_links = 0

    def paths(self, max_hops: int) -> Iterator[Path]:
        met = self._meet(max_hops)
        onward = self._onward(met)
        starts = [entity for entity in onward if not self._near.links.get(entity, [None])]
        for start in sorted(starts, key=self._graph.label):
            for links in self._walks(start, onward):
                yield Path(start, links)

    def _meet(self, max_hops: int) -> list[int]:
        """The entities in the middle of the shortest paths; [] when no path is short enough."""
        for _ in range(max_hops):
            near, far = self._near, self._far
            side, other = (near, far) if len(near.frontier) <= len(far.frontier) else (far, near)
            level, bound = self._next_level(side)
            side.take(level)
            # Every nearer entity of the other side would have been met a level earlier.
            met = [entity for entity in level if entity in other.links]
            if met:
                return met
            if bound:
                raise BoundReached(
                    f"the search for a path was broken off at {bound}, before it found one",
                    "Allow fewer hops, or ask for the relations of either entity",
                )
            if not level:
                return []
        return []

    def _next_level(self, side: _Side) -> tuple[dict[int, list[Link]], str]:
        """The entities one hop further than the frontier, and the bound that cut them short, '' for none."""
        level: dict[int, list[Link]] = {}
        bounds = self._bounds
        num_before = len(self._near.links) + len(self._far.links)
        for entity in side.frontier:
            for hop, neighbours in self._lists(entity):
                self._num_links += len(neighbours)
                # What is kept is how the neighbour leads back here.
                link = (reverse(hop), entity)
                for neighbour in neighbours:
                    if neighbour not in side.links:
                        level.setdefault(neighbour, []).append(link)
                if num_before + len(level) > bounds.max_entities:
                    return level, f"its bound of {bounds.max_entities} entities"
                if self._num_links > bounds.max_links:
                    return level, f"its bound of {bounds.max_links} links"
        return level, ""

    def _lists(self, entity: int) -> Iterator[tuple[Hop, list[int]]]:
        graph = self._graph
        for relation in graph.tail_relations(entity):
            yield Hop("tail", relation), graph.tails(entity, relation)
        for relation in graph.head_relations(entity):
            yield Hop("head", relation), graph.heads(entity, relation)

    def _onward(self, met: list[int]) -> dict[int, list[Link]]:
        """Entity -> the links that lead from it towards a target, for every entity of a shortest path."""
        onward: dict[int, list[Link]] = {}
        waiting, seen = list(met), set(met)
        while waiting:
            entity = waiting.pop()
            for hop, back in self._near.links[entity]:
                onward.setdefault(back, []).append((reverse(hop), entity))
                if back not in seen:
                    seen.add(back)
                    waiting.append(back)
        waiting, seen = list(met), set(met)
        while waiting:
            entity = waiting.pop()
            for hop, ahead in self._far.links[entity]:
                onward.setdefault(entity, []).append((hop, ahead))
                if ahead not in seen:
                    seen.add(ahead)
                    waiting.append(ahead)
        return onward

    def _walks(self, entity: int, onward: dict[int, list[Link]]) -> Iterator[tuple[Link, ...]]:
        def place(link: Link) -> tuple[str, bool, str]:
            hop, reached = link
            return hop.relation, hop.direction != "tail", self._graph.label(reached)

        if entity not in onward:  # a target: nothing leads on from it
            yield ()
            return
        for link in sorted(onward[entity], key=place):
            for rest in self._walks(link[1], onward):
                yield (link, *rest)
