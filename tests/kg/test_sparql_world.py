"""Whole data sets behind a real endpoint: the retriever's answers are those of the graph in memory."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from kg_r1.data.oracle import OracleConfig, OracleStuck, plan_of
from kg_r1.data.oracle_walk import OracleWalk
from kg_r1.data.rows import read_questions
from kg_r1.data.world import build_world
from kg_r1.data.world_questions import Sizes
from kg_r1.kg.graph import Subgraph
from kg_r1.kg.sparql import SparqlGraph
from kg_r1.kg.store import GraphStore
from kg_r1.llm_agent.observation import SEPARATOR
from kg_r1.llm_agent.protocol import parse_turn
from kg_r1.llm_agent.question import Question
from kg_r1.search.actions import ACTION_REGISTRY
from kg_r1.search.results import listed_items
from kg_r1.search.retriever import KnowledgeGraphRetriever
from tests.kg.sparql_endpoint import Endpoint, running_endpoint

ROOT = Path(__file__).resolve().parents[2]
ACTIONS = (
    "get_relations",
    "get_head_relations",
    "get_tail_relations",
    "get_head_entities",
    "get_tail_entities",
    "get_conditional_relations",
)


@dataclass
class Pair:
    """One data set twice: in memory, and behind the endpoint as data set `<name>`."""

    name: str
    graph: Subgraph
    here: KnowledgeGraphRetriever
    there: KnowledgeGraphRetriever
    questions: list[Question]

    def assert_same(self, request: dict[str, Any]) -> dict[str, Any]:
        """Both give the same item, but for its time; gives its result."""
        mine = self.here.retrieve({**request, "dataset_name": self.name})
        theirs = self.there.retrieve({**request, "dataset_name": self.name})
        assert theirs["results"] == mine["results"], request
        assert theirs["total_results"] == mine["total_results"]
        result: dict[str, Any] = mine["results"][0]
        return result


class InMemory(GraphStore):
    """A store that serves one data set as a `Subgraph`, however the store itself would serve it."""

    def __init__(self, path: Path, name: str) -> None:
        super().__init__(path)
        plain = super().graph(name)
        ids = [plain.entity_id(index) for index in range(plain.num_entities)]
        names = {one: plain.name(index) for index, one in enumerate(ids)}
        self.subgraph = Subgraph.from_triples(plain.triples(), names)

    def graph(self, dataset_name: str, sample_id: str | None = None) -> Subgraph:
        return self.subgraph


@pytest.fixture(scope="module")
def endpoint() -> Iterator[Endpoint]:
    with running_endpoint() as started:
        yield started


def pair(endpoint: Endpoint, data: Path, name: str, folder: Path, questions: Sequence[Path]) -> Pair:
    store = InMemory(data, name)
    endpoint.publish(name, store.subgraph, folder / name, max_rows=60_000)  # few pages: each is a sort
    there = GraphStore(folder)
    assert isinstance(there.graph(name), SparqlGraph) and there.is_shared(name)
    found = [question for path in questions for question in read_questions(path)]
    here = KnowledgeGraphRetriever(store)
    return Pair(name, store.subgraph, here, KnowledgeGraphRetriever(there), found)


@pytest.fixture(scope="module")
def world(endpoint: Endpoint, tmp_path_factory: pytest.TempPathFactory) -> Pair:
    """The world data set as built in the checkout, or else built now."""
    data = ROOT / "data_kg"
    if not (data / "world" / "questions" / "test.parquet").is_file():
        data = tmp_path_factory.mktemp("built")
        build_world(data, sizes=Sizes(200, 40, 80))
    questions = data / "world" / "questions" / "test.parquet"
    return pair(endpoint, data, "world", tmp_path_factory.mktemp("world"), [questions])


@pytest.fixture(scope="module")
def metaqa(endpoint: Endpoint, tmp_path_factory: pytest.TempPathFactory) -> Pair:
    folder = ROOT / "data_kg" / "metaqa"
    questions = sorted((folder / "questions").glob("test_*.parquet"))
    if not (folder / "kb.txt").is_file() or not questions:
        pytest.skip("data_kg/metaqa is not built (python -m kg_r1.data.build metaqa)")
    return pair(endpoint, ROOT / "data_kg", "metaqa", tmp_path_factory.mktemp("metaqa"), questions)


def play(both: Pair, question: Question, config: OracleConfig) -> int:
    """Plays one oracle walk to its answer, every search asked of both; gives how many there were."""
    chains = plan_of(both.graph, question)
    assert chains is not None, question
    walk = OracleWalk(question, chains, random.Random(question.question_id), config)
    turns, num_searches = walk.turns(), 0
    try:
        text = next(turns)
        while "</search>" in text:
            query = parse_turn(text, ACTION_REGISTRY.specs(), think_required=False).query
            assert query is not None, text
            result = both.assert_same({"action_type": query.action, **query.arguments})
            # One of several lists may find nothing; only a wrong turn taken on purpose fails otherwise.
            assert result.get("code", "no_results") == "no_results" or config.detour_rate > 0, result
            num_searches += 1
            shown = SEPARATOR.join(listed_items(result))
            text = turns.send(f"<information>{shown}</information>")
    except OracleStuck:  # as it is over the graph in memory
        assert "error" in result, question
    return num_searches


def random_request(both: Pair, rng: random.Random) -> dict[str, Any]:
    """A request that often finds something, and is otherwise wrong in one of many ways."""
    graph = both.graph

    def entity() -> str:
        index = rng.randrange(graph.num_entities)
        spellings = [graph.label(index)] * 4 + [graph.name(index), graph.entity_id(index)]
        text = rng.choice([*spellings, graph.name(index).upper(), graph.label(index).swapcase()])
        return text[1:] + text[:1] if rng.random() < 0.1 else text

    entities = [entity() for _ in range(rng.randrange(1, 6))]
    relations = [*graph.relations(), "no_such_relation"]
    index = graph.resolve(entities[0])
    if index:
        relations = [*graph.tail_relations(index[0]), *graph.head_relations(index[0])] * 3 + relations
    return {
        "action_type": rng.choice(ACTIONS),
        "entity_id": entities if rng.random() < 0.4 else entities[0],
        "relation": rng.choice(relations),
        "concept": rng.choice(["a", "of", "language", "zzz"]),
    }


def check_random_requests(both: Pair, num_requests: int) -> None:
    rng = random.Random(7)
    results = [both.assert_same(random_request(both, rng)) for _ in range(num_requests)]
    codes = [result.get("code", "found") for result in results]
    assert {"found", "unknown_entity", "no_results"} <= set(codes), codes


def test_searches_of_some_questions_of_the_world(world: Pair) -> None:
    some = random.Random(1).sample(world.questions, 25)
    assert sum(play(world, question, OracleConfig(look_rate=0.5)) for question in some) > 25


def test_random_requests_to_the_world(world: Pair) -> None:
    check_random_requests(world, 80)


@pytest.mark.slow
def test_searches_of_every_question_of_the_world(world: Pair) -> None:
    configs = (OracleConfig(look_rate=0.5), OracleConfig(detour_rate=1.0, entity_form="name"))
    num_searches = sum(play(world, question, one) for question in world.questions for one in configs)
    assert num_searches > 2 * len(world.questions)


@pytest.mark.slow
def test_more_random_requests_to_the_world(world: Pair) -> None:
    check_random_requests(world, 600)


@pytest.mark.slow
def test_the_whole_world_comes_back(world: Pair) -> None:
    there = world.there.graph("world")
    assert isinstance(there, SparqlGraph)
    assert list(there.triples()) == list(world.graph.triples())
    assert there.labelled_triples() == world.graph.labelled_triples()
    labels = there.labels(range(there.num_entities))
    assert sorted(labels) == sorted(world.graph.labels(range(world.graph.num_entities)))
    there.prefetch_names(labels)
    assert [there.resolve(label) for label in labels] == [[index] for index in range(len(labels))]


@pytest.mark.slow
def test_searches_of_every_question_of_metaqa(metaqa: Pair) -> None:
    num_searches = sum(play(metaqa, question, OracleConfig()) for question in metaqa.questions)
    assert num_searches > len(metaqa.questions)


@pytest.mark.slow
def test_random_requests_to_metaqa(metaqa: Pair) -> None:
    check_random_requests(metaqa, 400)
