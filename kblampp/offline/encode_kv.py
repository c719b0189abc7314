"""Facts to vectors: `python -m kblampp.offline.encode_kv --config configs/synth_world.yaml`.

Works through the facts in parts and remembers how far it came, so that an interrupted run goes on where it
stopped. The manifest is written last: a folder without one is not a store.
"""

from __future__ import annotations

import argparse
import json
import logging
import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from kblampp.answer_format import AnswerFormat
from kblampp.command import run
from kblampp.config import Config, add_config_flags, config_from_flags
from kblampp.encoders.loading import load_encoder
from kblampp.encoders.text_encoder import TextEncoder
from kblampp.files import write_text
from kblampp.kb_store import (
    ARRAYS,
    FACTS,
    FILES,
    FORMAT,
    NO_ENTITY,
    NO_TOKEN,
    RELATIONS,
    Manifest,
    sha256_of,
    write_manifest,
)
from kblampp.loading import load_answer_format
from kblampp.name_words import MAX_WORDS, hashed_words
from kblampp.quintuples import Quintuple, read_quintuples
from kblampp.time_features import as_days

logger = logging.getLogger(__name__)
_PART = 4096
_PROGRESS = "progress.json"


def key_text(fact: Quintuple) -> str:
    """What a key is the vector of. The tail stays out: with it fewer questions find their fact."""
    return f"{fact.relation} of {fact.head}"


@dataclass(frozen=True)
class Encoded:
    """How it went."""

    folder: Path
    num_facts: int
    num_encoded: int
    """In this run; fewer than all when an earlier run was interrupted."""
    seconds: float


def store_recipe(config: Config, encoder: TextEncoder, answers: AnswerFormat) -> dict[str, Any]:
    """All but the facts that the arrays depend on."""
    return {
        "encoder": config.embedding_model,
        "encoder_recipe": {"revision": encoder.revision, "pooling": encoder.pooling},
        "backbone": config.backbone,
        "tokenizer_sha256": answers.digest,
        "answer_style": answers.style,
        "max_tail_tokens": config.store.max_tail_tokens,
        "value_text": config.store.value_text,
    }


def encode_facts(config: Config, encoder: TextEncoder, answers: AnswerFormat) -> Encoded:
    """Makes the store of the config's facts.

    Raises:
        DataError: the facts cannot be read.
        ConfigError: the encoder's vectors are not of d_k dimensions.
    """
    started = time.perf_counter()
    facts_path, folder = Path(config.train_5tuple_path), Path(config.store.path)
    facts = read_quintuples(facts_path)
    recipe = store_recipe(config, encoder, answers) | {"facts_sha256": sha256_of(facts_path)}
    partial = folder.parent / f".{folder.name}-partial"
    vocabulary = _Vocabulary(facts)
    shapes = _shapes(len(facts), vocabulary, encoder.dim, config.store.max_tail_tokens + 1)
    arrays, num_done = _open_arrays(partial, recipe, shapes)
    starts = range(num_done, len(facts), _PART)
    num_cut = _progress(partial).get("num_cut_tails", 0)
    for start in tqdm(starts, desc="encoding", unit="part", file=sys.stderr, disable=not starts):
        part = facts[start : start + _PART]
        _fill(arrays, start, part, encoder, vocabulary)
        texts = [fact.statement if config.store.value_text == "statement" else fact.tail for fact in part]
        num_cut += _fill_tokens(arrays["tail_ids"], start, texts, answers)
        for array in arrays.values():
            array.flush()
        _note(partial, recipe, min(start + _PART, len(facts)), num_cut)
    arrays["R"][:] = _unit(encoder, vocabulary.relation_names)
    _order_by_head(arrays, len(vocabulary.heads))
    _copy_facts(facts, partial / FACTS, arrays["offsets"])
    write_text(partial / RELATIONS, json.dumps(vocabulary.relation_names, ensure_ascii=False) + "\n")
    _finish(partial, folder, arrays, recipe, len(facts), encoder.dim, num_cut)
    if num_cut:
        logger.warning(
            "%d of %d %ss were cut at %d tokens; raise store.max_tail_tokens to keep them whole",
            num_cut,
            len(facts),
            config.store.value_text,
            config.store.max_tail_tokens,
        )
    return Encoded(folder, len(facts), len(facts) - num_done, time.perf_counter() - started)


class _Vocabulary:
    """Heads and relations as numbers, in the order in which they first appear."""

    def __init__(self, facts: Sequence[Quintuple]) -> None:
        self.heads: dict[str, int] = {}
        self.relations: dict[str, int] = {}
        for fact in facts:
            self.heads.setdefault(fact.head, len(self.heads))
            self.relations.setdefault(fact.relation, len(self.relations))

    @property
    def relation_names(self) -> list[str]:
        return list(self.relations)


def _shapes(
    num_facts: int, vocabulary: _Vocabulary, d: int, num_slots: int
) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Type and shape of each of `ARRAYS`."""
    return {
        **dict.fromkeys(("K", "V", "ctx"), ("float16", (num_facts, d))),
        "R": ("float16", (len(vocabulary.relations), d)),
        "tail_ids": ("int32", (num_facts, num_slots)),
        "times": ("int32", (num_facts, 2)),
        "name_words": ("int32", (num_facts, MAX_WORDS)),
        "entities": ("int32", (num_facts, 2)),
        "relations": ("int32", (num_facts,)),
        "by_head": ("int32", (num_facts,)),
        "head_starts": ("int64", (len(vocabulary.heads) + 1,)),
        "offsets": ("int64", (num_facts,)),
    }


def _open_arrays(
    partial: Path, recipe: dict[str, Any], shapes: dict[str, tuple[str, tuple[int, ...]]]
) -> tuple[dict[str, np.memmap], int]:
    """The arrays of a run that was interrupted, with how many facts are done; or new ones."""
    assert set(shapes) == set(ARRAYS)
    progress = _progress(partial)
    is_same = progress.get("recipe") == recipe
    if not is_same:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
    arrays = {
        name: np.lib.format.open_memmap(
            partial / f"{name}.npy", mode="r+" if is_same else "w+", dtype=dtype, shape=shape
        )
        for name, (dtype, shape) in shapes.items()
    }
    if not is_same:
        _note(partial, recipe, 0, 0)
    return arrays, int(progress["num_done"]) if is_same else 0


def _progress(partial: Path) -> dict[str, Any]:
    path = partial / _PROGRESS
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else {}


def _note(partial: Path, recipe: dict[str, Any], num_done: int, num_cut: int) -> None:
    write_text(
        partial / _PROGRESS, json.dumps({"recipe": recipe, "num_done": num_done, "num_cut_tails": num_cut})
    )


def _fill(
    arrays: dict[str, np.memmap],
    start: int,
    facts: Sequence[Quintuple],
    encoder: TextEncoder,
    vocabulary: _Vocabulary,
) -> None:
    """Writes the rows of some facts, all but the tokens."""
    rows = slice(start, start + len(facts))
    arrays["K"][rows] = _unit(encoder, [key_text(fact) for fact in facts])
    arrays["V"][rows] = _unit(encoder, [fact.tail for fact in facts])
    has_context = np.array([[bool(fact.context)] for fact in facts])
    arrays["ctx"][rows] = _unit(encoder, [fact.context for fact in facts]) * has_context
    arrays["name_words"][rows] = hashed_words(fact.head for fact in facts)
    arrays["times"][rows] = as_days(fact.time_window for fact in facts)
    heads = vocabulary.heads
    arrays["entities"][rows] = [(heads[fact.head], heads.get(fact.tail, NO_ENTITY)) for fact in facts]
    arrays["relations"][rows] = [vocabulary.relations[fact.relation] for fact in facts]


def _fill_tokens(array: np.memmap, start: int, texts: Sequence[str], answers: AnswerFormat) -> int:
    """Writes the tokens of some facts; returns how many texts were too long for their slots."""
    num_slots, num_cut = array.shape[1], 0
    ids = np.full((len(texts), num_slots), NO_TOKEN, dtype=np.int32)
    for number, text in enumerate(texts):
        tokens = answers.answer_ids(text)
        num_cut += len(tokens) > num_slots - 1
        tokens = [*tokens[: num_slots - 1], answers.end_id]
        ids[number, : len(tokens)] = tokens
    array[start : start + len(texts)] = ids
    return num_cut


def _unit(encoder: TextEncoder, texts: Sequence[str]) -> np.ndarray:
    return encoder.encode(texts, normalise=True)


def _order_by_head(arrays: dict[str, np.memmap], num_heads: int) -> None:
    heads = arrays["entities"][:, 0]
    arrays["by_head"][:] = np.argsort(heads, kind="stable")
    arrays["head_starts"][:] = np.concatenate([[0], np.cumsum(np.bincount(heads, minlength=num_heads))])


def _copy_facts(facts: Sequence[Quintuple], path: Path, offsets: np.memmap) -> None:
    """Writes the facts again, one a line, and where each line begins."""
    with path.open("wb") as file:
        for row, fact in enumerate(facts):
            offsets[row] = file.tell()
            file.write(json.dumps(fact.to_json(), ensure_ascii=False).encode("utf-8") + b"\n")


def _finish(
    partial: Path,
    folder: Path,
    arrays: dict[str, np.memmap],
    recipe: dict[str, Any],
    num_facts: int,
    d: int,
    num_cut: int,
) -> None:
    """Moves the finished files into place, the manifest last."""
    for array in arrays.values():
        array.flush()
    checksums = {name: sha256_of(partial / name) for name in FILES}
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name in FILES:
        (partial / name).replace(folder / name)
    manifest = Manifest(
        format=FORMAT, num_facts=num_facts, d=d, num_cut_tails=num_cut, checksums=checksums, **recipe
    )
    write_manifest(folder, manifest)
    shutil.rmtree(partial)


def encode(arguments: argparse.Namespace) -> None:
    """Encodes the facts of a config. Raises KblamppError."""
    config = config_from_flags(arguments)
    encoder = load_encoder(config.encoder)
    done = encode_facts(config, encoder, load_answer_format(config))
    rate = done.num_encoded / done.seconds
    sys.stdout.write(
        f"{done.num_facts:,} facts in {done.folder}; {done.num_encoded:,} encoded in {done.seconds:.1f} s "
        f"({rate:,.0f} facts/s)\n"
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Encodes the facts of a config. Exit code 2 for a user's mistake."""
    parser = argparse.ArgumentParser(prog="kblampp.offline.encode_kv", description=__doc__)
    add_config_flags(parser)
    return run(parser, encode, argv)


if __name__ == "__main__":
    sys.exit(main())
