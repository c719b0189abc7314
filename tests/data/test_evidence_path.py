"""Paths are read as documented and followed to where they lead."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kg_r1.data.evidence_path import (
    Chain,
    Without,
    chains_of,
    hop_group,
    is_conjunctive,
    join_chains,
    path_ends,
    path_is_exact,
)
from kg_r1.kg.graph import Subgraph
from kg_r1.kg.paths import Hop
from kg_r1.llm_agent.question import Question

GRAPH = Subgraph.from_triples(
    [
        ("France", "borders", "Spain"),
        ("France", "borders", "Italy"),
        ("France", "borders", "Switzerland"),
        ("Austria", "borders", "Italy"),
        ("Austria", "borders", "Switzerland"),
        ("Austria", "borders", "Hungary"),
        ("Film", "directed_by", "Lee"),
        ("Other", "directed_by", "Lee"),
    ]
)
BOTH = Question(
    "q1",
    "Which countries border both France and Austria?",
    ("France", "Austria"),
    (("Italy",), ("Switzerland", "Swiss Confederation")),
    "toy",
    num_hops=2,
    path=(("tail", "borders"), ("intersect", "1"), ("tail", "borders")),
)
OTHERS = Question(
    "q2",
    "Which films share the director of Film?",
    ("Film",),
    (("Other",),),
    "toy",
    num_hops=2,
    path=(("tail", "directed_by"), ("head", "directed_by"), ("without", "0")),
)


def test_chains() -> None:
    assert chains_of(BOTH) == [
        Chain("France", (Hop("tail", "borders"),)),
        Chain("Austria", (Hop("tail", "borders"),)),
    ]
    (chain,) = chains_of(OTHERS)
    assert chain.steps == (Hop("tail", "directed_by"), Hop("head", "directed_by"), Without("Film"))
    assert chain.num_hops == 2
    assert chains_of(replace(BOTH, path=())) == []


def test_joining_is_the_inverse_of_reading() -> None:
    assert join_chains([[("tail", "borders")], [("tail", "borders")]]) == BOTH.path
    assert join_chains([[("head", "x"), ("tail", "y")]]) == (("head", "x"), ("tail", "y"))


def test_ends() -> None:
    assert GRAPH.labels(path_ends(GRAPH, BOTH)) == ["Italy", "Switzerland"]
    assert GRAPH.labels(path_ends(GRAPH, OTHERS)) == ["Other"]
    assert path_ends(GRAPH, replace(BOTH, path=())) == []


def test_exact_means_all_of_gold_and_nothing_else() -> None:
    assert path_is_exact(GRAPH, BOTH)
    assert path_is_exact(GRAPH, OTHERS)
    assert not path_is_exact(GRAPH, replace(BOTH, gold=(("Italy",),)))
    assert not path_is_exact(GRAPH, replace(BOTH, gold=(("Italy",), ("Switzerland",), ("Malta",))))
    assert not path_is_exact(GRAPH, replace(BOTH, gold=(("Italy",), ("Malta",))))
    assert not path_is_exact(GRAPH, replace(OTHERS, path=OTHERS.path[:2]))


def test_groups() -> None:
    assert is_conjunctive(BOTH)
    assert not is_conjunctive(OTHERS)
    assert [hop_group(question) for question in (BOTH, OTHERS)] == ["conjunctive", "2-hop"]
    assert hop_group(replace(OTHERS, num_hops=None)) == "unknown"


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        ((("sideways", "borders"),), "'sideways' is no direction"),
        ((("tail", "borders"), ("intersect", "2")), "no topic entity: '2'"),
        ((("tail", "borders"), ("intersect", "x")), "no topic entity: 'x'"),
        ((("tail", "borders"), ("intersect", "1")), "chain without hops"),
        ((("without", "0"),), "chain without hops"),
    ],
)
def test_a_path_that_cannot_be_read_says_why(path: tuple[tuple[str, str], ...], problem: str) -> None:
    with pytest.raises(ValueError, match=f"question q1: .*{problem}"):
        chains_of(replace(BOTH, path=path))
