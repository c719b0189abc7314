"""Graphs of the world KG: what is a node, an edge and a label; and no text has a word of a label in it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from kblampp.zerog.errors import FileError, LabelLeak
from kblampp.zerog.graph import TextGraph
from kblampp.zerog.leaks import label_pattern, refuse_leaks, without_labels
from kblampp.zerog.world import GRAPHS, WorldKG, countries, kinds, places, read_world

ROOT = Path(__file__).resolve().parents[3]
TRIPLES = """\
airport:CPT\tcity_served\tcity:1
airport:CPT\tiata_code\tiata:CPT
airport:EAP\tcity_served\tcity:3
city:1\tcountry\tcountry:ZA
city:2\tcountry\tcountry:ZA
city:3\tcountry\tcountry:FR
country:FR\tcapital\tcity:4
city:4\tcountry\tcountry:FR
country:FR\tcontinent\tcontinent:EU
country:FR\tcurrency\tcurrency:EUR
country:LS\tborders\tcountry:ZA
country:LS\tcontinent\tcontinent:AF
country:ZA\tborders\tcountry:LS
country:ZA\tcapital\tcity:2
country:ZA\tcontinent\tcontinent:AF
country:ZA\tcurrency\tcurrency:ZAR
country:ZA\tlanguage\tlanguage:afr
currency:ZAR\tcurrency_code\tcurrencycode:ZAR
city:1\ttimezone\ttimezone:Africa/Johannesburg
"""
NAMES = """\
airport:CPT\tCape Town African Airport
airport:EAP\tEuroAirport Basel
iata:CPT\tCPT
city:1\tCape Town
city:2\tPretoria
city:3\tMulhouse
city:4\tParis City
country:FR\tFrance
country:LS\tLesotho
country:ZA\tSouth Africa
continent:EU\tEurope
continent:AF\tAfrica
currency:EUR\tEuro
currency:ZAR\tSouth African Rand
currencycode:ZAR\tZAR
language:afr\tAfrikaans
timezone:Africa/Johannesburg\tAfrica/Johannesburg
"""


@pytest.fixture
def kg(tmp_path: Path) -> WorldKG:
    (tmp_path / "triples.tsv").write_text(TRIPLES, encoding="utf-8")
    (tmp_path / "names.tsv").write_text(NAMES, encoding="utf-8")
    return read_world(tmp_path)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> WorldKG:
    """The real one, built as a user builds it."""
    out = tmp_path_factory.mktemp("data_kg")
    command = [sys.executable, "-m", "kg_r1.data.build", "world", "--out", str(out)]
    subprocess.run(command, check=True, capture_output=True, cwd=ROOT)
    return read_world(out / "world")


def labels_of(graph: TextGraph) -> list[str]:
    return [graph.label_names[label] for label in graph.y.tolist()]


def edges_of(graph: TextGraph) -> set[tuple[str, str]]:
    return {
        (graph.texts[a].split(".")[0], graph.texts[b].split(".")[0]) for a, b in graph.edge_index.T.tolist()
    }


def test_countries_have_facts_borders_and_a_continent(kg: WorldKG) -> None:
    graph = countries(kg)
    assert graph.texts == (
        "France. Capital: Paris City. Money: Euro.",
        "Lesotho.",
        "South. Capital: Pretoria. Money: South Rand. Spoken: Afrikaans.",
    )
    assert labels_of(graph) == ["Europe", "Africa", "Africa"]
    assert edges_of(graph) == {("Lesotho", "South"), ("South", "Lesotho")}


def test_places_are_airports_cities_and_capitals_and_share_no_node_with_countries(kg: WorldKG) -> None:
    graph = places(kg)
    assert graph.texts == (
        "Cape Town Airport. Codes: CPT.",
        "EuroAirport Basel.",
        "Cape Town. South.",
        "Pretoria. South.",
        "Mulhouse. France.",
        "Paris City. France.",
    )
    assert labels_of(graph) == ["Africa", "Europe", "Africa", "Africa", "Europe", "Europe"]
    assert edges_of(graph) == {
        ("Cape Town Airport", "Cape Town"),
        ("EuroAirport Basel", "Mulhouse"),
        ("Cape Town", "Pretoria"),
        ("Mulhouse", "Paris City"),
    }


def test_kinds_are_told_by_no_word_of_the_text(kg: WorldKG) -> None:
    graph = kinds(kg)
    kind_of = dict(zip(graph.texts, labels_of(graph), strict=True))
    assert kind_of == {
        "Cape Town African. CPT": "airport",
        "Basel.": "airport",
        "Cape Town.": "city",
        "Mulhouse.": "city",
        "France.": "country",
        "Lesotho.": "country",
        "South Africa.": "country",
        "Euro.": "currency",
        "South African Rand. ZAR": "currency",
        "Afrikaans.": "language",
        "Africa/Johannesburg.": "time zone",
    }


def test_a_continent_is_no_node_and_a_fact_about_one_no_text(kg: WorldKG) -> None:
    for build in GRAPHS.values():
        graph = build(kg)
        assert not any(name in graph.label_names for name in graph.texts)


@pytest.mark.parametrize("name", GRAPHS)
def test_no_text_of_the_real_graphs_has_a_word_of_a_label(world: WorldKG, name: str) -> None:
    graph = GRAPHS[name](world)
    words = ("africa", "antarctic", "asia", "europe", "america", "oceania")
    if name == "kinds":
        words = ("country", "city", "cities", "airport", "currency", "language", "time zone")
    for text in (*graph.texts, graph.description):
        assert not [word for word in words if word in text.casefold()], text
    assert graph.num_nodes > 200
    assert len(set(labels_of(graph))) == graph.num_labels >= 6


@pytest.mark.parametrize("name", ["places", "kinds", "countries"])
def test_the_real_graphs_are_drawn_by_the_seed_within_the_limit(world: WorldKG, name: str) -> None:
    graphs = [GRAPHS[name](world, seed=seed, max_nodes=90) for seed in (0, 0, 1)]
    assert graphs[0].fingerprint() == graphs[1].fingerprint() != graphs[2].fingerprint()
    assert torch.equal(graphs[0].val_mask, graphs[1].val_mask)
    assert graphs[0].num_nodes <= (180 if name == "places" else 90)  # capitals come on top


def test_countries_and_places_share_no_text(world: WorldKG) -> None:
    assert not set(countries(world).texts) & set(places(world).texts)


def test_words_of_labels_are_removed_in_their_other_forms() -> None:
    pattern = label_pattern(["North America", "Africa", "city"])
    text = "Pan-American, northern AFRICAN and Afro-Asian cities of Velocity Northland"
    assert without_labels(text, pattern) == "Pan-, northern and Afro-Asian of Northland"
    assert without_labels("Africa", pattern) == "unnamed"


def test_a_text_with_a_label_and_a_label_without_a_word_are_refused() -> None:
    with pytest.raises(LabelLeak, match=r"g: texts\[1\] says 'Africans'"):
        refuse_leaks("g", ["Lesotho", "the Africans"], label_pattern(["Africa", "Asia"]))
    with pytest.raises(LabelLeak, match="'the North' has no word"):
        label_pattern(["the North", "Asia"])


def test_a_malformed_export_is_named_by_file_and_line(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"names\.tsv: cannot be read .* python -m kg_r1.data.build world"):
        read_world(tmp_path)
    (tmp_path / "names.tsv").write_text("a:1\tone\na:2\n")
    with pytest.raises(FileError, match=r"names\.tsv:2: has 1 fields where 2 belong"):
        read_world(tmp_path)
    (tmp_path / "names.tsv").write_text("a:1\tone\n")
    (tmp_path / "triples.tsv").write_text("a:1\tr\ta:1\na:1\tr\tb:1\n")
    with pytest.raises(FileError, match=r"triples\.tsv:2: 'b:1' has no name"):
        read_world(tmp_path)
