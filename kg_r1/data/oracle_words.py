"""What an oracle walk thinks: the plan that remains, in short words that vary.

Writing the remaining plan into every thought is what teaches a small model when to stop; the wording varies
so that the plan is learned and not one sentence.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

from kg_r1.data.evidence_path import Chain, Without
from kg_r1.data.oracle_detours import DetourKind
from kg_r1.kg.paths import Hop

_FIRST = (
    "Plan: {plan}.",
    "I need {plan}.",
    "To find: {plan}.",
    "Steps: {plan}.",
    "Look up {plan}.",
    "To do: {plan}.",
)
_NEXT = ("Left: {plan}.", "Still to do: {plan}.", "Next: {plan}.", "Now {plan}.", "Remaining: {plan}.")
_MORE = ("More names for: {plan}.", "The other names, again: {plan}.", "The list goes on: {plan}.")
_LAST = (
    "Nothing is left to look up.",
    "The plan is done.",
    "No step remains, so I answer.",
    "That was the last step.",
    "Done, this is the answer.",
)
_LAST_OF_SEVERAL = (
    "All lists are here: keep what they share.",
    "Now keep the names that stand in each list.",
    "No step remains: what do the lists have in common?",
    "Done, the answer is what the lists share.",
)
# Each kind of mistake has its own words: where all had the same, models said them and asked the same again.
_BACK: Mapping[DetourKind, tuple[str, ...]] = {
    "wrong direction": ("The other direction.", "Heads and tails were mixed up.", "It runs the other way."),
    "wrong relation": (
        "Another relation is needed.",
        "That relation does not help.",
        "Not the right relation.",
    ),
    "skipped hop": ("A step is missing: {relation}.", "First {relation}.", "Before that comes {relation}."),
    "needless hop": ("That step is not needed.", "One step less is enough.", "I leave that step out."),
    "wrong name": ("The name is spelt otherwise.", "I take the name as the graph spells it."),
}
_TOO_FAR = ("That was one step too many.", "I had the answer before.", "No further step was needed.")
_LOOK = (
    "Which relations are there?",
    "First I see which relations it has.",
    "Let me look at the relations first.",
    "I check the relations of {topic}.",
)


def first_thought(rng: random.Random, chains: Sequence[Chain]) -> str:
    """Before the first hop: the whole plan."""
    return rng.choice(_FIRST).format(plan=plan_words(chains, 0, 0))


def next_thought(rng: random.Random, chains: Sequence[Chain], chain: int, step: int) -> str:
    """Before the hop at `step` of chain `chain`: the plan from there on."""
    return rng.choice(_NEXT).format(plan=plan_words(chains, chain, step))


def back_thought(rng: random.Random, chains: Sequence[Chain], chain: int, step: int, kind: DetourKind) -> str:
    """After a search that led nowhere: what was wrong, and the plan from the hop at `step` on."""
    hop = chains[chain].steps[step]
    assert isinstance(hop, Hop)
    said = rng.choice(_BACK[kind]).format(relation=hop.relation)
    return f"{said} {next_thought(rng, chains, chain, step)}"


def more_thought(rng: random.Random, chains: Sequence[Chain], chain: int, step: int) -> str:
    """Before the hop at `step` is asked again, for the names that one query could not hold."""
    return rng.choice(_MORE).format(plan=plan_words(chains, chain, step))


def last_thought(rng: random.Random, chains: Sequence[Chain], went_too_far: bool = False) -> str:
    """Before the answer; `went_too_far` when a search that was not needed came before."""
    if went_too_far:
        return rng.choice(_TOO_FAR)
    return rng.choice(_LAST if len(chains) == 1 else _LAST_OF_SEVERAL)


def look_thought(rng: random.Random, topic: str) -> str:
    """Before a look at the relations of the topic."""
    return rng.choice(_LOOK).format(topic=topic)


def plan_words(chains: Sequence[Chain], chain: int, step: int) -> str:
    """The plan from one step on: 'country tails, then capital tails', or 'A: ...; B: ...; compare'."""
    if len(chains) == 1:
        return _steps_words(chains[0], step)
    parts = [
        f"{part.topic}: {_steps_words(part, step if position == chain else 0)}"
        for position, part in enumerate(chains)
        if position >= chain
    ]
    return "; ".join([*parts, "compare"])


def hop_words(hop: Hop) -> str:
    """A hop in a plan: 'capital tails' along the relation, 'capital heads' against it.

    Both directions are marked: where only one was, the model left the mark out and searched the wrong way.
    The relation comes first: where every hop began with the same words, the model fell into repeating them
    (docs/log.md).
    """
    return f"{hop.relation} {hop.direction}s"


def _steps_words(chain: Chain, start: int) -> str:
    words: list[str] = []
    for part in chain.steps[start:]:
        if isinstance(part, Without):
            if words:
                words[-1] += f" except {part.topic}"
        else:
            words.append(hop_words(part))
    return ", then ".join(words)
