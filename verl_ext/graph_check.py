"""Whether the graph that episodes will search is the one that the questions are about."""

from __future__ import annotations

from pathlib import Path

from omegaconf import DictConfig

from kg_r1.data.rows import dataset_names
from kg_r1.kg.store import GraphStore
from kg_r1.search.access import read_key
from kg_r1.search.actions import ACTION_REGISTRY, ActionRegistry
from kg_r1.search.errors import UnknownDataset, listed, quoted
from kg_r1.search.offers import check_offer, lacking_of
from verl_ext.settings import SearchSettings

DATA_KEYS = ("train_files", "val_files")


def check_graph(config: DictConfig, search: SearchSettings) -> None:
    """Refuse a server, or a folder, that lacks a data set of the questions or an action on offer.

    Every search of such a run would come back with an error, and the run would go on all the same.

    Raises:
        UnknownDataset, UnknownAction: for what is lacking.
        ServerUnavailable, BadResponse: for a server that does not answer, or does not say what it has.
        DataError: for a file that holds no questions, and a folder of data sets that is none.
    """
    if not search.enable:
        return
    files = [config.data[key] for key in DATA_KEYS]
    paths = [name for names in files for name in ([names] if isinstance(names, str) else names)]
    datasets = sorted({name for path in paths for name in dataset_names(Path(path))})
    if search.base_data_path is None:
        key = read_key(Path(search.api_key_file), None) if search.api_key_file is not None else None
        actions = search.actions or _registered()
        check_offer(search.search_url, datasets=datasets, actions=actions, api_key=key)
        return
    there = GraphStore(Path(search.base_data_path)).datasets()
    if lacking := lacking_of(datasets, there):
        raise UnknownDataset(
            f"base_data_path={search.base_data_path} has no data set {listed(map(quoted, lacking))}",
            f"Its data sets: {listed(map(quoted, there))}",
        )


def _registered() -> list[str]:
    """The actions that episodes offer where the profile names none."""
    registry = ActionRegistry(ACTION_REGISTRY)
    registry.load_entry_points()
    return list(registry)
