"""The world KG: countries, capitals, borders, currencies, languages, cities, time zones and airports.

In: `WorldSources`. Out: `WorldFacts`: triples of stable entity ids, a name for each id, other names under
which an answer may be given, and the kind and the home country of each entity (the question splits need
both). The same sources give the same facts in the same order.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from kg_r1.data import world_corrections as corrections
from kg_r1.data.world_sources import (
    City,
    WorldSources,
    country_aliases,
    currency_name,
    fold,
    language_record,
)

# Characters that stand between names in an observation or an answer, or open and close a query.
_UNSAFE_NAME = re.compile(r'["|,/()\[\]<>\t\n]')
_PARENTHESIS = re.compile(r"\s*\(.*?\)")


@dataclass
class WorldFacts:
    """The graph and what is known about its entities.

    `triples` are sorted (head id, relation, tail id). `home` names the one country that an entity belongs
    to; an entity shared by several countries has none. An id reads '<kind>:<code>'.
    """

    triples: list[tuple[str, str, str]] = field(default_factory=list)
    names: dict[str, str] = field(default_factory=dict)
    aliases: dict[str, list[str]] = field(default_factory=dict)
    home: dict[str, str] = field(default_factory=dict)
    with_article: set[str] = field(default_factory=set)

    def add(self, head: str, relation: str, tail: str) -> None:
        """Adds one fact; both ends must have been named before."""
        if head not in self.names or tail not in self.names:
            raise KeyError(f"fact about an entity that was never named: {head} {relation} {tail}")
        self.triples.append((head, relation, tail))

    def name_entity(self, entity: str, name: str, aliases: Iterable[str] = ()) -> str:
        """Gives an entity its name and its other names; returns the entity's id."""
        self.names[entity] = name
        others = [alias for alias in dict.fromkeys(aliases) if alias != name and not set(alias) & set("|,")]
        if others:
            self.aliases[entity] = others
        return entity


def kind_of(entity: str) -> str:
    """'city:2988507' -> 'city'."""
    return entity.partition(":")[0]


def build_facts(sources: WorldSources) -> WorldFacts:
    """All facts of the world KG, sorted, each once."""
    facts = WorldFacts()
    codes = [code for code in sources.countries if _is_country(sources, code)]
    _add_countries(facts, sources, codes)
    _add_cities(facts, sources, set(codes))
    _add_airports(facts, sources)
    for code in codes:
        _add_country_facts(facts, sources, code)
    facts.triples = sorted(set(facts.triples))
    _drop_shared_aliases(facts)
    _find_homes(facts)
    return facts


def _is_country(sources: WorldSources, code: str) -> bool:
    return code not in corrections.FORMER_COUNTRIES and sources.countries[code]["population"] > 0


def _add_countries(facts: WorldFacts, sources: WorldSources, codes: list[str]) -> None:
    for code in codes:
        given = sources.countries[code]["name"].strip()
        name = corrections.COUNTRY_NAMES.get(code, given)
        entity = facts.name_entity(f"country:{code}", name, [given, *country_aliases(code)])
        if code in corrections.COUNTRIES_WITH_ARTICLE:
            facts.with_article.add(entity)
    for code, name in sources.continents.items():
        facts.name_entity(f"continent:{code}", name)
    for code, name in sources.us_states.items():
        facts.name_entity(f"state:US-{code}", corrections.STATE_NAMES.get(code, name), [name])
        facts.add(f"state:US-{code}", "country", "country:US")


def _add_cities(facts: WorldFacts, sources: WorldSources, codes: set[str]) -> None:
    cities = [
        city
        for city in sources.cities.values()
        if city.country in codes and not _UNSAFE_NAME.search(city.name)
    ]
    names = _city_names(cities, set(sources.capitals.values()), facts)
    for city in cities:
        name = names[city.city_id]
        entity = facts.name_entity(f"city:{city.city_id}", name, _plain_spellings(name, city.name))
        zone = facts.name_entity(f"timezone:{city.timezone}", city.timezone)
        facts.add(entity, "country", f"country:{city.country}")
        facts.add(entity, "timezone", zone)
        state = f"state:US-{city.admin1}"
        if city.country == "US" and state in facts.names:
            facts.add(entity, "state", state)


def _city_names(cities: list[City], capitals: set[str], facts: WorldFacts) -> dict[str, str]:
    """City id -> name. Countries, states and capitals keep their names alone; cities of the same name
    elsewhere carry their country's: 'London (Canada)'.

    Other namesakes stay namesakes: the graph shows them as 'Name [id]', which the agent has to cope with.
    """
    plain = {city.city_id: corrections.CITY_NAMES.get(city.city_id, city.name) for city in cities}
    country_of = {city.city_id: f"country:{city.country}" for city in cities}
    owner = {plain[key]: country_of[key] for key in plain if key in capitals}
    for entity, name in facts.names.items():
        if kind_of(entity) in {"country", "state"}:
            owner[name] = entity if kind_of(entity) == "country" else "country:US"
    names = {}
    for key, name in plain.items():
        own = owner.get(name, country_of[key])
        names[key] = name if own == country_of[key] else f"{name} ({facts.names[country_of[key]]})"
    return names


def _plain_spellings(*names: str) -> list[str]:
    """The names themselves and their spellings without accents or typographic apostrophes."""
    spellings = list(names)
    for name in names:
        straight = name.replace("’", "'").replace("‘", "'")
        letters = [c if c.isascii() else fold(c).upper() if c.isupper() else fold(c) for c in straight]
        spellings += [straight, "".join(letters)]
    return spellings


def _add_airports(facts: WorldFacts, sources: WorldSources) -> None:
    for airport in sources.airports:
        city = f"city:{airport.city_id}"
        name = airport.name.replace(" / ", " ")
        if city not in facts.names or _UNSAFE_NAME.search(name):
            continue
        entity = facts.name_entity(f"airport:{airport.iata}", name, _plain_spellings(name))
        facts.add(entity, "city_served", city)
        facts.add(entity, "iata_code", facts.name_entity(f"iata:{airport.iata}", airport.iata))
        if airport.icao:
            facts.add(entity, "icao_code", facts.name_entity(f"icao:{airport.icao}", airport.icao))


def _add_country_facts(facts: WorldFacts, sources: WorldSources, code: str) -> None:
    row, country = sources.countries[code], f"country:{code}"
    facts.add(country, "continent", f"continent:{row['continentcode']}")
    capital = f"city:{sources.capitals.get(code, '')}"
    if capital in facts.names:
        facts.add(country, "capital", capital)
    largest = _largest_city(facts, sources, code)
    if largest:
        facts.add(country, "largest_city", largest)
    for other in filter(None, row["neighbours"].split(",")):
        if f"country:{other}" in facts.names:
            # GeoNames lists nearly every border on both sides; a border has two sides in any case.
            facts.add(country, "borders", f"country:{other}")
            facts.add(f"country:{other}", "borders", country)
    _add_currency(facts, country, corrections.COUNTRY_CURRENCIES.get(code, row["currencycode"]))
    for language in _languages(sources, code):
        facts.add(country, "language", facts.name_entity(*language))
    _add_codes_and_region(facts, sources, code)


def _largest_city(facts: WorldFacts, sources: WorldSources, code: str) -> str | None:
    cities = [
        city for key, city in sources.cities.items() if city.country == code and f"city:{key}" in facts.names
    ]
    if not cities:
        return None
    largest = max(cities, key=lambda city: (city.population, -int(city.city_id)))
    return f"city:{largest.city_id}"


def _add_currency(facts: WorldFacts, country: str, code: str) -> None:
    given = currency_name(code) if code else None
    if given is None:
        return
    name = corrections.CURRENCY_NAMES.get(code, given)
    currency = facts.name_entity(f"currency:{code}", name, [given, *_plain_spellings(name)])
    facts.add(country, "currency", currency)
    facts.add(currency, "currency_code", facts.name_entity(f"currencycode:{code}", code))


def _languages(sources: WorldSources, code: str) -> list[tuple[str, str, list[str]]]:
    """(entity id, name, aliases) of a country's languages.

    countryinfo lists the official ones; where it has none, the first of GeoNames' spoken ones is taken.
    """
    spoken = [tag.partition("-")[0] for tag in sources.countries[code]["languages"].split(",") if tag]
    official = sources.country_infos.get(code, {}).get("languages") or spoken[:1]
    found = []
    for tag in corrections.COUNTRY_LANGUAGES.get(code, tuple(official)):
        record = language_record(tag)
        if record is not None:
            plain = _PARENTHESIS.sub("", record[1])
            name = corrections.LANGUAGE_NAMES.get(plain, plain)
            found.append((f"language:{record[0]}", name, [plain]))
    return found


def _add_codes_and_region(facts: WorldFacts, sources: WorldSources, code: str) -> None:
    row, country = sources.countries[code], f"country:{code}"
    number = row["phone"].strip().removeprefix("+")
    if re.fullmatch(r"\d+(-\d+)?", number):
        calling = facts.name_entity(
            f"calling:{number}", f"+{number}", [number, f"+{number.replace('-', ' ')}"]
        )
        facts.add(country, "calling_code", calling)
    if row["tld"]:
        facts.add(country, "internet_domain", facts.name_entity(f"domain:{row['tld'][1:]}", row["tld"]))
    info = sources.country_infos.get(code, {})
    given = [info.get("intermediateregion"), info.get("subregion")]
    # South America is both; as a subregion the wider one is named.
    fitting = [name for name in given if name and name not in sources.continents.values()]
    subregion = corrections.COUNTRY_SUBREGIONS.get(code, fitting[0] if fitting else None)
    if subregion:
        entity = f"subregion:{subregion.lower().replace(' ', '-')}"
        facts.add(country, "subregion", facts.name_entity(entity, subregion))


def _drop_shared_aliases(facts: WorldFacts) -> None:
    """An alias that is another entity's name would let a wrong answer count."""
    taken = {fold(name) for name in facts.names.values()}
    for entity, aliases in list(facts.aliases.items()):
        own = fold(facts.names[entity])
        kept = [alias for alias in aliases if fold(alias) == own or fold(alias) not in taken]
        facts.aliases[entity] = kept


def _find_homes(facts: WorldFacts) -> None:
    """Fills `home`: a country's own entities, and those that only they lead to."""
    owners: dict[str, set[str]] = defaultdict(set)
    for entity in facts.names:
        if kind_of(entity) == "country":
            owners[entity] = {entity}
    for wave in (_outward(facts, "country"), _outward(facts, "city"), _outward(facts, "airport", "currency")):
        for owner, owned in wave:
            owners[owned] |= owners[owner]
    facts.home = {entity: next(iter(of)) for entity, of in sorted(owners.items()) if len(of) == 1}


def _outward(facts: WorldFacts, *kinds: str) -> list[tuple[str, str]]:
    """(owner, owned) pairs of one step away from the countries, for owners of these kinds."""
    pairs = []
    for head, relation, tail in facts.triples:
        if relation in {"borders"}:
            continue
        if relation in {"country", "city_served"} and kind_of(tail) in kinds:
            pairs.append((tail, head))
        elif kind_of(head) in kinds and kind_of(tail) not in {"country", "city"}:
            pairs.append((head, tail))
    return pairs


def relation_counts(facts: WorldFacts) -> dict[str, int]:
    """Relation -> number of triples, by name."""
    return dict(sorted(Counter(relation for _, relation, _ in facts.triples).items()))
