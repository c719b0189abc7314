"""The world data set, built once for all tests of this folder, and a tiny MetaQA."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from kg_r1.data.card import DataCard
from kg_r1.data.rows import read_questions
from kg_r1.data.splits import SPLITS
from kg_r1.data.world import build_world
from kg_r1.data.world_facts import WorldFacts, build_facts
from kg_r1.data.world_sources import load_sources
from kg_r1.kg.graph import Subgraph
from kg_r1.kg.store import GraphStore
from kg_r1.llm_agent.config import GenerationConfig
from kg_r1.llm_agent.question import Question

# Bytes are tokens here, so every limit is a multiple of what a real tokenizer would need.
LIMITS = GenerationConfig(
    max_turns=6,
    max_start_length=4000,
    max_prompt_length=20_000,
    max_response_length=2000,
    max_obs_length=2000,
)
KB = """The Film|directed_by|Ann Lee
The Film|starred_actors|Bo Ray
The Film|release_year|1999
Other Film|directed_by|Ann Lee
Other Film|starred_actors|Cy Orr
Other Film|release_year|2001
"""


@dataclass(frozen=True)
class World:
    """The world as built: its folder, its card, its graph and questions as read back, and the facts."""

    base: Path
    card: DataCard
    facts: WorldFacts
    store: GraphStore
    graph: Subgraph
    questions: dict[str, list[Question]]

    @property
    def folder(self) -> Path:
        return self.base / "world"

    def ends(self, name: str, relation: str, direction: str = "tail") -> list[str]:
        """Labels one hop away from the entity called `name`."""
        (entity,) = self.graph.resolve(name)
        neighbours = self.graph.tails if direction == "tail" else self.graph.heads
        return self.graph.labels(neighbours(entity, relation))


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    base = tmp_path_factory.mktemp("data_kg")
    card = build_world(base)
    store = GraphStore(base)
    questions = {split: read_questions(base / "world" / "questions" / f"{split}.parquet") for split in SPLITS}
    return World(base, card, build_facts(load_sources()), store, store.graph("world"), questions)


@pytest.fixture
def metaqa_source(tmp_path: Path) -> Path:
    """A MetaQA folder with ten 1-hop, one 2-hop and one 3-hop dev question."""
    folder = tmp_path / "source"
    folder.mkdir()
    (folder / "kb.txt").write_text(KB)
    (folder / "1hop_dev.txt").write_text(
        "".join(f"who directed [The Film] {n}\tAnn Lee\n" for n in range(9))
        + "what films did [Ann Lee] direct\tThe Film|Other Film\n"
    )
    (folder / "1hop_dev_qtype.txt").write_text("movie_to_director\n" * 9 + "director_to_movie\n")
    (folder / "2hop_dev.txt").write_text("which films share a director with [The Film]\tOther Film\n")
    (folder / "2hop_dev_qtype.txt").write_text("movie_to_director_to_movie\n")
    (folder / "3hop_dev.txt").write_text(
        "when were the films released that share a director with [The Film]\t2001\n"
    )
    (folder / "3hop_dev_qtype.txt").write_text("movie_to_director_to_movie_to_year\n")
    return folder
