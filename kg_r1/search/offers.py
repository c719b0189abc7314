"""What a running KG server has: its data sets and its actions.

That a server answers says nothing of whether it can answer these questions: another project's server, or one
over another folder, may listen at the address, and each search would then come back with an error.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import httpx

from kg_r1.search.access import ApiKey
from kg_r1.search.client import check_server, server_address
from kg_r1.search.errors import BadResponse, UnknownAction, UnknownDataset, listed, quoted

LOOKUP_TIMEOUT_S = 5.0


@dataclass(frozen=True)
class Offer:
    """The names of the data sets and of the actions that a server has."""

    datasets: tuple[str, ...]
    actions: tuple[str, ...]


def offer_of(search_url: str, api_key: ApiKey | None = None, timeout_s: float = LOOKUP_TIMEOUT_S) -> Offer:
    """Asks a KG server what it has.

    Args:
        search_url: the address of /retrieve.
        api_key: the key that the server asks for, if it asks for one.
        timeout_s: seconds that each of three requests may take.

    Raises:
        ServerUnavailable: no KG server answers there.
        BadResponse: it refuses the key, or does not say what it has.
        ValueError: `search_url` is not an http(s) address.
    """
    check_server(search_url, timeout_s)
    headers = {} if api_key is None else {"Authorization": api_key.header()}

    def names(path: str, field: str) -> tuple[str, ...]:
        return _names(server_address(search_url, path), field, headers, timeout_s)

    return Offer(names("/datasets", "datasets"), names("/actions", "available_actions"))


def check_offer(
    search_url: str,
    *,
    datasets: Iterable[str],
    actions: Iterable[str],
    api_key: ApiKey | None = None,
    timeout_s: float = LOOKUP_TIMEOUT_S,
) -> None:
    """Makes sure that a KG server has the data sets and the actions that will be asked of it.

    Raises:
        UnknownDataset, UnknownAction: it lacks one; the message names what is lacking and what there is.
        ServerUnavailable, BadResponse, ValueError: as `offer_of`.
    """
    offer = offer_of(search_url, api_key, timeout_s)
    if lacking := lacking_of(datasets, offer.datasets):
        raise UnknownDataset(
            f"the KG server at {search_url} has no data set {listed(map(quoted, lacking))}",
            f"Its data sets: {listed(map(quoted, offer.datasets))}. Serve the folder that has it "
            "(--base_data_path), or name the server that does",
        )
    if lacking := lacking_of(actions, offer.actions):
        raise UnknownAction(
            f"the KG server at {search_url} has no action {listed(map(quoted, lacking))}",
            f"Its actions: {listed(offer.actions)}. Enable it there (docs/more_actions.md), or offer others",
        )


def lacking_of(wanted: Iterable[str], there: Iterable[str]) -> list[str]:
    """Those of `wanted` that are not there, each once, in order."""
    present = set(there)
    return [name for name in dict.fromkeys(wanted) if name not in present]


def _names(address: httpx.URL, field: str, headers: dict[str, str], timeout_s: float) -> tuple[str, ...]:
    try:
        response = httpx.get(address, headers=headers, timeout=timeout_s, trust_env=False)
        reply = response.json()
    except httpx.HTTPError as error:
        raise BadResponse(f"{address} does not answer ({error or type(error).__name__})") from error
    except (ValueError, RecursionError) as error:
        raise BadResponse(
            f"{address} answered with what is not JSON (status {response.status_code})"
        ) from error
    names = reply.get(field) if isinstance(reply, dict) else None
    if response.status_code == httpx.codes.OK and isinstance(names, list) and all(map(_is_text, names)):
        return tuple(names)
    why = reply.get("error") if isinstance(reply, dict) else None
    raise BadResponse(
        f"{address} does not list the server's {field.removeprefix('available_')} "
        f"(status {response.status_code}{f', {why}' if why else ''})",
        "A server of an older version does not; start it again from this checkout"
        if response.status_code == httpx.codes.NOT_FOUND
        else "",
    )


def _is_text(value: object) -> bool:
    return isinstance(value, str)
