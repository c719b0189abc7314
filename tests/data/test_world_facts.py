"""The world KG says what is so. Every expected value here was looked up by hand, not taken from the build."""

from __future__ import annotations

from collections import Counter

import pytest

from kg_r1.data import world_corrections as corrections
from kg_r1.data.world_facts import WorldFacts, kind_of
from kg_r1.data.world_sources import fold, load_sources
from tests.data.conftest import World


def test_it_is_large_enough(world: World) -> None:
    assert world.graph.num_triples >= 20_000
    assert world.graph.num_triples == len(world.facts.triples) == len(set(world.facts.triples))


@pytest.mark.parametrize(
    ("name", "relation", "expected"),
    [
        ("France", "capital", ["Paris"]),
        ("United Kingdom", "capital", ["London"]),
        ("United States", "capital", ["Washington D.C."]),
        ("Kazakhstan", "capital", ["Astana"]),
        ("Japan", "currency", ["Yen"]),
        ("Bulgaria", "currency", ["Euro"]),
        ("Switzerland", "language", ["French", "German", "Italian"]),
        ("Aruba", "language", ["Dutch", "Papiamento"]),
        ("Cyprus", "language", ["Greek", "Turkish"]),
        ("Serbia", "language", ["Serbian"]),
        ("Portugal", "borders", ["Spain"]),
        ("Spain", "borders", ["Andorra", "France", "Gibraltar [country:GI]", "Morocco", "Portugal"]),
        ("Kenya", "continent", ["Africa"]),
        ("Kenya", "subregion", ["Eastern Africa"]),
        ("Brazil", "subregion", ["Latin America and the Caribbean"]),
        ("Brazil", "largest_city", ["São Paulo"]),
        ("Norway", "calling_code", ["+47"]),
        ("United Kingdom", "internet_domain", [".uk"]),
        ("Paris", "country", ["France"]),
        ("Paris", "timezone", ["Europe/Paris"]),
        ("London (Canada)", "country", ["Canada"]),
        ("Houston", "state", ["Texas"]),
        ("Texas", "country", ["United States"]),
        ("Charles de Gaulle International Airport", "city_served", ["Paris"]),
        ("Charles de Gaulle International Airport", "iata_code", ["CDG"]),
        ("Charles de Gaulle International Airport", "icao_code", ["LFPG"]),
        ("Swiss Franc", "currency_code", ["CHF"]),
    ],
)
def test_known_facts(world: World, name: str, relation: str, expected: list[str]) -> None:
    assert world.ends(name, relation) == expected


def test_known_facts_the_other_way_round(world: World) -> None:
    assert world.ends("Paris", "capital", "head") == ["France"]
    assert world.ends("Swiss Franc", "currency", "head") == ["Liechtenstein", "Switzerland"]
    assert world.ends("CDG", "iata_code", "head") == ["Charles de Gaulle International Airport"]
    assert "Spain" in world.ends("France", "borders", "head")


def test_ids_are_those_of_the_sources(world: World) -> None:
    names = world.facts.names
    assert names["country:FR"] == "France"
    assert names["city:2988507"] == "Paris"
    assert names["airport:CDG"] == "Charles de Gaulle International Airport"
    assert names["language:fra"] == "French"


def test_borders_have_two_sides_and_no_country_borders_itself(world: World) -> None:
    borders = {(head, tail) for head, relation, tail in world.facts.triples if relation == "borders"}
    assert borders
    assert all((tail, head) in borders and head != tail for head, tail in borders)


def test_former_countries_and_empty_places_are_left_out(world: World) -> None:
    assert not {f"country:{code}" for code in ("AN", "CS", "AQ", "BV")} & set(world.facts.names)


@pytest.mark.parametrize(
    "relation",
    ["continent", "capital", "largest_city", "currency", "calling_code", "internet_domain", "subregion"],
)
def test_a_country_has_at_most_one_of_each(world: World, relation: str) -> None:
    heads = Counter(head for head, name, _ in world.facts.triples if name == relation)
    assert max(heads.values()) == 1
    assert len(heads) > 230


def test_no_country_shares_its_name_with_a_city_abroad(world: World) -> None:
    facts = world.facts
    countries = {facts.names[entity]: entity for entity in facts.names if kind_of(entity) == "country"}
    for entity, name in facts.names.items():
        if kind_of(entity) == "city" and name in countries:
            assert facts.home[entity] == countries[name]


def test_no_name_can_break_a_query_or_an_observation(world: World) -> None:
    assert not [name for name in world.facts.names.values() if set(name) & set('"|<>[]\t\n') or not name]


def test_homes(world: World) -> None:
    home = world.facts.home
    for entity in ("city:2988507", "airport:CDG", "iata:CDG", "icao:LFPG", "domain:fr", "country:FR"):
        assert home[entity] == "country:FR"
    assert home["currency:JPY"] == home["currencycode:JPY"] == "country:JP"
    assert "currency:EUR" not in home
    assert "language:fra" not in home
    assert "continent:EU" not in home


def test_aliases_never_name_another_entity(world: World) -> None:
    by_name = {fold(name): entity for entity, name in world.facts.names.items()}
    for entity, aliases in world.facts.aliases.items():
        own = fold(world.facts.names[entity])
        assert all(fold(alias) == own or fold(alias) not in by_name for alias in aliases)
    assert "United States of America" in world.facts.aliases["country:US"]
    assert "Sao Paulo" in world.facts.aliases["city:3448439"]
    assert "Türkiye" in world.facts.aliases["country:TR"]


def test_a_fact_about_an_entity_without_name_is_refused() -> None:
    facts = WorldFacts()
    facts.name_entity("country:FR", "France")
    with pytest.raises(KeyError, match="city:1"):
        facts.add("country:FR", "capital", "city:1")


def test_every_correction_is_about_something_the_sources_have() -> None:
    sources = load_sources()
    for table in (
        corrections.COUNTRY_NAMES,
        corrections.COUNTRY_LANGUAGES,
        corrections.COUNTRY_CURRENCIES,
        corrections.COUNTRY_SUBREGIONS,
        corrections.COUNTRIES_WITH_ARTICLE,
        corrections.FORMER_COUNTRIES,
    ):
        assert set(table) <= set(sources.countries)
    assert set(corrections.CITY_NAMES) <= set(sources.cities)
    assert set(corrections.STATE_NAMES) <= set(sources.us_states)
