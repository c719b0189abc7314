"""Question patterns: which walk through the world KG answers them, and how they are put into words.

A pattern holds one chain of hops, or two whose end sets are intersected. In the phrasings `{a}` and `{b}`
stand for the topics of the first and the second chain.
"""

from __future__ import annotations

from dataclasses import dataclass

# Topic kinds are the kinds of world entities, and one more: a name that several cities bear.
NAMESAKE = "namesake"
GROUPS = ("1-hop", "2-hop", "3-hop", "conjunctive")
MIN_PHRASINGS = 8


@dataclass(frozen=True)
class Chain:
    """Hops from a topic of one kind; a hop is (direction, relation) as in `Question.path`."""

    topic_kind: str
    hops: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Pattern:
    """A question type: its name, its one or two chains, and its phrasings (at least `MIN_PHRASINGS`)."""

    name: str
    chains: tuple[Chain, ...]
    phrasings: tuple[str, ...]

    @property
    def num_hops(self) -> int:
        """Hops of all chains together: the least number of searches that answer the question."""
        return sum(len(chain.hops) for chain in self.chains)

    @property
    def group(self) -> str:
        """One of `GROUPS`."""
        return "conjunctive" if len(self.chains) > 1 else f"{self.num_hops}-hop"


def chain(topic_kind: str, *relations: str) -> Chain:
    """A chain in shorthand: 'capital' goes from head to tails, '~capital' from tail to heads."""
    hops = tuple(("head", name[1:]) if name.startswith("~") else ("tail", name) for name in relations)
    return Chain(topic_kind, hops)


def pattern(name: str, *chains: Chain, phrasings: str) -> Pattern:
    """A pattern whose phrasings stand one on a line."""
    lines = tuple(line.strip() for line in phrasings.strip().splitlines())
    return Pattern(name, chains, lines)
