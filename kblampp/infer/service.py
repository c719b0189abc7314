"""Answers for many callers at once over one model, and another store in its place while they ask."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from kblampp.answering import Answer, Query, QuestionAnswerer
from kblampp.errors import KblamppError
from kblampp.infer.errors import AnswerFailed, ServiceBusy, ServiceClosed
from kblampp.loading import load_retriever
from kblampp.retriever import Retriever

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Reply:
    """An answer, and the store that it is from."""

    query: Query
    answer: Answer
    store: str


@dataclass
class Counters:
    """Since the start."""

    num_questions: int = 0
    """Answered."""
    num_failed: int = 0
    num_batches: int = 0
    num_swaps: int = 0


@dataclass
class _Served:
    """A store in use; its file is closed once it was replaced and nobody waits for it."""

    name: str
    retriever: Retriever
    num_waiting: int = 0


@dataclass
class _Waiting:
    query: Query
    served: _Served
    future: Future[Reply]


class InjectionService:
    """Holds a `QuestionAnswerer`. Thread-safe; needs no HTTP.

    One thread has the model, which cannot do two things at once. Questions that wait together for the same
    store are answered as one batch. A question is answered from the store that was there when it came.

    Args:
        answerer: nobody else may use it from now on.
        store_name: of the store that it has.
        max_batch: most questions of a batch.
        max_waiting: most questions that may wait.
    """

    def __init__(
        self,
        answerer: QuestionAnswerer,
        store_name: str,
        *,
        max_batch: int = 32,
        max_waiting: int = 1024,
    ) -> None:
        self.max_batch = max_batch
        self.max_waiting = max_waiting
        self.num_hops = answerer.config.num_hops
        self._answerer = answerer
        self._served = _Served(store_name, answerer.retriever)
        self._counters = Counters()
        self._waiting: deque[_Waiting] = deque()
        self._changed = threading.Condition()
        self._swapping = threading.Lock()
        self._is_closed = False
        # Read once here: a swap compares it while the worker has the tokenizer.
        self._digest = answerer.answers.digest
        self._worker = threading.Thread(target=self._work, name="kblampp-answers", daemon=True)
        self._worker.start()

    def submit(self, queries: Sequence[Query]) -> list[Future[Reply]]:
        """Puts questions in the line, all for the same store; returns at once.

        Raises:
            ServiceBusy: not so many more may wait.
            ServiceClosed: the service was closed.
        """
        with self._changed:
            if self._is_closed:
                raise ServiceClosed("the service is stopping")
            if len(self._waiting) + len(queries) > self.max_waiting:
                raise ServiceBusy(f"{len(self._waiting)} questions are waiting; ask again later")
            waiting = [_Waiting(query, self._served, Future()) for query in queries]
            self._served.num_waiting += len(waiting)
            self._waiting.extend(waiting)
            self._changed.notify()
        return [it.future for it in waiting]

    def ask(self, queries: Sequence[Query]) -> list[Reply]:
        """Waits for the answers, in the order of the questions. Raises as `submit`, and what failed."""
        return [future.result() for future in self.submit(queries)]

    def swap(self, store_path: Path, name: str | None = None) -> int:
        """Puts another store in place of the present one; questions that came before keep theirs.

        The model stays. The new store is read while questions are answered.

        Args:
            store_path: folder of the store.
            name: what it is called from now on; None: the folder's name.

        Returns:
            How many facts it has.

        Raises:
            ArtefactMissing: there is no store, or no index.
            ArtefactStale: it is of another encoder or tokenizer.
        """
        with self._swapping:
            config = self._answerer.config
            config = replace(config, store=replace(config.store, path=str(store_path)))
            retriever = load_retriever(config, self._answerer.encoder, self._answerer.answers)
            new = _Served(name or store_path.name, retriever)
            with self._changed:
                old, self._served = self._served, new
                self._counters.num_swaps += 1
                is_free = old.num_waiting == 0
            if is_free:
                old.retriever.store.close()
            logger.info("store %s with %d facts in place of %s", new.name, len(retriever.store), old.name)
            return len(retriever.store)

    def status(self) -> dict[str, Any]:
        """Names, sizes and counters; never waits for an answer."""
        config = self._answerer.config
        with self._changed:
            served, counters, num_waiting = self._served, asdict(self._counters), len(self._waiting)
        backbone = Path(config.backbone)
        return {
            "store": served.name,
            "num_facts": len(served.retriever.store),
            "index": served.retriever.index.kind,
            # A folder's place on this machine is nobody's business.
            "model": backbone.name if backbone.is_dir() else config.backbone,
            "K_top": config.K_top,
            "max_batch": self.max_batch,
            "counters": counters | {"num_waiting": num_waiting},
        }

    def close(self) -> None:
        """Stops after the batch under way; who still waits gets ServiceClosed."""
        with self._changed:
            self._is_closed = True
            left = list(self._waiting)
            self._waiting.clear()
            self._changed.notify()
        for it in left:
            if it.future.set_running_or_notify_cancel():
                it.future.set_exception(ServiceClosed("the service is stopping"))
        self._worker.join()

    def _work(self) -> None:
        while batch := self._next_batch():
            wanted = [it for it in batch if it.future.set_running_or_notify_cancel()]
            if wanted:
                self._answer(wanted)
            self._leave(batch)

    def _next_batch(self) -> list[_Waiting]:
        """Those at the head of the line that want one store; waits for them; none once closed."""
        with self._changed:
            while not self._waiting and not self._is_closed:
                self._changed.wait()
            batch: list[_Waiting] = []
            while self._waiting and len(batch) < self.max_batch:
                if batch and self._waiting[0].served is not batch[0].served:
                    break
                batch.append(self._waiting.popleft())
            return batch

    def _answer(self, batch: Sequence[_Waiting]) -> None:
        """Fills the futures; where a batch fails, each question is asked alone, so that one fails alone."""
        self._answerer.retriever = batch[0].served.retriever
        try:
            answers = self._answerer.answer([it.query for it in batch])
        except Exception as error:  # what a model raises is for who asked, not for this thread
            if len(batch) > 1:
                for it in batch:
                    self._answer([it])
                return
            logger.exception("a question failed")
            with self._changed:
                self._counters.num_failed += 1
            batch[0].future.set_exception(_told(error))
            return
        with self._changed:
            self._counters.num_questions += len(batch)
            self._counters.num_batches += 1
        for it, answer in zip(batch, answers, strict=True):
            it.future.set_result(Reply(it.query, answer, it.served.name))

    def _leave(self, batch: Sequence[_Waiting]) -> None:
        served = batch[0].served
        with self._changed:
            served.num_waiting -= len(batch)
            is_done = served.num_waiting == 0 and served is not self._served
        if is_done:
            served.retriever.store.close()


def _told(error: Exception) -> KblamppError:
    """What the caller hears: no more than the kind of an error that nobody foresaw."""
    if isinstance(error, KblamppError):
        return error
    failure = AnswerFailed(f"the answer failed with {type(error).__name__}; the log says more")
    failure.__cause__ = error
    return failure
