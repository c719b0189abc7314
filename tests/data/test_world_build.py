"""The built folder: the same bytes every time, a manifest that is true, a card that counts what is there."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

from kg_r1.data.card import card_of
from kg_r1.data.evidence_path import path_is_exact
from kg_r1.data.world_sources import PACKAGES
from tests.data.conftest import World

ROOT = Path(__file__).resolve().parents[2]


def files(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


def test_another_process_builds_the_same_bytes(world: World, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "kg_r1.data.build", "world", "--out", str(tmp_path)]
    # Sets of strings are walked in another order under another hash seed.
    environment = {**os.environ, "PYTHONHASHSEED": "12345"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    built, again = files(world.folder), files(tmp_path / "world")
    assert set(built) == {
        "triples.tsv",
        "names.tsv",
        "manifest.json",
        "questions/train.parquet",
        "questions/val.parquet",
        "questions/test.parquet",
    }
    assert built == again
    assert done.stdout == world.card.text() + "\n"


def test_the_manifest_is_true(world: World) -> None:
    manifest = json.loads((world.folder / "manifest.json").read_text())
    contents = files(world.folder)
    assert set(manifest["files"]) == set(contents) - {"manifest.json"}
    for name, facts in manifest["files"].items():
        assert facts["sha256"] == hashlib.sha256(contents[name]).hexdigest()
        assert facts["bytes"] == len(contents[name])
    assert set(manifest["packages"]) == {*PACKAGES, "pyarrow"}
    assert manifest["num_triples"] == contents["triples.tsv"].count(b"\n") == world.graph.num_triples
    assert manifest["num_triples"] == sum(manifest["num_triples_by_relation"].values())
    assert manifest["num_entities"] == contents["names.tsv"].count(b"\n") == world.graph.num_entities
    assert manifest["num_questions"] == {"train": 8000, "val": 400, "test": 800}


def test_the_ceiling_is_one_on_every_split(world: World) -> None:
    assert world.card.ceilings == {"train": (1.0, 2000), "val": (1.0, 400), "test": (1.0, 800)}
    assert all(path_is_exact(world.graph, question) for question in world.questions["train"])


def test_the_card_says_what_was_counted(world: World) -> None:
    text = world.card.text()
    assert f"{world.graph.num_triples:,} triples" in text
    assert "test: 100.0% of 800 checked" in text
    assert text.count("->") == 8
    row = next(line for line in text.splitlines() if line.startswith("conjunctive"))
    assert row.split() == ["conjunctive", "2,000", "100", "200"]


def test_the_ceiling_falls_with_a_wrong_gold(world: World) -> None:
    questions = world.questions["val"][:4]
    right = questions[0].to_dict()
    wrong = type(questions[0]).from_dict({**right, "gold": [["Atlantis"]]})
    card = card_of("world", world.graph, {"val": [wrong, *questions[1:]]})
    assert card.ceilings == {"val": (0.75, 4)}
