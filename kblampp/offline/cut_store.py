"""A smaller store with the same questions: how well are facts found among 100, 1,000, 10,000?

    python -m kblampp.offline.cut_store --config configs/synth_world.yaml --num-facts 1000 --out store/small

Takes as many of the test questions as the facts have room for, their supporting facts, and others at random;
writes a store and its `questions.jsonl`. Vectors are copied, not made again.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from kblampp.command import run
from kblampp.config import add_config_flags, config_from_flags
from kblampp.errors import ConfigError
from kblampp.kb_store import ARRAYS, FACTS, FILES, NO_ENTITY, RELATIONS, KBStore, sha256_of, write_manifest
from kblampp.questions import Question, read_questions, write_questions

_OF_FACTS = ("K", "V", "ctx", "tail_ids", "times", "name_words", "relations")


def choose(
    store: KBStore, questions: Sequence[Question], num_facts: int, seed: int
) -> tuple[list[int], list[Question]]:
    """Rows to keep, in rising order, and the questions that they support.

    Raises:
        ConfigError: the store has fewer facts.
    """
    if not 1 <= num_facts <= len(store):
        raise ConfigError(f"--num-facts {num_facts}: the store has {len(store)}")
    rows: dict[int, None] = {}
    kept = []
    for question in questions:
        needed = [store.row_of[fact] for fact in question.supporting_facts]
        if len({*rows, *needed}) <= num_facts:
            rows.update(dict.fromkeys(needed))
            kept.append(question)
    others = [row for row in range(len(store)) if row not in rows]
    chosen = random.Random(seed).sample(others, num_facts - len(rows))
    return sorted([*rows, *chosen]), kept


def cut(store: KBStore, rows: Sequence[int], folder: Path) -> None:
    """Writes the store of some rows; an older folder of that name is replaced."""
    partial = folder.parent / f".{folder.name}-cut"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    at = np.asarray(rows)
    arrays = {name: store.array(name)[at] for name in _OF_FACTS} | {"R": np.array(store.array("R"))}
    arrays["entities"] = _renumbered(store.array("entities")[at])
    heads = arrays["entities"][:, 0]
    arrays["by_head"] = np.argsort(heads, kind="stable").astype(np.int32)
    arrays["head_starts"] = np.concatenate([[0], np.cumsum(np.bincount(heads))]).astype(np.int64)
    offsets = []
    with (partial / FACTS).open("wb") as file:
        for row in rows:
            offsets.append(file.tell())
            line = json.dumps(store.fact(row).to_json(), ensure_ascii=False)
            file.write(line.encode("utf-8") + b"\n")
    arrays["offsets"] = np.array(offsets, dtype=np.int64)
    for name in ARRAYS:
        np.save(partial / f"{name}.npy", arrays[name])
    shutil.copyfile(store.folder / RELATIONS, partial / RELATIONS)
    checksums = {name: sha256_of(partial / name) for name in FILES}
    write_manifest(partial, replace(store.manifest, num_facts=len(rows), checksums=checksums))
    shutil.rmtree(folder, ignore_errors=True)
    partial.replace(folder)


def _renumbered(entities: np.ndarray) -> np.ndarray:
    """Heads counted from 0 again; a tail that is no head any more is NO_ENTITY."""
    heads, numbers = np.unique(entities[:, 0], return_inverse=True)
    places = np.minimum(np.searchsorted(heads, entities[:, 1]), len(heads) - 1)
    tails = np.where(heads[places] == entities[:, 1], places, NO_ENTITY)
    return np.stack([numbers, tails], -1).astype(np.int32)


def cut_from_flags(arguments: argparse.Namespace) -> None:
    """Cuts a store. Raises KblamppError."""
    config = config_from_flags(arguments)
    store = KBStore(Path(config.store.path))
    if arguments.out.resolve() == store.folder.resolve():
        raise ConfigError(f"--out {arguments.out} is the store that is cut; name another folder")
    asked = read_questions(arguments.questions or Path(config.test_qa_path), store.row_of)
    rows, questions = choose(store, asked, arguments.num_facts, arguments.seed)
    cut(store, rows, arguments.out)
    write_questions(arguments.out / "questions.jsonl", questions)
    sys.stdout.write(f"{len(rows):,} facts and {len(questions)} questions in {arguments.out}\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Cuts a store. Exit code 2 for a user's mistake."""
    parser = argparse.ArgumentParser(prog="kblampp.offline.cut_store", description=__doc__)
    parser.add_argument("--num-facts", type=int, required=True)
    parser.add_argument("--out", type=Path, required=True, help="folder of the new store")
    parser.add_argument("--seed", type=int, default=0, help="of the facts that no question needs")
    parser.add_argument("--questions", type=Path, help="default: test_qa_path of the config")
    add_config_flags(parser)
    return run(parser, cut_from_flags, argv)


if __name__ == "__main__":
    sys.exit(main())
