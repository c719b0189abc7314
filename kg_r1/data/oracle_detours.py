"""Wrong turns made on purpose, so that a model learns the way back and not the mistake.

The turn that goes wrong is kept out of what is learned (`OracleWalk.unlearned`); the turns after it, which
begin from an error, an empty result or a list that was not asked for, are learned like any other.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal

from kg_r1.data.evidence_path import Chain, Without
from kg_r1.kg.paths import Hop, reverse

MIN_NAME_CHARS = 5  # shorter names, misspelt, are near too many others
SLIP_RATE = (
    0.6  # of the detours where the plan can be a hop too short or too long, as models' are (docs/log.md)
)

DetourKind = Literal[
    "wrong direction", "wrong relation", "wrong name", "skipped hop", "needless hop", "extra hop"
]


@dataclass(frozen=True)
class Detour:
    """A mistake: the hop that is taken instead, and the misspelt name where the name is what is wrong."""

    kind: DetourKind
    hop: Hop
    name: str | None = None


class Habits:
    """What plans are made of; whoever misreads a question plans what another question would ask for.

    Attributes:
        relations: the names of the relations that plans follow, sorted.
        before: hop -> the hops that come right before it, as often as they do.
        after: hop -> the hops that come right after it, as often as they do.
    """

    def __init__(self, plans: Iterable[Sequence[Chain]] = ()) -> None:
        self.before: dict[Hop, list[Hop]] = defaultdict(list)
        self.after: dict[Hop, list[Hop]] = defaultdict(list)
        relations: set[str] = set()
        for chain in (chain for plan in plans for chain in plan):
            hops = [step for step in chain.steps if isinstance(step, Hop)]
            relations.update(hop.relation for hop in hops)
            for first, second in pairwise(hops):
                self.before[second].append(first)
                self.after[first].append(second)
        self.relations = sorted(relations)


def draw_detour(
    rng: random.Random, steps: Sequence[Hop | Without], name: str | None, habits: Habits
) -> Detour:
    """A mistake that somebody might make instead of the first of `steps`.

    Args:
        rng: draws it.
        steps: what would be right: a hop, and what comes after it in its chain.
        name: the single name that the query writes out; None when it writes a handle.
        habits: the hops and relations to take by mistake.
    """
    hop, *later = (step for step in steps if isinstance(step, Hop))
    # Twice, since there are fewer places for it: only where another hop follows.
    slips = [Detour("skipped hop", later[0])] * 2 if later else []
    if before := habits.before.get(hop):
        slips.append(Detour("needless hop", rng.choice(before)))
    if slips and rng.random() < SLIP_RATE:
        return rng.choice(slips)
    others = [relation for relation in habits.relations if relation != hop.relation]
    detours = [Detour("wrong direction", reverse(hop))]
    if others:
        detours.append(Detour("wrong relation", replace(hop, relation=rng.choice(others))))
    if name is not None and len(name) >= MIN_NAME_CHARS and (wrong := misspelt(rng, name)) != name:
        detours.append(Detour("wrong name", hop, wrong))
    return rng.choice(detours)


def draw_extra_hop(rng: random.Random, last: Hop, habits: Habits) -> Detour:
    """A hop on from the answer, which `last` led to. Raises IndexError when no relation is known."""
    after = habits.after.get(last)
    if after:
        return Detour("extra hop", rng.choice(after))
    return Detour("extra hop", Hop(rng.choice(("tail", "head")), rng.choice(habits.relations)))


def misspelt(rng: random.Random, name: str) -> str:
    """The name with one letter left out, doubled, or changed places with the next."""
    position = rng.randrange(1, len(name) - 1)
    before, letter, after = name[:position], name[position], name[position + 1 :]
    return rng.choice(
        (before + after, before + letter + letter + after, before + after[0] + letter + after[1:])
    )


def mistaken(chains: Sequence[Chain], chain: int, step: int, detour: Detour) -> list[Chain]:
    """The chains as somebody has them in mind who makes the mistake at `step` of chain `chain`."""
    changed = list(chains)
    steps = list(changed[chain].steps)
    instead: dict[str, list[Hop | Without]] = {"skipped hop": [], "needless hop": [detour.hop, steps[step]]}
    steps[step : step + 1] = instead.get(detour.kind, [detour.hop])
    changed[chain] = replace(changed[chain], steps=tuple(steps))
    return changed
