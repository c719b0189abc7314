"""The queries without HTTP: how many a second `KnowledgeGraphRetriever` answers when called in a loop.

    python -m benchmarks.kg_server_inprocess --base_data_path DIR --workload FOLDER

In: tasks, a JSON object a line: `{"method": "quick" or "retrieve", "duration_s": 3}`. Out: for each a
line of JSON: queries a second, the share of them that was answered, and how many answers were wrong. A
query that `quick` leaves to `retrieve` is not counted as answered.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import orjson

from benchmarks.kg_server_queries import comparable, read_requests, read_truths
from kg_r1.kg.store import GraphStore
from kg_r1.search.retriever import KnowledgeGraphRetriever

CHUNK = 512  # queries between two looks at the clock


def measure(
    answer: Callable[[Any], object], requests: Sequence[Any], start: int, duration_s: float
) -> tuple[int, int, float]:
    """Calls `answer` over and over.

    Args:
        start: where in `requests` to begin; after the last comes the first.

    Returns:
        How many queries were asked, how many were answered with something, seconds.
    """
    num_asked = num_answered = 0
    endless = itertools.islice(itertools.cycle(requests), start, None)
    started = time.perf_counter()
    while (seconds := time.perf_counter() - started) < duration_s or not num_asked:
        for request in itertools.islice(endless, CHUNK):
            if answer(request) is not None:
                num_answered += 1
        num_asked += CHUNK
    return num_asked, num_answered, seconds


def count_wrong(
    answer: Callable[[Any], object],
    requests: Sequence[Any],
    truths: dict[int, bytes],
) -> int:
    """How many of the queries whose truth is known are answered wrongly; None is not a wrong answer."""
    num_wrong = 0
    for number, truth in truths.items():
        item: Any = answer(requests[number])
        if item is not None:
            parsed = item if isinstance(item, dict) else orjson.loads(item)
            num_wrong += comparable(parsed["results"][0]) != truth
    return num_wrong


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description="Answers queries in this process; tasks come as lines of JSON."
    )
    parser.add_argument("--base_data_path", type=Path, required=True)
    parser.add_argument("--workload", type=Path, required=True)
    options = parser.parse_args(argv)
    requests = [orjson.loads(body) for body in read_requests(options.workload)]
    truths = read_truths(options.workload)
    retriever = KnowledgeGraphRetriever(GraphStore(options.base_data_path))
    for body in read_requests(options.workload, "warmup"):
        retriever.retrieve(orjson.loads(body))
    position = 0
    for line in sys.stdin:
        task = orjson.loads(line)
        result: dict[str, Any] = {}
        if task:
            answer = getattr(retriever, task["method"])
            num_asked, num_answered, seconds = measure(answer, requests, position, task["duration_s"])
            position = (position + num_asked) % len(requests)
            result = {
                "queries_per_s": num_answered / seconds,
                "answered_share": num_answered / num_asked,
                "num_checked": len(truths),
                "num_wrong": count_wrong(answer, requests, truths) if task.get("check") else 0,
            }
        sys.stdout.write(orjson.dumps(result).decode() + "\n")
        sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
