"""Compiles a raw data set into a store of mapped files: ``kg-r1 build store``."""

from __future__ import annotations

from pathlib import Path

from kg_r1.kg.compiled.build import build_store
from kg_r1.kg.compiled.cache import fingerprint
from kg_r1.kg.compiled.file_set import read_manifest
from kg_r1.kg.compiled.source import CompiledSource
from kg_r1.kg.errors import DataError, UnknownDataset, listed, quoted
from kg_r1.kg.readers import find_format
from kg_r1.kg.store import GraphStore


def compile_dataset(base_data_path: Path, dataset_name: str, out: Path, max_memory_mib: int) -> str:
    """Writes the store of a data set as a folder that the server serves as it lies.

    Args:
        base_data_path: the folder of the data sets.
        dataset_name: the raw data set.
        out: the folder to make, such as `stores/world`; `stores` is then a data path of its own.
        max_memory_mib: MiB that sorting may take before it goes to the disk beside `out`.

    Returns:
        What was built, as text.

    Raises:
        UnknownDataset: there is no such data set.
        DataError: a file cannot be read, the data set is compiled already, or `out` exists.
    """
    store = GraphStore(base_data_path)
    folder = base_data_path / dataset_name
    form = find_format(folder) if dataset_name in store.datasets() else None
    if form is None:
        known = listed(map(quoted, store.datasets()))
        raise UnknownDataset(f"there is no data set {quoted(dataset_name)}", f"Data sets: {known}")
    if out.exists():
        raise DataError(f"{out} exists", "Name a folder that does not, or remove it")
    try:
        source = form.opened_triples(folder)
        build_store(source, out, fingerprint(form, folder), max_memory_mib, show_progress=True)
    except OSError as error:
        raise DataError(f"{out}: cannot be written ({error.strerror or error})") from error
    return describe_store(out)


def describe_store(folder: Path) -> str:
    """Checks every file of a store against its checksum and says what it holds.

    Raises:
        StoreError: the store cannot be used.
    """
    CompiledSource(folder, folder.name)
    facts = read_manifest(folder)
    num_bytes = sum(section["num_bytes"] for section in facts["sections"].values())
    num_triples = facts["num_triples"]
    a_triple = f", {num_bytes / num_triples:.1f} a triple" if num_triples else ""
    graphs = "one shared graph" if facts["is_shared"] else f"{facts['num_samples']:,} graphs"
    return (
        f"{folder}: {graphs}, {num_triples:,} triples, {facts['num_entities']:,} entities, "
        f"{facts['num_relations']:,} relations; {num_bytes:,} bytes{a_triple}"
    )
