"""More training phrasings for the world KG's patterns, composed hop by hop from ways to name one hop.

A pattern has a handful of phrasings that somebody wrote, and a small model learns those: it is right on
questions in known words and lost in others (docs/log.md). Composition puts the same path into many words.
Validation and test questions stay in written phrasings that training never sees, and a composed phrasing that
is near one of those is left out.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle

from kg_r1.data.patterns import NAMESAKE, Pattern
from kg_r1.data.splits import split_phrasings
from kg_r1.data.world_sources import fold

NUM_COMPOSED = 24  # for each pattern, at most
MAX_OVERLAP = 0.7  # of the words of a composed phrasing with those of one that is held out
_MAX_TRIES = 20  # for one composed phrasing


@dataclass(frozen=True)
class Noun:
    """Ways to name what a hop leads to, `{x}` being where it starts; `many` where `{x}` are several."""

    one: tuple[str, ...]
    many: tuple[str, ...]
    is_many: bool = False
    """Whether the hop leads to several even from one."""


def _noun(one: str, many: str = "", is_many: bool = False) -> Noun:
    singular, plural = (
        tuple(part.strip() for part in text.split("|") if part.strip()) for text in (one, many)
    )
    return Noun(singular, plural or singular, is_many)


# A relation's name stands for its tails, '~' and the name for its heads.
NOUNS: Mapping[str, Noun] = {
    "capital": _noun(
        "the capital of {x} | the capital city of {x} | the seat of government of {x}"
        " | the national capital of {x}"
        " | the city from which {x} is governed",
        "the capitals of {x} | the capital cities of {x} | the government seats of {x}",
    ),
    "country": _noun(
        "the country of {x} | the country where {x} lies | the country that {x} belongs to"
        " | the country containing {x}"
        " | the nation in which {x} is located | the home country of {x} | the country around {x}"
        " | the country that has {x}",
        "the countries of {x} | the countries where {x} lie | the countries that {x} belong to",
    ),
    "borders": _noun(
        "the countries that border {x} | the neighbours of {x} | the countries next to {x}"
        " | the countries around {x}"
        " | the neighbouring countries of {x} | the countries that share a border with {x}"
        " | the countries bordering {x} | the countries that share a frontier with {x}",
        is_many=True,
    ),
    "currency": _noun(
        "the currency of {x} | the money of {x} | the money used in {x} | the legal tender of {x}"
        " | the currency that people in {x} pay with | the official currency of {x}"
        " | the national currency of {x}",
        "the currencies of {x} | the money used in {x} | the currencies of all of {x}",
    ),
    "language": _noun(
        "the languages of {x} | the official languages of {x} | the languages spoken in {x}"
        " | the languages that people in {x} speak | the languages used in {x}"
        " | the national languages of {x}",
        is_many=True,
    ),
    "continent": _noun(
        "the continent of {x} | the continent on which {x} lies | the continent that {x} belongs to"
    ),
    "subregion": _noun(
        "the subregion of {x} | the subregion that {x} belongs to | the world subregion of {x}"
    ),
    "calling_code": _noun(
        "the calling code of {x} | the phone prefix of {x} | the telephone country code of {x}"
        " | the code that one must dial to phone {x} | the international dialling code of {x}"
    ),
    "internet_domain": _noun(
        "the internet domain of {x} | the web suffix of {x} | the top-level domain of {x}"
        " | the ending of web sites in {x} | the internet ending of {x}"
    ),
    "largest_city": _noun(
        "the largest city of {x} | the biggest city in {x} | the city with the largest population in {x}"
        " | the largest city in {x} by population"
    ),
    "timezone": _noun(
        "the time zone of {x} | the time zone that applies in {x} | the tz database zone of {x}"
        " | the time zone that clocks in {x} follow | the time zone used in {x}",
        "the time zones of {x} | the time zones that apply in {x}",
    ),
    "~city_served": _noun(
        "the airports of {x} | the airports that serve {x} | the airport or airports of {x}"
        " | the airports through which {x} is reached | the airports where planes to {x} land",
        is_many=True,
    ),
    "city_served": _noun(
        "the city served by {x} | the city that {x} serves | the city of {x} | the home city of {x}"
        " | the city to which {x} belongs"
    ),
    "iata_code": _noun("the IATA code of {x} | the three-letter code of {x} | the airport code of {x}"),
    "~iata_code": _noun(
        "the airport with the code {x} | the airport with the IATA code {x} | the airport abbreviated {x}"
        " | the airport behind the code {x}"
    ),
    "~capital": _noun(
        "the country whose capital is {x} | the country governed from {x}"
        " | the country of which {x} is the capital"
        " | the country that has {x} as its capital"
    ),
    "~currency": _noun(
        "the countries that use the {x} | the countries whose currency is the {x} | the users of the {x}"
        " | the places where the {x} is legal tender | the countries that pay with the {x}",
        is_many=True,
    ),
    "~language": _noun(
        "the countries where {x} is spoken | the countries whose language is {x}"
        " | the places where people speak {x}"
        " | the countries that have {x} as a language | the countries where {x} is official",
        is_many=True,
    ),
}
# How a topic may be called where the hop from it does not say what it is.
_TOPICS: Mapping[str, tuple[str, ...]] = {
    "city": ("{t}", "{t}", "the city of {t}", "the city {t}"),
    "airport": ("{t}", "{t}", "the airport {t}"),
    NAMESAKE: ("all cities called {t}", "the cities named {t}"),
}
_FRAMES = (
    "What is {np}?",
    "Name {np}.",
    "Tell me {np}.",
    "I need to know {np}.",
    "Find {np}.",
    "Look up {np}.",
    "I would like to learn {np}.",
    "Can you name {np}?",
    "What do you know as {np}?",
    "Which is {np}?",
    "{np}: what is it?",
    "Give me {np}.",
)
_FRAMES_MANY = (
    "What are {np}?",
    "Name {np}.",
    "Tell me {np}.",
    "I need to know {np}.",
    "List {np}.",
    "Find {np}.",
    "Look up {np}.",
    "Can you name {np}?",
    "Which are {np}?",
    "{np}: what are they?",
    "Give me {np}.",
)
_FRAMES_COMMON = (
    "What do {one} and {two} have in common?",
    "What is among {one} and also among {two}?",
    "Which of {one} are also among {two}?",
    "Name all of {one} that are also among {two}.",
    "Find what {one} share with {two}.",
    "Compare {one} with {two}: what do they share?",
    "List those of {one} that are also found among {two}.",
    "Tell me what {one} and {two} have in common.",
    "{one} and {two}: which are on both lists?",
)


def with_composed(pattern: Pattern, written: Sequence[str], seed: int) -> list[str]:
    """The written training phrasings and composed ones by turns: half of the questions will have either."""
    composed = composed_phrasings(pattern, seed)
    return [phrasing for pair in zip(cycle(written), composed, strict=False) for phrasing in pair]


def composed_phrasings(pattern: Pattern, seed: int, num_wanted: int = NUM_COMPOSED) -> list[str]:
    """Training phrasings of a pattern in the manner of `Pattern.phrasings`, none of which is one of those.

    The same seed gives the same. Fewer than `num_wanted` where the nouns do not give so many.
    """
    rng = random.Random(f"{seed}:composed:{pattern.name}")
    splits = split_phrasings(pattern.name, pattern.phrasings, seed)
    held_out = [_words(phrasing) for split in ("val", "test") for phrasing in splits[split]]
    known = {fold(phrasing) for phrasing in pattern.phrasings}
    made: list[str] = []
    for _ in range(num_wanted * _MAX_TRIES):
        if len(made) == num_wanted:
            break
        text = _compose(rng, pattern)
        if fold(text) not in known and not any(
            overlap(_words(text), words) > MAX_OVERLAP for words in held_out
        ):
            known.add(fold(text))
            made.append(text)
    return made


def overlap(one: frozenset[str], other: frozenset[str]) -> float:
    """Words that two texts share, as a share of the words of either (Jaccard)."""
    return len(one & other) / len(one | other)


def _compose(rng: random.Random, pattern: Pattern) -> str:
    named = [
        _noun_phrase(rng, topic, chain.topic_kind, chain.hops)
        for topic, chain in zip("ab", pattern.chains, strict=False)
    ]
    if len(named) == 1:
        words, is_many = named[0]
        return rng.choice(_FRAMES_MANY if is_many else _FRAMES).format(np=words)
    rng.shuffle(named)
    return rng.choice(_FRAMES_COMMON).format(one=named[0][0], two=named[1][0])


def _noun_phrase(
    rng: random.Random, topic: str, kind: str, hops: Sequence[tuple[str, str]]
) -> tuple[str, bool]:
    """What a chain leads to, in words, and whether that is several."""
    words = rng.choice(_TOPICS.get(kind, ("{t}",))).format(t="{" + topic + "}")
    is_many = kind == NAMESAKE
    for direction, relation in hops:
        noun = NOUNS[relation if direction == "tail" else f"~{relation}"]
        words = rng.choice(noun.many if is_many else noun.one).replace("{x}", words)
        is_many = is_many or noun.is_many
    return words, is_many


def _words(text: str) -> frozenset[str]:
    return frozenset(re.findall(r"\w+", fold(text)))
