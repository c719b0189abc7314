"""A run is refused when the graph that it would search is not the one that its questions are about."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from omegaconf import DictConfig, OmegaConf

from kg_r1.search.errors import (
    BadResponse,
    DataError,
    KGError,
    ServerUnavailable,
    UnknownAction,
    UnknownDataset,
)
from tests.search.conftest import ServerProcess
from tests.verl_ext import tiny
from tests.verl_ext.running import ROOT
from verl_ext.graph_check import check_graph
from verl_ext.settings import SearchSettings

COMMAND = [sys.executable, "-m", "kg_r1.search.kg_retrieval_server"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A graph that the questions are about, one that they are not about, a key, and the questions."""
    folder = tmp_path_factory.mktemp("graph_check")
    tiny.write_graph(folder / "data_kg")
    (folder / "other" / "moon").mkdir(parents=True)
    (folder / "other" / "moon" / "triples.tsv").write_text("a\tb\tc\n", encoding="utf-8")
    (folder / "key").write_text("a-key-for-tests")
    (folder / "key").chmod(0o600)
    tiny.write_rows(folder / "rows")
    return folder


@pytest.fixture(scope="module")
def urls(folder: Path) -> Iterator[dict[str, str]]:
    """The search_url of a server over each folder; that over the right one wants a key."""
    keyed = ["--api_key_file", str(folder / "key")]
    servers = {
        name: ServerProcess([*COMMAND, "--base_data_path", str(folder / name), *more], ROOT)
        for name, more in (("data_kg", keyed), ("other", []))
    }
    yield {name: f"{server.address}/retrieve" for name, server in servers.items()}
    for server in servers.values():
        server.stop()


def config_of(folder: Path) -> DictConfig:
    train, val = folder / "rows" / "train.parquet", folder / "rows" / "val.parquet"
    return OmegaConf.create({"data": {"train_files": str(train), "val_files": [str(val)]}})


def refusal(folder: Path, search: SearchSettings, kind: type[KGError]) -> str:
    with pytest.raises(kind) as caught:
        check_graph(config_of(folder), search)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_the_server_has_the_data_sets_and_the_actions(folder: Path, urls: dict[str, str]) -> None:
    key = str(folder / "key")
    check_graph(config_of(folder), SearchSettings(search_url=urls["data_kg"], api_key_file=key))
    line = refusal(folder, SearchSettings(search_url=urls["other"]), UnknownDataset)
    assert f"{urls['other']} has no data set 'capitals'. Its data sets: 'moon'" in line
    offered = ("get_relations", "find_paths")
    search = SearchSettings(search_url=urls["data_kg"], api_key_file=key, actions=offered)
    assert "has no action 'find_paths'" in refusal(folder, search, UnknownAction)
    assert "status 401" in refusal(folder, SearchSettings(search_url=urls["data_kg"]), BadResponse)


def test_a_folder_searched_in_this_process_is_asked_as_well(folder: Path) -> None:
    check_graph(config_of(folder), SearchSettings(base_data_path=str(folder / "data_kg")))
    line = refusal(folder, SearchSettings(base_data_path=str(folder / "other")), UnknownDataset)
    assert "has no data set 'capitals'. Its data sets: 'moon'" in line
    assert "no folder" in refusal(folder, SearchSettings(base_data_path=str(folder / "none")), DataError)


def test_every_file_of_questions_counts(folder: Path) -> None:
    config = config_of(folder)
    (folder / "words.parquet").write_text("no parquet")
    config.data.val_files.append(str(folder / "words.parquet"))
    with pytest.raises(DataError, match=r"words\.parquet: has no readable column data_source"):
        check_graph(config, SearchSettings(base_data_path=str(folder / "data_kg")))


def test_a_run_that_never_searches_needs_no_graph(folder: Path) -> None:
    down = "http://127.0.0.1:1/retrieve"
    check_graph(config_of(folder), SearchSettings(enable=False, search_url=down))
    refusal(folder, SearchSettings(search_url=down), ServerUnavailable)
