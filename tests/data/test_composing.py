"""Composed phrasings: whole, of the right topics, and never near a held-out one."""

from __future__ import annotations

import re

import pytest

from kg_r1.data.composing import NOUNS, NUM_COMPOSED, composed_phrasings, overlap, with_composed
from kg_r1.data.patterns import Pattern
from kg_r1.data.splits import split_phrasings
from kg_r1.data.world_questions import PATTERNS
from kg_r1.data.world_sources import fold


@pytest.mark.parametrize("pattern", PATTERNS, ids=lambda pattern: pattern.name)
def test_a_composed_phrasing_asks_of_every_topic_once_and_is_new(pattern: Pattern) -> None:
    composed = composed_phrasings(pattern, seed=0)
    assert len(composed) == len({fold(text) for text in composed}) == NUM_COMPOSED
    written = {fold(text) for text in pattern.phrasings}
    for text in composed:
        assert sorted(re.findall(r"\{(.*?)\}", text)) == list("ab"[: len(pattern.chains)])
        assert fold(text) not in written
    assert composed == composed_phrasings(pattern, seed=0) != composed_phrasings(pattern, seed=1)


@pytest.mark.parametrize("pattern", PATTERNS, ids=lambda pattern: pattern.name)
def test_no_composed_phrasing_is_near_a_held_out_one(pattern: Pattern) -> None:
    splits = split_phrasings(pattern.name, pattern.phrasings, 0)
    for text in composed_phrasings(pattern, seed=0):
        words = set(re.findall(r"\w+", fold(text)))
        for held_out in [*splits["val"], *splits["test"]]:
            other = set(re.findall(r"\w+", fold(held_out)))
            assert len(words & other) <= 0.7 * len(words | other), (text, held_out)


def test_every_word_is_one_that_training_may_know() -> None:
    """A word that only validation or test phrasings have would give away what they are kept apart for."""
    words: dict[str, set[str]] = {"train": set(), "val": set(), "test": set(), "composed": set()}
    for pattern in PATTERNS:
        splits = {
            **split_phrasings(pattern.name, pattern.phrasings, 0),
            "composed": composed_phrasings(pattern, 0),
        }
        for split, texts in splits.items():
            words[split].update(word for text in texts for word in re.findall(r"[a-z]+", fold(text)))
    assert not words["composed"] & ((words["val"] | words["test"]) - words["train"])


def test_every_hop_of_every_pattern_has_a_noun() -> None:
    hops = {hop for pattern in PATTERNS for chain in pattern.chains for hop in chain.hops}
    assert {relation if direction == "tail" else f"~{relation}" for direction, relation in hops} == set(NOUNS)


def test_written_and_composed_phrasings_take_turns() -> None:
    pattern = PATTERNS[0]
    mixed = with_composed(pattern, ["w {a}", "v {a}"], seed=0)
    assert mixed[::2] == ["w {a}", "v {a}"] * (NUM_COMPOSED // 2)
    assert mixed[1::2] == composed_phrasings(pattern, seed=0)


def test_overlap_is_a_share_of_words() -> None:
    assert overlap(frozenset("abc"), frozenset("abc")) == 1.0
    assert overlap(frozenset("ab"), frozenset("bc")) == 1 / 3
