"""Wrong turns made on purpose, so that a model learns the way back and not the mistake.

The turn that goes wrong is kept out of what is learned (`OracleWalk.unlearned`); the turns after it, which
begin from an error, an empty result or a list that was not asked for, are learned like any other.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from kg_r1.data.evidence_path import Chain, Without
from kg_r1.kg.paths import Hop, reverse

MIN_NAME_CHARS = 5  # shorter names, misspelt, are near too many others
SKIP_RATE = 0.5  # of the detours where a hop can be skipped; trained models do it (docs/log.md)


@dataclass(frozen=True)
class Detour:
    """A mistake: the hop that is taken instead, and the misspelt name where the name is what is wrong."""

    kind: Literal["wrong direction", "wrong relation", "wrong name", "skipped hop", "extra hop"]
    hop: Hop
    name: str | None = None


def draw_detour(
    rng: random.Random, steps: Sequence[Hop | Without], name: str | None, relations: Sequence[str]
) -> Detour:
    """A mistake that somebody might make instead of the first of `steps`.

    Args:
        rng: draws it.
        steps: what would be right: a hop, and what comes after it in its chain.
        name: the single name that the query writes out; None when it writes a handle.
        relations: names of relations to take by mistake.
    """
    hop, *later = (step for step in steps if isinstance(step, Hop))
    if later and rng.random() < SKIP_RATE:
        return Detour("skipped hop", later[0])
    others = [relation for relation in relations if relation != hop.relation]
    detours = [Detour("wrong direction", reverse(hop))]
    if others:
        detours.append(Detour("wrong relation", replace(hop, relation=rng.choice(others))))
    if name is not None and len(name) >= MIN_NAME_CHARS and (wrong := misspelt(rng, name)) != name:
        detours.append(Detour("wrong name", hop, wrong))
    return rng.choice(detours)


def draw_extra_hop(rng: random.Random, relations: Sequence[str]) -> Detour:
    """A hop that goes on from the answer. Raises IndexError when there are no relations to take."""
    return Detour("extra hop", Hop(rng.choice(("tail", "head")), rng.choice(list(relations))))


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
    steps[step : step + 1] = [] if detour.kind == "skipped hop" else [detour.hop]
    changed[chain] = replace(changed[chain], steps=tuple(steps))
    return changed
