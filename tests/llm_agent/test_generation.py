"""Episodes played against a real in-process KG by scripted policies."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest

from kg_r1.llm_agent.config import MIN_ANSWER_TOKENS
from kg_r1.llm_agent.episode import Episode, EpisodeStatus
from kg_r1.llm_agent.policies import Generation
from kg_r1.llm_agent.protocol import TurnKind
from kg_r1.llm_agent.question import Question
from kg_r1.llm_agent.tokens import ByteTokenizer
from kg_r1.search.client import Retrieval, RetrievalError
from tests.llm_agent.playing import (
    ANSWER,
    BORDERS,
    DOWN,
    FOUND,
    MUST_ANSWER,
    SEARCH,
    MakeManager,
    RecordingClient,
    named,
    scripted,
)


async def test_search_then_answer(make_manager: MakeManager, question: Question) -> None:
    episode, buffer = await make_manager(scripted(SEARCH, ANSWER)).run_episode(question)
    assert episode.status is EpisodeStatus.ANSWERED
    assert episode.answer == "Paris"
    search, answer = episode.turns
    assert search.query == {
        "action": "get_tail_entities",
        "arguments": {"entity_id": "France", "relation": "capital"},
    }
    assert search.retrieval is not None and search.retrieval.items() == ["Paris"]
    assert search.observation == "\n<information>Paris</information>\n"
    assert (answer.kind, answer.observation, answer.think) == (TurnKind.ANSWER, None, "done")
    assert ByteTokenizer().decode(buffer.response_ids) == SEARCH + search.observation + ANSWER
    assert [turn.num_tokens for turn in episode.turns] == [len(SEARCH), len(ANSWER)]
    assert search.num_observation_tokens == len(search.observation)
    assert episode.num_prompt_tokens == len(buffer.prompt_ids)


async def test_the_record_is_json_ready(make_manager: MakeManager, question: Question) -> None:
    episode, _ = await make_manager(scripted(SEARCH, "oops", ANSWER)).run_episode(question)
    row = json.loads(json.dumps(episode.to_dict()))
    assert row["status"] == "answered" and row["question"]["gold"] == [["Paris"]]
    assert [turn["kind"] for turn in row["turns"]] == ["search", "malformed", "answer"]
    assert row["turns"][0]["retrieval"]["results"] == [{"tail_entities": ["Paris"]}]
    assert row["turns"][0]["retrieval"]["error"] is None


async def test_sample_and_dataset_come_from_the_row_never_from_the_model(make_manager: MakeManager) -> None:
    client = RecordingClient(FOUND)
    body = {
        "action_type": "get_tail_entities",
        "sample_id": "stolen",
        "dataset_name": "stolen",
        "entity_id": "France",
        "relation": "capital",
    }
    turns = (f"<think>t</think><search>{json.dumps(body)}</search>", SEARCH, ANSWER)
    own = Question("q", "?", (), (), "webqsp", sample_id="mine")
    shared = Question("q", "?", (), (), "world")
    for question in (own, shared):
        await make_manager(scripted(*turns), client=client).run_episode(question)
    assert (
        client.requests
        == [
            {
                "action_type": "get_tail_entities",
                "entity_id": "France",
                "relation": "capital",
                "dataset_name": "webqsp",
                "sample_id": "mine",
            }
        ]
        * 2
        + [
            {
                "action_type": "get_tail_entities",
                "entity_id": "France",
                "relation": "capital",
                "dataset_name": "world",
            }
        ]
        * 2
    )


async def test_a_malformed_turn_is_told_its_fault_and_the_episode_goes_on(
    make_manager: MakeManager, question: Question
) -> None:
    bad_call = '<think>t</think><search>get_tail_entities("France")</search>'
    episode, _ = await make_manager(scripted("Paris!", bad_call, ANSWER)).run_episode(question)
    assert [turn.kind for turn in episode.turns] == [TurnKind.MALFORMED, TurnKind.MALFORMED, TurnKind.ANSWER]
    assert episode.turns[0].observation == (
        "\n<information>Error: the turn must end with a closing search or answer tag. "
        'Write <think>plan</think><search>get_relations("France")</search>, '
        "or <answer>name</answer> at the end. Calls: get_relations, get_head_relations, get_tail_relations, "
        "get_head_entities, get_tail_entities, get_conditional_relations</information>\n"
    )
    assert episode.turns[1].observation == (
        "\n<information>Error: get_tail_entities lacks relation; "
        "expected get_tail_entities(entity_id, relation)</information>\n"
    )
    assert episode.status is EpisodeStatus.ANSWERED


async def test_an_error_of_the_graph_is_shown_and_the_episode_goes_on(
    make_manager: MakeManager, question: Question
) -> None:
    lost = '<think>t</think><search>get_tail_entities("Frnace", "capital")</search>'
    episode, _ = await make_manager(scripted(lost, ANSWER)).run_episode(question)
    retrieval = episode.turns[0].retrieval
    assert retrieval is not None and retrieval.error is not None and retrieval.error.code == "unknown_entity"
    assert (episode.turns[0].observation or "").startswith("\n<information>Error: ")
    assert episode.status is EpisodeStatus.ANSWERED


async def test_the_last_turn_is_announced_and_ends_the_episode(
    make_manager: MakeManager, question: Question
) -> None:
    episode, buffer = await make_manager(scripted(SEARCH, BORDERS, SEARCH), max_turns=3).run_episode(question)
    assert episode.status is EpisodeStatus.MAX_TURNS
    first, second, third = episode.turns
    assert not (first.observation or "").endswith(MUST_ANSWER)
    assert (second.observation or "").endswith("</information>\n" + MUST_ANSWER)
    assert third.kind is TurnKind.SEARCH and third.retrieval is None and third.observation is None
    assert buffer.response_mask[-1] == 1


async def test_a_malformed_turn_before_the_last_is_announced_too(
    make_manager: MakeManager, question: Question
) -> None:
    episode, _ = await make_manager(scripted("oops", "oops"), max_turns=2).run_episode(question)
    assert (episode.turns[0].observation or "").endswith(MUST_ANSWER)
    assert episode.status is EpisodeStatus.MAX_TURNS


async def test_with_one_turn_the_prompt_says_so(make_manager: MakeManager, question: Question) -> None:
    policy = scripted(ANSWER)
    episode, buffer = await make_manager(policy, max_turns=1).run_episode(question)
    assert MUST_ANSWER.strip() in ByteTokenizer().decode(buffer.prompt_ids)
    assert episode.status is EpisodeStatus.ANSWERED
    _, longer = await make_manager(scripted(ANSWER), max_turns=2).run_episode(question)
    assert MUST_ANSWER.strip() not in ByteTokenizer().decode(longer.prompt_ids)


async def test_a_turn_cut_by_its_own_limit_is_malformed(
    make_manager: MakeManager, question: Question
) -> None:
    policy = scripted(SEARCH, ANSWER)
    episode, _ = await make_manager(policy, max_response_length=50).run_episode(question)
    assert episode.turns[0].kind is TurnKind.MALFORMED
    assert episode.turns[0].problem == "the turn was cut at 50 tokens, before its closing tag"
    assert episode.turns[0].num_tokens == 50
    assert episode.status is EpisodeStatus.ANSWERED


async def test_repeated_queries_are_marked(make_manager: MakeManager, question: Question) -> None:
    body = '{"action_type": "get_tail_entities", "entity_id": "FRANCE", "relation": "capital"}'
    again = f"<think>t</think><search>{body}</search>"
    episode, _ = await make_manager(scripted(SEARCH, BORDERS, again, ANSWER), max_turns=5).run_episode(
        question
    )
    assert [turn.is_repeated for turn in episode.turns] == [False, False, True, False]
    assert episode.turns[2].observation == "\n<information>Paris (asked before)</information>\n"


async def test_a_retry_after_an_unreachable_graph_is_no_repetition(
    make_manager: MakeManager, question: Question
) -> None:
    client = RecordingClient(DOWN, FOUND)
    episode, _ = await make_manager(scripted(SEARCH, SEARCH, SEARCH, ANSWER), client=client).run_episode(
        question
    )
    assert [turn.is_repeated for turn in episode.turns] == [False, False, True, False]
    assert episode.turns[0].observation == (
        "\n<information>Error: the knowledge graph cannot be reached now.</information>\n"
    )


@pytest.mark.parametrize(
    ("settings", "num_turns"),
    [({"kg_failure": "end"}, 1), ({"max_kg_failures": 0}, 1), ({"max_kg_failures": 2}, 3)],
)
async def test_a_graph_that_stays_away_ends_the_episode(
    make_manager: MakeManager, question: Question, settings: dict[str, Any], num_turns: int
) -> None:
    manager = make_manager(scripted(*[SEARCH] * 5), client=RecordingClient(DOWN), max_turns=9, **settings)
    episode, buffer = await manager.run_episode(question)
    assert episode.status is EpisodeStatus.KG_UNAVAILABLE
    assert len(episode.turns) == num_turns
    assert episode.turns[-1].observation is None and buffer.response_mask[-1] == 1


async def test_an_ordinary_error_never_counts_as_an_unreachable_graph(
    make_manager: MakeManager, question: Question
) -> None:
    empty = Retrieval((), 0.0, 0, RetrievalError("no_results", "nothing there"))
    manager = make_manager(
        scripted(*[SEARCH] * 4), client=RecordingClient(empty), kg_failure="end", max_kg_failures=0
    )
    episode, _ = await manager.run_episode(question)
    assert episode.status is EpisodeStatus.MAX_TURNS


async def test_a_policy_that_gives_up_ends_the_episode(make_manager: MakeManager, question: Question) -> None:
    episode, buffer = await make_manager(scripted(SEARCH)).run_episode(question)
    assert episode.status is EpisodeStatus.POLICY_ABORTED
    assert len(episode.turns) == 1 and buffer.response_mask[-1] == 0


async def test_what_was_sampled_before_giving_up_is_kept(
    make_manager: MakeManager, question: Question
) -> None:
    class GivingUp:
        async def generate(self, prompt_ids: Sequence[int], **_: Any) -> Generation:
            return Generation(list(ANSWER.encode()), None, "aborted")

    episode, buffer = await make_manager(GivingUp()).run_episode(question)
    assert episode.status is EpisodeStatus.POLICY_ABORTED
    assert episode.answer is None and episode.turns[0].problem == "the generation was aborted"
    assert buffer.response_ids == list(ANSWER.encode())


async def test_a_policy_that_returns_too_much_is_a_fault(
    make_manager: MakeManager, question: Question
) -> None:
    class Chatty:
        async def generate(self, prompt_ids: Sequence[int], **_: Any) -> Generation:
            return Generation([65] * 999, None, "stop")

    with pytest.raises(ValueError, match="999 tokens where at most 500"):
        await make_manager(Chatty()).run_episode(question)


async def test_a_long_prompt_is_never_played(make_manager: MakeManager, question: Question) -> None:
    policy = scripted(ANSWER)
    _, short = await make_manager(policy).run_episode(question)
    num = len(short.prompt_ids)
    for settings in ({"max_start_length": num - 1}, {"max_prompt_length": num + MIN_ANSWER_TOKENS - 1}):
        episode, buffer = await make_manager(policy, **settings).run_episode(question, "long")
        assert episode.status is EpisodeStatus.PROMPT_TOO_LONG
        assert episode.turns == [] and buffer.response_ids == []
    assert "long" not in policy.prompts


@pytest.mark.parametrize("room_left", [0, 1, 2])
async def test_an_observation_without_room_for_an_answer_is_left_out(
    make_manager: MakeManager, question: Question, room_left: int
) -> None:
    _, whole = await make_manager(scripted(SEARCH, ANSWER)).run_episode(question)
    observed = len(whole.prompt_ids) + whole.turn_spans[1][0]
    limit = observed + MIN_ANSWER_TOKENS - 1 + room_left
    manager = make_manager(scripted(SEARCH, ANSWER), max_prompt_length=limit)
    episode, buffer = await manager.run_episode(question)
    assert episode.status is EpisodeStatus.MAX_TOKENS
    assert len(buffer.all_ids) <= limit
    # With one token more than that the observation goes in, and the answer (42 tokens) is cut.
    assert len(episode.turns) == (1 if room_left == 0 else 2)
    assert episode.turns[0].observation == (
        None if room_left == 0 else "\n<information>Paris</information>\n"
    )


async def test_max_episode_tokens_bounds_turns_and_observations(
    make_manager: MakeManager, question: Question
) -> None:
    episode, buffer = await make_manager(
        scripted(*[SEARCH] * 9), max_turns=9, max_episode_tokens=250
    ).run_episode(question)
    assert episode.status is EpisodeStatus.MAX_TOKENS
    assert len(buffer.response_ids) <= 250


async def test_the_observation_limit_covers_the_frame(make_manager: MakeManager, question: Question) -> None:
    # The frame is 29 characters, the last-turn line 32 and the whole listing 23: 84 in all.
    for limit, shown in ((84, "Germany | Italy | Spain"), (83, "Germany (+2 more)")):
        manager = make_manager(scripted(BORDERS, ANSWER), max_obs_length=limit, max_turns=2)
        episode, _ = await manager.run_episode(question)
        assert episode.turns[0].observation == f"\n<information>{shown}</information>\n{MUST_ANSWER}"
        assert episode.turns[0].num_observation_tokens == 61 + len(shown)


def test_an_observation_limit_that_cannot_work_is_refused(make_manager: MakeManager) -> None:
    with pytest.raises(ValueError, match="max_obs_length must be at least"):
        make_manager(scripted(), max_obs_length=20)


async def test_without_thinking_the_turns_need_no_think(
    make_manager: MakeManager, question: Question
) -> None:
    bare = ('<search>get_tail_entities("France", "capital")</search>', "<answer>Paris</answer>")
    episode, buffer = await make_manager(scripted(*bare), no_think_rl=True).run_episode(question)
    assert all(turn.is_well_formed for turn in episode.turns)
    assert "think" not in ByteTokenizer().decode(buffer.prompt_ids)
    episode, _ = await make_manager(scripted(*bare)).run_episode(question)
    assert not any(turn.is_well_formed for turn in episode.turns)


async def test_an_action_registered_at_run_time_is_offered_and_understood(
    make_manager: MakeManager, question: Question
) -> None:
    from kg_r1.search.actions import ACTION_REGISTRY, ActionHandler, ActionRegistry

    class GetDegree(ActionHandler):
        """How many facts an entity stands in."""

        def execute(self, sample_id: str, dataset_name: str, entity_id: str, **kwargs: Any) -> dict[str, Any]:
            data = self.load_subgraph(sample_id, dataset_name) or {"triples": []}
            num = sum(entity_id in (head, tail) for head, _, tail in data["triples"])
            return {"degree": [str(num)]}

    registry = ActionRegistry(dict(ACTION_REGISTRY))
    client = RecordingClient(Retrieval(({"degree": ["5"]},), 0.0, 1))
    policy = scripted('<think>t</think><search>get_degree("France")</search>', ANSWER)
    manager = make_manager(policy, client=client, registry=registry)
    registry["get_degree"] = GetDegree
    episode, buffer = await manager.run_episode(question)
    assert "get_degree(entity_id" in ByteTokenizer().decode(buffer.prompt_ids)
    assert client.requests[0]["action_type"] == "get_degree"
    assert episode.turns[0].observation == "\n<information>5</information>\n"


def test_an_episode_ends_once() -> None:
    episode = Episode(named("a")[0])
    assert episode.status is None
    episode.finish(EpisodeStatus.MAX_TURNS)
    with pytest.raises(RuntimeError, match="max_turns"):
        episode.finish(EpisodeStatus.ANSWERED)
    with pytest.raises(RuntimeError, match="max_turns"):
        episode.add(None)  # type: ignore[arg-type]
