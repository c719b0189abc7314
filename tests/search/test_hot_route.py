"""POST /retrieve from bytes to bytes: what is quick, what is not, and who waits for whom."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import orjson
import pytest
from starlette.types import Message

from kg_r1.kg.store import GraphStore
from kg_r1.search.actions import ActionRegistry, BaseAction
from kg_r1.search.hot_route import BatchAnswer, Disconnected, HotRoute
from kg_r1.search.limits import ServerLimits
from kg_r1.search.replies import Refused
from kg_r1.search.retriever import KnowledgeGraphRetriever

CAPITAL = {
    "action_type": "get_tail_entities",
    "dataset_name": "world",
    "entity_id": "France",
    "relation": "capital",
}
RELATIONS = {"action_type": "get_relations", "dataset_name": "world", "entity_id": "Spain"}
ITEM = b'{"results":[{"tail_entities":["Paris"]}],"query_time":0.0,"total_results":1}'


class HalfQuick(KnowledgeGraphRetriever):
    """Has get_tail_entities at hand; everything else takes the general way. Notes which thread did what."""

    def __init__(self, store: GraphStore, registry: ActionRegistry) -> None:
        super().__init__(store, registry)
        self.threads: dict[str, set[int]] = {"quick": set(), "retrieve": set()}

    def quick(self, request: object) -> bytes | None:
        if isinstance(request, dict) and request.get("action_type") == "get_tail_entities":
            self.threads["quick"].add(threading.get_ident())
            return orjson.dumps(super().retrieve(request))
        return None

    def retrieve(self, request: Mapping[str, Any]) -> dict[str, Any]:
        self.threads["retrieve"].add(threading.get_ident())
        return super().retrieve(request)


class BusyQuick(KnowledgeGraphRetriever):
    """Needs 0.2 ms of the processor for each item."""

    def quick(self, request: object) -> bytes | None:
        end = time.perf_counter() + 0.0002
        while time.perf_counter() < end:
            pass
        return ITEM


class Repeat(BaseAction):
    """Gives a value as it came."""

    def get_required_fields(self) -> list[str]:
        return ["value"]

    def execute(self, retriever: KnowledgeGraphRetriever, request_data: dict[str, Any]) -> dict[str, Any]:
        return {"repeated": [request_data["value"]]}


@pytest.fixture
def half_quick(base: Path, registry: ActionRegistry) -> HalfQuick:
    return HalfQuick(GraphStore(base), registry)


def receiving(*chunks: bytes) -> Callable[[], Awaitable[Message]]:
    """An ASGI receive that gives the chunks, then says that the client has gone."""
    messages: list[Message] = [
        {"type": "http.request", "body": chunk, "more_body": number < len(chunks)}
        for number, chunk in enumerate(chunks, start=1)
    ]

    async def receive() -> Message:
        return messages.pop(0) if messages else {"type": "http.disconnect"}

    return receive


async def ask(route: HotRoute, requests: Any) -> BatchAnswer:
    body = requests if isinstance(requests, bytes) else json.dumps(requests).encode()
    return await route.answer(receiving(body), None)


def without_time(items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{**item, "query_time": 0} for item in items]


async def test_quick_and_slow_items_keep_their_places(
    half_quick: HalfQuick, retriever: KnowledgeGraphRetriever
) -> None:
    requests = [CAPITAL, RELATIONS, 5, {**CAPITAL, "entity_id": "nobody"}, *[RELATIONS, CAPITAL] * 100]
    answer = await ask(HotRoute(half_quick, ServerLimits()), requests)
    assert without_time(json.loads(answer.body)) == without_time(retriever.retrieve_batch(requests))
    assert (answer.num_items, answer.num_slow) == (204, 102)
    loop_thread = threading.get_ident()
    assert half_quick.threads["quick"] == {loop_thread}
    assert half_quick.threads["retrieve"] and loop_thread not in half_quick.threads["retrieve"]


async def test_quick_items_need_no_thread(half_quick: HalfQuick) -> None:
    answer = await ask(HotRoute(half_quick, ServerLimits()), [CAPITAL] * 300)
    assert (answer.num_items, answer.num_slow) == (300, 0)
    assert half_quick.threads["retrieve"] == set()
    assert answer.counts == {("get_tail_entities", "ok"): 300}


async def test_the_reply_is_compact_utf8(
    retriever: KnowledgeGraphRetriever, registry: ActionRegistry
) -> None:
    registry["repeat"] = Repeat()
    body = json.dumps([{"action_type": "repeat", "value": "Zoë ‮\x00"}], ensure_ascii=False).encode()
    answer = await ask(HotRoute(retriever, ServerLimits()), body.replace(b"\x00", b"\\u0000"))
    assert answer.body.startswith('[{"results":[{"repeated":["Zoë ‮\\u0000"]}],"query_time":'.encode())


@pytest.mark.parametrize("value", [2**80, -(2**64), 0.5, "a\ud800", ["\udfff", 2**70], {"a": 10**400}, 1e400])
async def test_values_reach_the_action_and_come_back_unchanged(
    retriever: KnowledgeGraphRetriever, registry: ActionRegistry, value: Any
) -> None:
    registry["repeat"] = Repeat()
    requests = [CAPITAL, {"action_type": "repeat", "value": value}, CAPITAL]
    items = json.loads((await ask(HotRoute(retriever, ServerLimits()), requests)).body)
    if value == 1e400:  # JSON has no infinity: the action's answer is refused, its neighbours are not
        assert items[1]["results"][0]["code"] == "action_failed"
    else:
        assert items[1]["results"] == [{"repeated": [value]}]
    assert items[0]["total_results"] == items[2]["total_results"] == 1


async def test_a_slow_batch_keeps_nobody_waiting(half_quick: HalfQuick, registry: ActionRegistry) -> None:
    is_waiting, may_go_on = threading.Event(), threading.Event()

    class Wait(Repeat):
        def execute(self, retriever: KnowledgeGraphRetriever, request_data: dict[str, Any]) -> dict[str, Any]:
            is_waiting.set()
            assert may_go_on.wait(timeout=30)
            return super().execute(retriever, request_data)

    registry["wait"] = Wait()
    route = HotRoute(half_quick, ServerLimits())
    slow = asyncio.create_task(ask(route, [CAPITAL, {"action_type": "wait", "value": 1}]))
    assert await asyncio.to_thread(is_waiting.wait, 30)
    assert (await ask(route, [CAPITAL] * 100)).num_slow == 0
    assert (await ask(route, [RELATIONS])).num_slow == 1
    assert not slow.done()
    may_go_on.set()
    assert json.loads((await slow).body)[1]["results"] == [{"repeated": [1]}]


async def turns_of(work: Awaitable[Any]) -> int:
    """How often the event loop went round while something was done."""
    num_turns, is_done = 0, False

    async def count() -> None:
        nonlocal num_turns
        while not is_done:
            await asyncio.sleep(0)
            num_turns += 1

    counting = asyncio.create_task(count())
    await work
    is_done = True
    await counting
    return num_turns


async def test_others_have_their_turn_during_a_large_batch(retriever: KnowledgeGraphRetriever) -> None:
    route = HotRoute(BusyQuick(retriever.store), ServerLimits())
    # 320 items of 0.2 ms: every look at the clock, after 16 items, ends a turn.
    assert await turns_of(ask(route, [{"action_type": "x"}] * 320)) >= 20


async def test_many_small_batches_share_their_turns(retriever: KnowledgeGraphRetriever) -> None:
    route = HotRoute(BusyQuick(retriever.store), ServerLimits())
    batches = asyncio.gather(*[ask(route, [{"action_type": "x"}]) for _ in range(60)])
    # Together they work for 12 ms, and no turn may take more than 0.5 ms and one batch.
    assert await turns_of(batches) >= 12


async def test_batches_are_answered_in_the_order_they_came(retriever: KnowledgeGraphRetriever) -> None:
    route = HotRoute(BusyQuick(retriever.store), ServerLimits())
    done: list[int] = []

    async def one(number: int) -> None:
        await ask(route, [{"action_type": "x"}] * (40 - 10 * number))
        done.append(number)

    await asyncio.gather(*map(one, range(4)))
    assert done == [0, 1, 2, 3]


async def test_a_body_in_pieces(half_quick: HalfQuick) -> None:
    body = json.dumps([CAPITAL, "é"]).encode()
    route = HotRoute(half_quick, ServerLimits(max_body_bytes=len(body)))
    answer = await route.answer(receiving(*[body[at : at + 1] for at in range(len(body))]), None)
    assert answer.num_items == 2
    with pytest.raises(Refused, match="at most") as refused:
        await route.answer(receiving(body, b" "), None)
    assert refused.value.reply.status == 413


async def test_a_body_that_announces_too_much_is_not_read(half_quick: HalfQuick) -> None:
    async def receive() -> Message:
        raise AssertionError("nobody may read this body")

    route = HotRoute(half_quick, ServerLimits(max_body_bytes=100))
    with pytest.raises(Refused, match="a body of 101 bytes") as refused:
        await route.answer(receive, b"101")
    assert refused.value.reply.status == 413


async def test_a_body_that_does_not_come(half_quick: HalfQuick) -> None:
    async def receive() -> Message:
        await asyncio.sleep(30)
        raise AssertionError("the limit did not end the wait")

    with pytest.raises(Refused, match=r"within 0\.05 s") as refused:
        await HotRoute(half_quick, ServerLimits(max_body_read_s=0.05)).answer(receive, None)
    assert refused.value.reply.status == 408
    assert (b"connection", b"close") in refused.value.reply.headers


async def test_a_client_that_goes_away(half_quick: HalfQuick) -> None:
    with pytest.raises(Disconnected):
        await HotRoute(half_quick, ServerLimits()).answer(receiving(), None)


async def test_codes_and_actions_are_counted_under_bounded_names(
    half_quick: HalfQuick, registry: ActionRegistry
) -> None:
    class Odd(Repeat):
        def execute(self, retriever: KnowledgeGraphRetriever, request_data: dict[str, Any]) -> dict[str, Any]:
            return {"error": "no", "code": request_data["value"]}

    registry["odd"] = Odd()
    requests: list[Any] = [
        CAPITAL,
        {**RELATIONS, "entity_id": "nobody"},
        {**RELATIONS, "action_type": "made_up"},
        {**RELATIONS, "action_type": ["get_relations"]},
        "text",
        *[{"action_type": "odd", "value": f"code {number}"} for number in range(9)],
    ]
    answer = await ask(HotRoute(half_quick, ServerLimits()), requests)
    assert answer.counts == {
        ("get_tail_entities", "ok"): 1,
        ("get_relations", "unknown_entity"): 1,
        ("unknown", "unknown_action"): 1,
        ("unknown", "invalid_field"): 2,
        ("odd", "other"): 9,
    }
