"""Who goes where: entities and phrasings of the world KG's questions, divided among train, val and test.

Topics of test questions are never topics of train questions, and the same holds for phrasings. An entity
follows its home country; what several countries share (a currency, a language) is drawn by itself.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Mapping, Sequence

from kg_r1.data.world_facts import WorldFacts, kind_of

SPLITS = ("train", "val", "test")
# Shares of the countries; the questions' own numbers are set apart from this.
COUNTRY_SHARES = {"train": 0.68, "val": 0.12, "test": 0.20}
NUM_VAL_PHRASINGS = 1
NUM_TEST_PHRASINGS = 2


def split_entities(facts: WorldFacts, seed: int) -> dict[str, str]:
    """Entity id -> split, for every entity of the graph.

    Countries are drawn per continent, so that each split holds some of each where there are enough.
    """
    rng = random.Random(f"{seed}:entities")
    continent_of = {head: tail for head, relation, tail in facts.triples if relation == "continent"}
    by_continent: dict[str, list[str]] = defaultdict(list)
    shared = []
    for entity in sorted(facts.names):
        if kind_of(entity) == "country":
            by_continent[continent_of.get(entity, "")].append(entity)
        elif entity not in facts.home:
            shared.append(entity)
    splits: dict[str, str] = {}
    for _, countries in sorted(by_continent.items()):
        splits.update(_dealt(countries, rng))
    by_kind: dict[str, list[str]] = defaultdict(list)
    for entity in shared:
        by_kind[kind_of(entity)].append(entity)
    for _, entities in sorted(by_kind.items()):
        splits.update(_dealt(entities, rng))
    return splits | {entity: splits[country] for entity, country in facts.home.items()}


def split_name(name: str, seed: int) -> str:
    """The split of a name that several entities bear."""
    point = random.Random(f"{seed}:name:{name}").random()
    if point < COUNTRY_SHARES["train"]:
        return "train"
    return "val" if point < COUNTRY_SHARES["train"] + COUNTRY_SHARES["val"] else "test"


def split_phrasings(pattern_name: str, phrasings: Sequence[str], seed: int) -> Mapping[str, list[str]]:
    """Split -> phrasings: one for val, two for test, the others for train, drawn per pattern."""
    drawn = list(phrasings)
    random.Random(f"{seed}:phrasings:{pattern_name}").shuffle(drawn)
    end_of_val = NUM_TEST_PHRASINGS + NUM_VAL_PHRASINGS
    return {
        "test": drawn[:NUM_TEST_PHRASINGS],
        "val": drawn[NUM_TEST_PHRASINGS:end_of_val],
        "train": drawn[end_of_val:],
    }


def _dealt(entities: Sequence[str], rng: random.Random) -> dict[str, str]:
    drawn = list(entities)
    rng.shuffle(drawn)
    num_test = round(len(drawn) * COUNTRY_SHARES["test"])
    num_val = round(len(drawn) * COUNTRY_SHARES["val"])
    return {
        entity: "test" if rank < num_test else "val" if rank < num_test + num_val else "train"
        for rank, entity in enumerate(drawn)
    }
