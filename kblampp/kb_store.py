"""Facts as arrays on disk, memory-mapped: a million of them cost no memory until they are looked at."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kblampp.errors import ArtefactMissing, ArtefactStale
from kblampp.files import write_text
from kblampp.quintuples import Quintuple

FORMAT = 2
MANIFEST = "manifest.json"
NO_ENTITY = -1
NO_TOKEN = -1
ARRAYS = {
    "K": "float16 [N, d]: the key, the vector of 'relation of head'",
    "V": "float16 [N, d]: the vector of the tail",
    "ctx": "float16 [N, d]: the vector of the context sentence",
    "R": "float16 [num_relations, d]: the vector of a relation's name",
    "tail_ids": "int32 [N, m]: the backbone's tokens of tail or statement, and the one that ends an answer",
    "name_words": "int32 [N, MAX_WORDS]: the words of the head as numbers",
    "times": "int32 [N, 2]: first and last day",
    "entities": "int32 [N, 2]: head and tail as numbers; a tail that is no head of a fact is NO_ENTITY",
    "relations": "int32 [N]: the relation as a number",
    "by_head": "int32 [N]: the facts ordered by head",
    "head_starts": "int64 [num_heads + 1]: where in by_head the facts of a head begin",
    "offsets": "int64 [N]: where in facts.jsonl a fact begins",
}
FACTS = "facts.jsonl"
RELATIONS = "relations.json"
"""The names of the relations, by number."""
FILES = (*(f"{name}.npy" for name in ARRAYS), FACTS, RELATIONS)


@dataclass(frozen=True)
class Manifest:
    """What a store was made from, and what it holds."""

    format: int
    num_facts: int
    d: int
    facts_sha256: str
    encoder: str
    encoder_recipe: dict[str, Any]
    backbone: str
    tokenizer_sha256: str
    answer_style: str
    max_tail_tokens: int
    num_cut_tails: int
    """Tails longer than that; they cannot be answered whole."""
    checksums: dict[str, str]
    value_text: str
    """Whose tokens `tail_ids` has, as `store.value_text` says."""


@dataclass(frozen=True)
class FactTensors:
    """The chosen facts of a batch of questions: B questions, K facts each, m value slots, d dimensions."""

    rows: Tensor  # int64 [B, K]
    keys: Tensor  # float32 [B, K, d], of length 1
    contexts: Tensor  # float32 [B, K, d]
    tails: Tensor  # float32 [B, K, d]
    tail_ids: Tensor  # int64 [B, K, m]
    times: Tensor  # int64 [B, K, 2]
    name_words: Tensor  # int64 [B, K, MAX_WORDS]
    entities: Tensor  # int64 [B, K, 2]
    relation_vectors: Tensor  # float32 [B, K, d]

    def pick(self, places: Tensor) -> FactTensors:
        """Those at `places` (int64 [B, k]) of each question."""

        def picked(value: Tensor) -> Tensor:
            index = places.reshape(*places.shape, *(1,) * (value.dim() - 2))
            return value.gather(1, index.expand(*places.shape, *value.shape[2:]))

        return FactTensors(*(picked(getattr(self, name)) for name in self.__dataclass_fields__))


class KBStore:
    """A folder that `encode_kv` made.

    Args:
        folder: with manifest, arrays and facts.
        verify: compares every file's checksum with the manifest's; takes seconds for a million facts.

    Raises:
        ArtefactMissing: a file is not there.
        ArtefactStale: the format is another one, or a file is not the one that the manifest tells of.
    """

    def __init__(self, folder: Path, *, verify: bool = False) -> None:
        self.folder = folder
        self.manifest = read_manifest(folder)
        for name in FILES:
            path = folder / name
            if not path.is_file():
                raise ArtefactMissing(f"{path} is not there; python -m kblampp.offline.encode_kv makes it")
            if verify and sha256_of(path) != self.manifest.checksums.get(name):
                raise ArtefactStale(f"{path} is not the file of {MANIFEST}; encode the facts anew")
        self._arrays = {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in ARRAYS}
        self._facts = (folder / FACTS).open("rb")

    def __len__(self) -> int:
        return self.manifest.num_facts

    def array(self, name: str) -> np.ndarray:
        """One of `ARRAYS`, memory-mapped."""
        return self._arrays[name]

    def fact(self, row: int) -> Quintuple:
        """The fact of a row, read from disk."""
        if not 0 <= row < len(self):
            raise IndexError(f"there is no row {row}; there are {len(self)}")
        self._facts.seek(int(self._arrays["offsets"][row]))
        return Quintuple.from_json(json.loads(self._facts.readline()))

    @cached_property
    def relation_names(self) -> list[str]:
        """The relations, by number."""
        names: list[str] = json.loads((self.folder / RELATIONS).read_text(encoding="utf-8"))
        return names

    @cached_property
    def row_of(self) -> dict[str, int]:
        """Row by id; reads all facts the first time."""
        with (self.folder / FACTS).open(encoding="utf-8") as file:
            return {json.loads(line)["id"]: row for row, line in enumerate(file)}

    def with_head(self, entity: int) -> np.ndarray:
        """The rows of the facts whose head is that entity."""
        starts = self._arrays["head_starts"]
        if not 0 <= entity < len(starts) - 1:
            return np.empty(0, dtype=np.int32)
        return self._arrays["by_head"][starts[entity] : starts[entity + 1]]

    def take(self, rows: np.ndarray, device: torch.device | str = "cpu") -> FactTensors:
        """The facts of rows (int [B, K]) as tensors."""

        def floats(name: str, at: np.ndarray) -> Tensor:
            return torch.from_numpy(self._arrays[name][at].astype(np.float32)).to(device)

        def integers(name: str) -> Tensor:
            return torch.from_numpy(self._arrays[name][rows].astype(np.int64)).to(device)

        return FactTensors(
            rows=torch.from_numpy(rows.astype(np.int64)).to(device),
            keys=floats("K", rows),
            contexts=floats("ctx", rows),
            tails=floats("V", rows),
            tail_ids=integers("tail_ids"),
            times=integers("times"),
            name_words=integers("name_words"),
            entities=integers("entities"),
            relation_vectors=floats("R", self._arrays["relations"][rows]),
        )

    def close(self) -> None:
        """Closes the file of facts."""
        self._facts.close()


def read_manifest(folder: Path) -> Manifest:
    """Raises ArtefactMissing when there is none, ArtefactStale when it is of another format."""
    path = folder / MANIFEST
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ArtefactMissing(
            f"{path} is not there; python -m kblampp.offline.run_pipeline --steps encode makes it"
        ) from error
    except json.JSONDecodeError as error:
        raise ArtefactStale(f"{path}: not JSON ({error.msg}); encode the facts anew") from error
    # Stores made before statements were kept do not say what their tokens are of: tails.
    record = {"value_text": "tail"} | record
    if record.get("format") != FORMAT or set(record) != set(Manifest.__dataclass_fields__):
        raise ArtefactStale(
            f"{path} is of format {record.get('format')!r}, not {FORMAT}; encode the facts anew"
        )
    return Manifest(**record)


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """The last file of a store that is written: without it there is no store."""
    write_text(folder / MANIFEST, json.dumps(asdict(manifest), indent=1) + "\n")


def sha256_of(path: Path) -> str:
    """Hex digest of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
