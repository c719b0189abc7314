"""Wrong turns made on purpose, so that a model learns the way back and not the mistake.

The turn that goes wrong is kept out of what is learned (`OracleWalk.unlearned`); the turns after it, which
begin from an error, an empty result or a list that was not asked for, are learned like any other.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from kg_r1.data.evidence_path import Chain
from kg_r1.kg.paths import Hop, reverse

MIN_NAME_CHARS = 5  # shorter names, misspelt, are near too many others


@dataclass(frozen=True)
class Detour:
    """A mistake: the hop that is taken instead, and the misspelt name where the name is what is wrong."""

    kind: Literal["wrong direction", "wrong relation", "wrong name"]
    hop: Hop
    name: str | None = None


def draw_detour(rng: random.Random, hop: Hop, name: str | None, relations: Sequence[str]) -> Detour:
    """A mistake that somebody might make instead of `hop`.

    Args:
        rng: draws it.
        hop: what would be right.
        name: the single name that the query writes out; None when it writes a handle.
        relations: names of relations to take by mistake.
    """
    others = [relation for relation in relations if relation != hop.relation]
    detours = [Detour("wrong direction", reverse(hop))]
    if others:
        detours.append(Detour("wrong relation", replace(hop, relation=rng.choice(others))))
    if name is not None and len(name) >= MIN_NAME_CHARS and (wrong := misspelt(rng, name)) != name:
        detours.append(Detour("wrong name", hop, wrong))
    return rng.choice(detours)


def misspelt(rng: random.Random, name: str) -> str:
    """The name with one letter left out, doubled, or changed places with the next."""
    position = rng.randrange(1, len(name) - 1)
    before, letter, after = name[:position], name[position], name[position + 1 :]
    return rng.choice(
        (before + after, before + letter + letter + after, before + after[0] + letter + after[1:])
    )


def with_hop(chains: Sequence[Chain], chain: int, step: int, hop: Hop) -> list[Chain]:
    """The chains with another hop at `step` of chain `chain`."""
    changed = list(chains)
    steps = list(changed[chain].steps)
    steps[step] = hop
    changed[chain] = replace(changed[chain], steps=tuple(steps))
    return changed
