"""Seconds and memory of a question with injected facts against the plain backbone.

    python benchmarks/injection.py --config configs/synth_world.yaml --backbone configs/backbone_smollm.yaml \
        --checkpoint runs/kblampp/synth_world/final

Both generate the same number of tokens after the same prompts, one question at a time, in turn; the first is
left out. The backbone's output layer reads contiguous states in both, which is faster than it comes
(kblampp/injection_wrapper.py). The store is searched exactly or by its graph, as its size says.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from kblampp.answering import Query, QuestionAnswerer, left_padded, load_answerer
from kblampp.config import add_config_flags, config_from_flags, parse_flags
from kblampp.questions import read_questions

PARTS = ("plain", "encode", "select", "generate", "injected")


def generate(answerer: QuestionAnswerer, prompt: str, num_tokens: int) -> None:
    """Exactly `num_tokens` tokens, with the facts that are given."""
    batch = left_padded([answerer.answers.encode(prompt)], answerer.answers.tokenizer.pad_token_id, "cpu")
    answerer.model.backbone.generate(
        **batch, max_new_tokens=num_tokens, min_new_tokens=num_tokens, do_sample=False
    )


def timed(seconds: dict[str, list[float]], part: str, job: Callable[[], object]) -> object:
    """Runs a job and notes how long it took."""
    started = time.perf_counter()
    result = job()
    seconds[part].append(time.perf_counter() - started)
    return result


@torch.no_grad()
def measure(answerer: QuestionAnswerer, queries: Sequence[Query], num_tokens: int) -> dict[str, list[float]]:
    """Seconds of each part, a list over the questions without the first."""
    seconds: dict[str, list[float]] = {part: [] for part in PARTS}
    model, retriever = answerer.model, answerer.retriever
    for query in queries:
        prompt = answerer.answers.prompt(query.question)
        with model.given(None):
            timed(seconds, "plain", lambda prompt=prompt: generate(answerer, prompt, num_tokens))
        encoded = timed(seconds, "encode", lambda query=query: answerer.encode([query]))
        knowledge = timed(
            seconds,
            "select",
            lambda encoded=encoded: model.knowledge_of(
                retriever.select(model.selector, encoded, answerer.config.K_top)
            ),
        )
        with model.given(knowledge):
            timed(seconds, "generate", lambda prompt=prompt: generate(answerer, prompt, num_tokens))
        seconds["injected"].append(sum(seconds[part][-1] for part in ("encode", "select", "generate")))
    return {part: values[1:] for part, values in seconds.items()}


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--checkpoint", type=Path)
    parser.add_argument("--num-questions", type=int, default=50)
    parser.add_argument("--num-tokens", type=int, default=8)
    add_config_flags(parser)
    arguments = parse_flags(parser, argv)
    config = config_from_flags(arguments)
    answerer = load_answerer(config, arguments.checkpoint)
    asked = read_questions(Path(config.test_qa_path))[: arguments.num_questions + 1]
    seconds = measure(answerer, [Query(it.question, it.question_time) for it in asked], arguments.num_tokens)
    print(f"{len(answerer.retriever.store):,} facts, {answerer.retriever.index.kind} search, "
          f"{arguments.num_tokens} tokens, {len(seconds['plain'])} questions")  # fmt: skip
    for part in PARTS:
        middle = statistics.median(seconds[part]) * 1000
        print(f"{part:10s} median {middle:7.1f} ms")
    ratios = [
        with_facts / plain for with_facts, plain in zip(seconds["injected"], seconds["plain"], strict=True)
    ]
    print(f"injected / plain: median {statistics.median(ratios):.2f}")
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
