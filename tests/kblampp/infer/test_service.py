"""One model, many callers, and stores exchanged while they ask."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kblampp.answering import Answer, Query
from kblampp.config import Config, StoreConfig
from kblampp.errors import ArtefactMissing, ArtefactStale, DataError
from kblampp.infer.errors import AnswerFailed, ServiceBusy, ServiceClosed
from kblampp.infer.service import InjectionService
from tests.kblampp.infer.conftest import HOSTILE
from tests.kblampp.injection import make_answerer, questions

QUERIES = [Query(it.question, it.question_time) for it in questions()]
BORN = QUERIES[0]


def gated(service: InjectionService, monkeypatch: pytest.MonkeyPatch) -> tuple[threading.Event, list[int]]:
    """Holds every batch until the event is set, and notes how large each was."""
    gate, sizes = threading.Event(), list[int]()
    answer = service._answerer.answer

    def held(queries: Sequence[Query]) -> list[Answer]:
        sizes.append(len(queries))
        gate.wait(20)
        return answer(queries)

    monkeypatch.setattr(service._answerer, "answer", held)
    return gate, sizes


def test_answers_are_those_of_the_answerer_in_order(service: InjectionService, world: Config) -> None:
    alone = make_answerer(world)
    for query, reply in zip(QUERIES, service.ask(QUERIES), strict=True):
        [wanted] = alone.answer([query])
        assert reply.query is query
        assert reply.store == "tiny"
        assert [it.fact for it in reply.answer.evidence] == [it.fact for it in wanted.evidence]
        assert reply.answer.refusal_alpha == pytest.approx(wanted.refusal_alpha, abs=1e-4)


def test_no_questions_are_no_answers(service: InjectionService) -> None:
    assert service.ask([]) == []


def test_what_waits_together_is_answered_together(
    service: InjectionService, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, sizes = gated(service, monkeypatch)
    first = service.submit(QUERIES[:1])
    while not sizes:
        threading.Event().wait(0.005)
    rest = [future for query in QUERIES[1:] for future in service.submit([query])]
    gate.set()
    assert [it.result(20).query for it in first + rest] == QUERIES
    assert sizes == [1, 4, 3]
    assert service.status()["counters"]["num_batches"] == 3


def test_requests_under_way_finish_on_the_old_store(
    service: InjectionService, store_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, sizes = gated(service, monkeypatch)
    old = service._served.retriever.store
    before = service.submit([BORN] * 6)
    assert service.swap(store_root / "other") == 33
    after = service.submit([BORN])
    gate.set()
    replies = [future.result(20) for future in before + after]
    assert [it.store for it in replies] == ["tiny"] * 6 + ["other"]
    assert sizes == [4, 2, 1]
    tails = [{it.fact.tail for it in reply.answer.evidence if it.row == 0} for reply in replies]
    assert all(tail <= {"Arden"} for tail in tails[:6])
    assert tails[6] <= {HOSTILE}
    service.ask([BORN])  # the worker has left the old store by then
    assert old._facts.closed
    assert not service._served.retriever.store._facts.closed


def test_stores_are_exchanged_while_many_ask(service: InjectionService, store_root: Path) -> None:
    facts_of = {"tiny": 32, "other": 33}
    is_over = threading.Event()

    def keep_swapping() -> int:
        number = 0
        while not is_over.is_set():
            number += 1
            service.swap(store_root / ("other" if number % 2 else "tiny"))
        return number

    def keep_asking(offset: int) -> set[str]:
        seen = set()
        for number in range(6):
            replies = service.ask([QUERIES[(offset + number) % len(QUERIES)], BORN])
            assert replies[0].store == replies[1].store
            for reply in replies:
                seen.add(reply.store)
                rows = [it.row for it in reply.answer.evidence]
                assert rows and max(rows) < facts_of[reply.store]
                for it in reply.answer.evidence:
                    assert (it.fact.tail == HOSTILE) <= (reply.store == "other")
        return seen

    with ThreadPoolExecutor(5) as pool:
        swaps = pool.submit(keep_swapping)
        seen = set().union(*pool.map(keep_asking, range(4)))
        is_over.set()
        assert swaps.result() == service.status()["counters"]["num_swaps"] > 1
    assert seen == {"tiny", "other"}
    assert service.status()["counters"]["num_questions"] == 4 * 6 * 2


def test_a_store_that_does_not_fit_leaves_the_old_one(
    service: InjectionService, world: Config, store_root: Path, tmp_path: Path
) -> None:
    with pytest.raises(ArtefactMissing):
        service.swap(tmp_path)
    answers = service._answerer
    answers.config = replace(world, store=StoreConfig(path=world.store.path, max_tail_tokens=23))
    with pytest.raises(ArtefactStale, match="tokens of a tail"):
        service.swap(store_root / "other")
    assert service.status()["store"] == "tiny"
    assert service.status()["counters"]["num_swaps"] == 0
    assert service.ask([BORN])[0].store == "tiny"


def test_a_question_that_fails_fails_alone(
    service: InjectionService, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = service._answerer.answer

    def touchy(queries: Sequence[Query]) -> list[Answer]:
        if any(query.question == "bad" for query in queries):
            raise RuntimeError("secret of the model")
        if any(query.question == "worse" for query in queries):
            raise DataError("told")
        return answer(queries)

    monkeypatch.setattr(service._answerer, "answer", touchy)
    good, bad, worse = service.submit([BORN, Query("bad"), Query("worse")])
    assert good.result(20).answer.evidence
    with pytest.raises(AnswerFailed) as caught:
        bad.result(20)
    assert "secret" not in str(caught.value)
    with pytest.raises(DataError, match="told"):
        worse.result(20)
    assert service.ask([BORN])
    assert service.status()["counters"]["num_failed"] == 2


def test_no_more_wait_than_may(world: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    service = InjectionService(make_answerer(world), "tiny", max_batch=1, max_waiting=2)
    gate, sizes = gated(service, monkeypatch)
    running = service.submit([BORN])
    while not sizes:
        threading.Event().wait(0.005)
    waiting = service.submit([BORN, BORN])
    with pytest.raises(ServiceBusy):
        service.submit([BORN])
    closing = threading.Thread(target=service.close)
    closing.start()
    for future in waiting:
        with pytest.raises(ServiceClosed):
            future.result(20)
    gate.set()
    closing.join(20)
    assert running[0].result(20).answer
    with pytest.raises(ServiceClosed):
        service.submit([BORN])


def test_one_that_was_given_up_is_not_answered(
    service: InjectionService, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, sizes = gated(service, monkeypatch)
    service.submit([BORN])
    while not sizes:
        threading.Event().wait(0.005)
    given_up, kept = service.submit([BORN, BORN])
    assert given_up.cancel()
    gate.set()
    assert kept.result(20)
    assert sizes == [1, 1]


def test_status_names_the_model_without_its_place(service: InjectionService, world: Config) -> None:
    status: dict[str, Any] = service.status()
    assert status["model"] == "backbone"
    assert (status["store"], status["num_facts"], status["index"]) == ("tiny", 32, "exact")
