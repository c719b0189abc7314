"""Which entities a text that is not quite a name finds, and in which order."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kg_r1.kg import name_search
from kg_r1.kg.graph import Subgraph
from kg_r1.kg.name_search import NameSearch, TooManyNames, key_of, name_search_of

NAMES = [
    "Paris",
    "Parish Church",
    "Paris Hilton",
    "Saint-Étienne",
    "Mount Kenya",
    "Kenya",
    "Łódź",
    "The Lord of the Rings",
    "Lord Jim",
    "!!!",
    "Côte d’Ivoire",
    "1995",
]


@pytest.fixture(scope="module")
def index() -> NameSearch:
    return NameSearch(NAMES, NAMES)


def found(index: NameSearch, query: str, max_results: int = 3) -> list[str]:
    return [NAMES[entity] for entity in index.search(query, max_results)]


@pytest.mark.parametrize(
    ("query", "first"),
    [
        ("Paris", "Paris"),
        ("PARIS", "Paris"),
        ("saint etienne", "Saint-Étienne"),
        ("Lodz", "Łódź"),
        ("cote d'ivoire", "Côte d’Ivoire"),
        ("Kenya Mount", "Mount Kenya"),
        ("Lrod of the Rigns", "The Lord of the Rings"),
        ("lord rings", "The Lord of the Rings"),
        ("The Lord", "The Lord of the Rings"),
        ("!!!", "!!!"),
        ("1995", "1995"),
        ("ℙ𝔸RIS", "Paris"),
    ],
)
def test_what_is_meant_comes_first(index: NameSearch, query: str, first: str) -> None:
    assert found(index, query)[:1] == [first]


def test_the_order_of_the_stages(index: NameSearch) -> None:
    # The same name; names that start so, the shortest first; nothing else is near.
    assert found(index, "paris") == ["Paris", "Paris Hilton", "Parish Church"]
    # The same name; then one that has the word.
    assert found(index, "kenya") == ["Kenya", "Mount Kenya"]
    # One that starts so; one that has the word; one spelt alike.
    assert found(index, "lord") == ["Lord Jim", "The Lord of the Rings", "Łódź"]


@pytest.mark.parametrize("query", ["zzzzqqqq", "?", "", "   "])
def test_nothing_like_it(index: NameSearch, query: str) -> None:
    assert index.search(query, 5) == []


def test_ties_are_in_the_order_of_labels() -> None:
    names = ["Springfield"] * 3 + ["Springfielt", "Springfielb"]
    labels = ["Springfield [q9]", "Springfield [q1]", "Springfield [q5]", "Springfielt", "Springfielb"]
    index = NameSearch(names, labels)
    assert [labels[one] for one in index.search("springfield", 5)] == [
        "Springfield [q1]",
        "Springfield [q5]",
        "Springfield [q9]",
        "Springfielb",
        "Springfielt",
    ]
    assert [labels[one] for one in index.search("Sprngfield", 2)] == ["Springfield [q1]", "Springfield [q5]"]


def test_at_most_as_many_as_asked(index: NameSearch) -> None:
    assert [len(index.search("paris", count)) for count in (1, 2, 3, 4)] == [1, 2, 3, 3]


def test_a_graph_is_searched_by_names_and_shown_by_labels() -> None:
    names = {"q1": "Paris", "q2": "Paris", "q3": "Texas"}
    graph = Subgraph.from_triples([("q1", "in", "q3"), ("q2", "in", "q3")], names)
    search = name_search_of(graph)
    assert graph.labels(search.search("pariss", 5)) == ["Paris [q1]", "Paris [q2]"]
    assert name_search_of(graph) is search
    assert search.num_bytes() > 0


def test_a_graph_too_large_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(name_search, "MAX_NAMES", 1)
    with pytest.raises(TooManyNames, match="the graph has 2 entities"):
        NameSearch.of(Subgraph.from_triples([("a", "r", "b")]))


def test_only_so_many_names_are_compared_those_nearest_in_length(monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"{'x' * length}y{'z' * length}" for length in range(4, 14)]
    index = NameSearch(names, names)
    query = "x" * 8 + "q" + "z" * 8  # as long as names[4]
    assert len(index.search(query, 20)) == 10
    monkeypatch.setattr(name_search, "MAX_SCANNED", 3)
    assert index.search(query, 20) == [4, 5, 3]


def test_only_so_many_names_of_one_prefix_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"ab{letter}" for letter in "gfedc"]
    monkeypatch.setattr(name_search, "MAX_PREFIX_HITS", 2)
    monkeypatch.setattr(name_search, "MIN_SIMILARITY", 100.0)
    index = NameSearch(names, names)
    assert [names[one] for one in index.search("ab", 5)] == ["abc", "abd"]


TEXT = st.text(alphabet="ab é-'Øß1", min_size=1, max_size=8)


@settings(max_examples=80, deadline=None)
@given(names=st.lists(TEXT, min_size=1, max_size=12, unique=True), query=TEXT, count=st.integers(1, 6))
def test_every_name_finds_itself_and_order_of_input_makes_no_difference(
    names: list[str], query: str, count: int
) -> None:
    index = NameSearch(names, names)
    again = NameSearch(names[::-1], names[::-1])
    assert [names[one] for one in index.search(query, count)] == [
        names[::-1][one] for one in again.search(query, count)
    ]
    for name in names:
        same = {other for other in names if key_of(other) == key_of(name)}
        if key_of(name):
            listed = {names[one] for one in index.search(name, len(same))}
            assert listed == same
    results = index.search(query, count)
    assert len(results) == len(set(results)) <= count


@given(text=st.text(max_size=20))
def test_keys_are_stable_and_blind_to_case_and_composition(text: str) -> None:
    assert key_of(key_of(text)) == key_of(text)
    assert key_of(unicodedata.normalize("NFD", text)) == key_of(unicodedata.normalize("NFC", text))
