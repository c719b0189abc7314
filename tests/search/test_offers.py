"""What a server has, and that one which lacks what will be asked of it is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kg_r1.search.actions import ACTION_REGISTRY
from kg_r1.search.client import server_address
from kg_r1.search.errors import BadResponse, KGError, ServerUnavailable, UnknownAction, UnknownDataset
from kg_r1.search.offers import Offer, check_offer, offer_of
from tests.search.conftest import ServerProcess

HEALTHY = (200, b'{"status": "healthy", "service": "kg_retrieval"}')
Start = Callable[..., Any]


def listing(**fields: object) -> tuple[int, bytes]:
    return 200, json.dumps(fields).encode()


def refusal(kind: type[KGError], search_url: str, datasets: list[str], actions: list[str]) -> str:
    with pytest.raises(kind) as caught:
        check_offer(search_url, datasets=datasets, actions=actions)
    line = str(caught.value)
    assert search_url in line and "\n" not in line
    return line


def test_a_server_that_lacks_a_data_set_or_an_action_is_refused_by_name(
    base: Path, start_server: Callable[..., ServerProcess]
) -> None:
    address = start_server("--base_data_path", base, "--actions", "search_entities").address
    search_url = f"{address}/retrieve"
    assert offer_of(search_url) == Offer(("webqsp", "world"), (*ACTION_REGISTRY, "search_entities"))
    check_offer(search_url, datasets=["world", "world"], actions=["search_entities", "get_relations"])
    check_offer(f"{search_url}/", datasets=[], actions=[])
    line = refusal(UnknownDataset, search_url, ["world", "metaqa"], [])
    assert "has no data set 'metaqa'. Its data sets: 'webqsp', 'world'" in line
    line = refusal(UnknownAction, search_url, ["world"], ["find_paths", "get_relations"])
    assert "has no action 'find_paths'. Its actions: get_relations, " in line


@pytest.mark.parametrize(
    ("answers", "words"),
    [
        ([(404, b'{"error": "there is no such path"}')], "older version"),
        ([(503, b'{"error": "too many requests"}')], "status 503, too many requests"),
        ([(200, b"<html>")], "not JSON"),
        ([listing(datasets="world")], "does not list the server's datasets"),
        ([listing(datasets=["world", 5])], "does not list the server's datasets"),
        ([listing(datasets=["world"]), listing(actions=["get_relations"])], "the server's actions"),
        ([None], "does not answer"),
    ],
)
def test_a_server_that_does_not_say_what_it_has_is_refused(
    scripted_server: Start, answers: list[tuple[int, bytes] | None], words: str
) -> None:
    search_url = f"{scripted_server(HEALTHY, *answers).address}/retrieve"
    with pytest.raises(BadResponse, match=words):
        offer_of(search_url, timeout_s=0.2 if answers == [None] else 20)


def test_what_is_no_kg_server_is_not_asked(scripted_server: Start) -> None:
    other = scripted_server(listing(service="other"))
    with pytest.raises(ServerUnavailable, match="is not a KG server"):
        offer_of(f"{other.address}/retrieve")
    assert other.num_requests == 1


@pytest.mark.parametrize("end", ["/kg/retrieve", "/kg/retrieve/", "/kg", "/kg/"])
def test_the_other_paths_are_behind_the_same_prefix(end: str) -> None:
    assert str(server_address(f"http://h:1{end}", "/datasets")) == "http://h:1/kg/datasets"
