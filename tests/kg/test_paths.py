"""Evidence paths on a graph small enough to walk by hand."""

from __future__ import annotations

import pytest

from kg_r1.kg.graph import Subgraph
from kg_r1.kg.paths import Hop, follow, shortest_path

FILMS = Subgraph.from_triples(
    [
        ("Heat", "directed_by", "Mann"),
        ("Ali", "directed_by", "Mann"),
        ("Heat", "starring", "Pacino"),
        ("Heat", "starring", "De Niro"),
        ("Ali", "starring", "Smith"),
        ("Ali", "year", "2001"),
        ("Heat", "year", "1995"),
        ("Heat", "wins", "Oscar"),
        ("Insomnia", "starring", "Pacino"),
    ]
)


def indices(*names: str) -> list[int]:
    return [index for name in names for index in FILMS.resolve(name)]


def labels(entities: list[int]) -> list[str]:
    return FILMS.labels(entities)


def path(topics: list[str], answers: list[str], max_hops: int = 3) -> tuple[str, list[Hop]] | None:
    found = shortest_path(FILMS, indices(*topics), indices(*answers), max_hops)
    return None if found is None else (FILMS.label(found[0]), found[1])


def test_one_hop_in_either_direction() -> None:
    assert path(["Heat"], ["Mann"]) == ("Heat", [Hop("tail", "directed_by")])
    assert path(["Mann"], ["Ali", "Heat"]) == ("Mann", [Hop("head", "directed_by")])


def test_an_exact_end_set_wins_over_a_shorter_path() -> None:
    # One hop from Pacino gives {Heat, Insomnia}; only Heat leads on to a director.
    assert path(["Pacino"], ["Mann"]) == ("Pacino", [Hop("head", "starring"), Hop("tail", "directed_by")])


def test_without_an_exact_end_set_the_best_f1_wins() -> None:
    # Heat's stars are {Pacino, De Niro}: F1 2*1/(2+2) = 1/2. By way of Mann there are three: F1 2*2/(2+3).
    assert path(["Heat"], ["Pacino", "Smith"]) == (
        "Heat",
        [Hop("tail", "directed_by"), Hop("head", "directed_by"), Hop("tail", "starring")],
    )
    assert path(["Heat"], ["Pacino", "Smith"], max_hops=2) == ("Heat", [Hop("tail", "starring")])


def test_the_topic_that_leads_there_is_named() -> None:
    assert path(["2001", "1995"], ["Oscar"]) == ("1995", [Hop("head", "year"), Hop("tail", "wins")])


def test_no_path() -> None:
    assert path(["Oscar"], ["2001"], max_hops=2) is None
    assert path(["Heat"], []) is None
    assert path([], ["Heat"]) is None
    assert path(["Heat"], ["Mann"], max_hops=0) is None


def test_a_set_too_large_to_name_is_not_walked_on_from() -> None:
    topics, answers = indices("Mann"), indices("1995", "2001")
    hops = [Hop("head", "directed_by"), Hop("tail", "year")]
    assert shortest_path(FILMS, topics, answers, max_entities=2) == (topics[0], hops)
    assert shortest_path(FILMS, topics, answers, max_entities=1) is None


def test_follow_gives_each_set_in_first_seen_order() -> None:
    sets = follow(FILMS, indices("Mann"), [Hop("head", "directed_by"), Hop("tail", "starring")])
    assert [labels(entities) for entities in sets] == [["Ali", "Heat"], ["Smith", "De Niro", "Pacino"]]
    together = follow(FILMS, indices("Insomnia", "Heat", "Heat"), [Hop("tail", "starring")])
    assert [labels(entities) for entities in together] == [["Pacino", "De Niro"]]


def test_follow_goes_on_from_nothing() -> None:
    assert follow(FILMS, indices("Oscar"), [Hop("tail", "wins"), Hop("head", "wins")]) == [[], []]
    assert follow(FILMS, indices("Oscar"), []) == []


@pytest.mark.parametrize("answers", [["Pacino"], ["Smith"], ["De Niro", "Pacino"], ["1995"]])
def test_the_path_found_ends_where_it_says(answers: list[str]) -> None:
    found = shortest_path(FILMS, indices("Mann"), indices(*answers))
    assert found is not None
    topic, hops = found
    assert set(indices(*answers)) & set(follow(FILMS, [topic], hops)[-1])
