"""Plays the episodes of an evaluation that are still to be played, and writes each as it ends."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any

from kg_r1.eval.episodes_file import EpisodesFile, Key
from kg_r1.eval.metrics import reachable
from kg_r1.eval.record import episode_record
from kg_r1.eval.stopping import stop_accuracy
from kg_r1.eval.systems import System
from kg_r1.kg.store import GraphStore
from kg_r1.llm_agent.episode import Episode
from kg_r1.llm_agent.question import Question
from kg_r1.llm_agent.tensor_helper import TokenBuffer
from kg_r1.llm_agent.tokens import ChatTokenizer, decode
from kg_r1.reward.rubric import Rubric

Job = tuple[Question, int]  # a question and the number of its sample


def jobs_left(
    system: str, questions: Sequence[Question], num_samples: int, episodes: EpisodesFile
) -> list[Job]:
    """What is not played yet, sample by sample of each question."""
    return [
        (question, sample)
        for question in questions
        for sample in range(num_samples)
        if Key(system, question.question_id, sample) not in episodes.done
    ]


async def play_system(
    system: System,
    jobs: Sequence[Job],
    episodes: EpisodesFile,
    *,
    tokenizer: ChatTokenizer,
    store: GraphStore | None,
    max_concurrency: int,
    on_played: Callable[[], object],
) -> None:
    """Play the jobs, at most `max_concurrency` at a time, and add each episode to the file as it ends.

    Seconds are counted into `episodes.seconds` whatever happens. When an episode raises, the others that
    are under way are given up and its exception is raised, with the question's id in a note.
    """
    rubric = Rubric()
    left = iter(jobs)

    async def play_some() -> None:
        # Each takes the next job that nobody has taken: no more than these are ever under way.
        for question, sample in left:
            request_id = f"{question.question_id}#{sample}"
            try:
                episode, buffer = await system.manager_of(question).run_episode(question, request_id)
            except Exception as error:
                error.add_note(f"while {system.name} played question {question.question_id}")
                raise
            record = _line(system.name, sample, episode, buffer, rubric, tokenizer)
            if store is not None:
                graph = store.graph(question.dataset_name, question.sample_id)
                record["metrics"]["reachable"] = float(reachable(graph, question))
            episodes.add(record)
            on_played()

    started = time.monotonic()
    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(min(max_concurrency, len(jobs))):
                group.create_task(play_some())
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from failures
    finally:
        spent = time.monotonic() - started
        episodes.seconds[system.name] = episodes.seconds.get(system.name, 0.0) + spent


def _line(
    system: str,
    sample: int,
    episode: Episode,
    buffer: TokenBuffer,
    rubric: Rubric,
    tokenizer: ChatTokenizer,
) -> dict[str, Any]:
    """One line of episodes.jsonl. Beside the rubric's metrics stands `stop_accuracy`, where it is defined."""
    record = {
        "system": system,
        "sample": sample,
        "prompt": decode(tokenizer, buffer.prompt_ids),
        "output": decode(tokenizer, buffer.response_ids),
        **episode_record(episode, rubric.score(episode)),
    }
    stopped = stop_accuracy(episode)
    record["metrics"] = dict(record["metrics"]) | ({} if stopped is None else {"stop_accuracy": stopped})
    return record
