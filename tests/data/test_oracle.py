"""The oracle answers what can be answered, from nothing but what it was shown."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from kg_r1.data.evidence_path import Chain, chains_of, hop_group
from kg_r1.data.oracle import OracleConfig, OraclePolicy, OracleStuck, oracle_turns, plan_of, shown_items
from kg_r1.data.oracle_words import first_thought, last_thought, next_thought, plan_words
from kg_r1.kg.graph import Subgraph
from kg_r1.kg.paths import Hop
from kg_r1.llm_agent.episode import Episode, EpisodeStatus
from kg_r1.llm_agent.generation import GenerationConfig, LLMGenerationManager
from kg_r1.llm_agent.protocol import TurnKind
from kg_r1.llm_agent.question import Question
from kg_r1.llm_agent.tokens import ByteTokenizer
from kg_r1.reward.rubric import Rubric
from kg_r1.search.client import InProcessKGClient, KGClient, Retrieval, RetrievalError
from kg_r1.search.server import KnowledgeGraphRetriever
from tests.data.conftest import LIMITS, World

PLAIN = OracleConfig(look_rate=0.0)

CAPITALS = Question(
    "q1",
    "What are the capitals of the countries that border France?",
    ("France",),
    (("Bern",), ("Madrid",)),
    "world",
    num_hops=2,
    path=(("tail", "borders"), ("tail", "capital")),
)
COMMON = Question(
    "q2",
    "Which countries border both France and Austria?",
    ("France", "Austria"),
    (("Italy",), ("Switzerland",)),
    "world",
    num_hops=2,
    path=(("tail", "borders"), ("intersect", "1"), ("tail", "borders")),
)


class ToldClient:
    """A KG that says what the test tells it to say, call by call."""

    def __init__(self, answers: Sequence[Sequence[str] | RetrievalError]) -> None:
        self.answers = list(answers)
        self.requests: list[dict[str, Any]] = []

    async def retrieve(self, request: Mapping[str, Any]) -> Retrieval:
        self.requests.append(dict(request))
        answer = self.answers.pop(0)
        if isinstance(answer, RetrievalError):
            return Retrieval(({"error": answer.message, "code": answer.code},), 0.0, 0, answer)
        key = request["action_type"].removeprefix("get_")
        return Retrieval(({key: list(answer)},), 0.0, len(answer))

    async def retrieve_batch(self, requests: Sequence[Mapping[str, Any]]) -> list[Retrieval]:
        return [await self.retrieve(request) for request in requests]

    async def aclose(self) -> None:
        return None


def play(
    question: Question,
    client: KGClient,
    config: OracleConfig = PLAIN,
    limits: GenerationConfig = LIMITS,
    seed: int = 0,
) -> Episode:
    policy = OraclePolicy(
        ByteTokenizer(), {question.question_id: (question, chains_of(question))}, config, seed
    )
    manager = LLMGenerationManager(limits, ByteTokenizer(), policy, client)
    return asyncio.run(manager.run_episodes([question]))[0][0]


def asked(client: ToldClient) -> list[tuple[str, str | list[str], str | None]]:
    return [(r["action_type"], r["entity_id"], r.get("relation")) for r in client.requests]


def test_it_follows_the_names_it_is_shown_and_not_the_graph() -> None:
    client = ToldClient([["Atlantis", "Utopia"], ["Poseidonis", "Amaurot"]])
    episode = play(CAPITALS, client)
    assert asked(client) == [
        ("get_tail_entities", "France", "borders"),
        ("get_tail_entities", ["Atlantis", "Utopia"], "capital"),
    ]
    assert episode.status is EpisodeStatus.ANSWERED
    assert episode.answer == "Poseidonis | Amaurot"


def test_the_answer_of_two_chains_is_what_both_lists_showed() -> None:
    client = ToldClient([["Italy", "Spain", "Switzerland"], ["Hungary", "Switzerland", "Italy"]])
    episode = play(COMMON, client)
    assert asked(client) == [
        ("get_tail_entities", "France", "borders"),
        ("get_tail_entities", "Austria", "borders"),
    ]
    assert episode.answer == "Italy | Switzerland"


def test_names_left_out_of_an_observation_are_never_used() -> None:
    names = [f"Country number {n}" for n in range(40)]
    client = ToldClient([names, ["Somewhere"]])
    limits = GenerationConfig(
        max_turns=6,
        max_start_length=4000,
        max_prompt_length=20_000,
        max_response_length=2000,
        max_obs_length=150,
    )
    episode = play(CAPITALS, client, limits=limits)
    shown = episode.turns[0].observation
    assert shown is not None
    assert "more)" in shown
    used = client.requests[1]["entity_id"]
    assert used
    assert used == shown_items(shown)
    assert len(used) < 8


@pytest.mark.parametrize(
    ("observation", "items"),
    [
        ("\n<information>Paris</information>\n", ["Paris"]),
        ("<information>Paris | São Tomé (+3 more)</information>", ["Paris", "São Tomé"]),
        ("<information>London (Canada) | Paris</information>", ["London (Canada)", "Paris"]),
        ("<information>Spain | Peru (meant: X [city:1], X [city:2])</information>", ["Spain", "Peru"]),
        ("<information>A (+1 more) (unknown: B (C), D, …)</information>", ["A"]),
        ("<information>A (asked before)</information>", ["A"]),
        ("<information>(+9 more)</information>", []),
        ("<information>Error: there is no entity Pariss</information>\n", []),
        ("<information></information>Last turn: you must answer now.\n", []),
        ("Last turn", []),
    ],
)
def test_reading_an_observation(observation: str, items: list[str]) -> None:
    assert shown_items(observation) == items


def test_a_list_holds_at_most_max_list_names_and_the_rest_is_asked_as_far_as_searches_last() -> None:
    names = [f"C{n}" for n in range(20)]
    client = ToldClient([names, ["a"], ["b", "a"], ["c"]])
    episode = play(CAPITALS, client)
    assert [request["entity_id"] for request in client.requests] == [
        "France",
        names[:8],
        names[8:16],
        names[16:],
    ]
    assert episode.answer == "a | b | c"
    client = ToldClient([names, ["a"], ["b"]])
    episode = play(CAPITALS, client, OracleConfig(max_list=4, max_searches=3, look_rate=0.0))
    assert [request["entity_id"] for request in client.requests] == ["France", names[:4], names[4:8]]
    assert episode.answer == "a | b"


def test_a_search_is_kept_for_every_later_hop() -> None:
    question = Question(
        "q", "?", ("A",), (("x",),), "world", num_hops=3, path=(("tail", "r"), ("tail", "s"), ("head", "t"))
    )
    names = [f"n{n}" for n in range(30)]
    client = ToldClient([names, names, names, ["x"]])
    play(question, client, OracleConfig(max_searches=4, look_rate=0.0))
    assert [request["relation"] for request in client.requests] == ["r", "s", "s", "t"]
    assert client.requests[3]["action_type"] == "get_head_entities"


def test_the_topic_leaves_the_set_where_the_path_says_so() -> None:
    question = Question(
        "q",
        "?",
        ("Film",),
        (("2001",),),
        "metaqa",
        num_hops=3,
        path=(("tail", "by"), ("head", "by"), ("without", "0"), ("tail", "year")),
    )
    client = ToldClient([["Lee"], ["Film", "Other"], ["2001"]])
    episode = play(question, client)
    assert [request["entity_id"] for request in client.requests] == ["Film", "Lee", "Other"]
    assert episode.answer == "2001"


@pytest.mark.parametrize(
    "answer", [RetrievalError("no_results", "nothing there"), RetrievalError("server_unavailable", "down")]
)
def test_an_error_ends_the_walk_and_nothing_is_invented(answer: RetrievalError) -> None:
    episode = play(CAPITALS, ToldClient([["Spain"], answer]))
    assert episode.status is EpisodeStatus.POLICY_ABORTED
    assert episode.answer is None


def test_lists_without_a_common_name_end_the_walk() -> None:
    episode = play(COMMON, ToldClient([["Italy"], ["Hungary"]]))
    assert episode.status is EpisodeStatus.POLICY_ABORTED


def test_a_quote_in_a_name_stays_a_name() -> None:
    client = ToldClient([['The "Best" Film\\', "O'Neill"], ["x"]])
    play(CAPITALS, client)
    assert client.requests[1]["entity_id"] == ['The "Best" Film\\', "O'Neill"]


def test_a_look_comes_first_where_the_question_does_not_name_the_relation() -> None:
    named = Question(
        "q",
        "What is the capital of France?",
        ("France",),
        (("Paris",),),
        "world",
        path=(("tail", "capital"),),
    )
    unnamed = Question(
        "q",
        "Where is France governed from?",
        ("France",),
        (("Paris",),),
        "world",
        path=(("tail", "capital"),),
    )
    always = OracleConfig(look_rate=1.0)
    client = ToldClient([["Paris"]])
    play(named, client, always)
    assert [r["action_type"] for r in client.requests] == ["get_tail_entities"]
    client = ToldClient([["borders", "capital"], ["Paris"]])
    episode = play(unnamed, client, always)
    assert [r["action_type"] for r in client.requests] == ["get_tail_relations", "get_tail_entities"]
    assert episode.answer == "Paris"
    client = ToldClient([["borders"]])
    assert play(unnamed, client, always).status is EpisodeStatus.POLICY_ABORTED
    client = ToldClient([["Paris"]])
    play(unnamed, client, OracleConfig(max_searches=1, look_rate=1.0))
    assert len(client.requests) == 1


def test_thoughts_hold_the_plan_that_remains() -> None:
    client = ToldClient([["Spain"], ["Madrid"]])
    episode = play(CAPITALS, client)
    thoughts = [turn.think for turn in episode.turns]
    assert all(thoughts)
    assert "borders tails, then capital tails" in str(thoughts[0])
    assert "capital" in str(thoughts[1])
    assert "borders" not in str(thoughts[1])
    assert "capital" not in str(thoughts[2])


def test_plans_in_words() -> None:
    chains = chains_of(COMMON)
    assert plan_words(chains, 0, 0) == "France: borders tails; Austria: borders tails; compare"
    assert plan_words(chains, 1, 0) == "Austria: borders tails; compare"
    single = [Chain("CDG", (Hop("head", "iata_code"), Hop("tail", "city_served")))]
    assert plan_words(single, 0, 0) == "iata_code heads, then city_served tails"
    assert plan_words(single, 0, 1) == "city_served tails"


def test_wording_varies_with_the_seed_and_is_the_same_for_the_same_seed() -> None:
    def script(seed: int) -> list[str]:
        return [turn.text for turn in play(CAPITALS, ToldClient([["Spain"], ["Madrid"]]), seed=seed).turns]

    assert script(1) == script(1)
    assert len({script(seed)[0] for seed in range(20)}) >= 4
    rng = random.Random(0)
    chains = chains_of(CAPITALS)
    assert len({first_thought(rng, chains) for _ in range(50)}) >= 4
    assert len({next_thought(rng, chains, 0, 1) for _ in range(50)}) >= 4
    assert len({last_thought(rng, chains) for _ in range(50)}) >= 4


def test_without_thinking_there_are_no_thoughts() -> None:
    limits = GenerationConfig(
        max_turns=6,
        max_start_length=4000,
        max_prompt_length=20_000,
        max_response_length=2000,
        no_think_rl=True,
    )
    episode = play(
        CAPITALS, ToldClient([["Spain"], ["Madrid"]]), OracleConfig(look_rate=0.0, with_think=False), limits
    )
    assert [turn.think for turn in episode.turns] == [None, None, None]
    assert all(turn.is_well_formed for turn in episode.turns)


def test_turns_as_a_conversation() -> None:
    turns = oracle_turns(COMMON, chains_of(COMMON), random.Random(0), PLAIN)
    assert '<search>get_tail_entities("France", "borders")</search>' in next(turns)
    assert '"Austria"' in turns.send("<information>Italy | Spain</information>")
    assert turns.send("<information>Italy</information>").endswith("<answer> Italy</answer>")
    with pytest.raises(StopIteration):
        turns.send("")
    turns = oracle_turns(COMMON, chains_of(COMMON), random.Random(0), PLAIN)
    next(turns)
    next_turn = turns.send("<information>Italy</information>")
    assert next_turn
    with pytest.raises(OracleStuck):
        turns.send("<information>Error: down</information>")


def test_a_question_without_a_path_gets_the_shortest_one() -> None:
    graph = Subgraph.from_triples(
        [("France", "borders", "Spain"), ("Spain", "capital", "Madrid"), ("Madrid", "timezone", "CET")]
    )
    question = Question("q", "?", ("Nowhere", "France"), (("Madrid", "Madrid city"),), "toy")
    assert plan_of(graph, question) == [Chain("France", (Hop("tail", "borders"), Hop("tail", "capital")))]
    unreachable = Question("q", "?", ("France",), (("Tokyo",),), "toy")
    assert plan_of(graph, unreachable) is None
    assert plan_of(graph, CAPITALS) == chains_of(CAPITALS)


def test_an_unknown_request_is_refused() -> None:
    policy = OraclePolicy(ByteTokenizer(), {})
    with pytest.raises(KeyError, match="no plan for request 'x#0'"):
        asyncio.run(policy.generate([1], stop=(), max_tokens=9, request_id="x#0"))


@pytest.mark.parametrize(
    "change",
    [{"max_list": 0}, {"max_searches": 0}, {"look_rate": 1.5}, {"look_rate": -0.1}, {"detour_rate": 1.1}],
)
def test_impossible_settings_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must be"):
        OracleConfig(**change)


def test_the_ceiling_on_val_and_test_is_one_in_the_real_environment(world: World) -> None:
    """Plays every val and test question, and checks of each episode that all names had been shown before."""
    questions = world.questions["val"] + world.questions["test"]
    plans = {question.question_id: (question, chains_of(question)) for question in questions}
    policy = OraclePolicy(ByteTokenizer(), plans, OracleConfig(), seed=0)
    client = InProcessKGClient(KnowledgeGraphRetriever(world.store))
    manager = LLMGenerationManager(LIMITS, ByteTokenizer(), policy, client)
    rubric = Rubric()
    first_actions: Counter[str] = Counter()
    for episode, _ in asyncio.run(manager.run_episodes(questions)):
        assert episode.status is EpisodeStatus.ANSWERED, episode.to_dict()
        reward = rubric.score(episode)
        assert reward.total == 2.0, episode.to_dict()
        assert sum(turn.kind is TurnKind.SEARCH for turn in episode.turns) <= 4
        assert_only_shown_names(episode)
        query = episode.turns[0].query
        assert query is not None
        first_actions[query["action"].rsplit("_", 1)[1]] += 1
    assert first_actions["relations"] > 50
    assert Counter(map(hop_group, questions))["conjunctive"] == 300


def assert_only_shown_names(episode: Episode) -> None:
    shown = set(episode.question.topic_entities)
    for turn in episode.turns:
        if turn.query is not None:
            names = turn.query["arguments"]["entity_id"]
            assert set([names] if isinstance(names, str) else names) <= shown
            assert isinstance(names, str) or len(names) <= 8
        else:
            assert turn.answer is not None
            assert set(turn.answer.split(" | ")) <= shown
        shown.update(shown_items(turn.observation or ""))
