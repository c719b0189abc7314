"""Seconds and memory of a question with injected facts against the plain backbone.

    python benchmarks/injection.py --config configs/synth_world.yaml --backbone configs/backbone_smollm.yaml \
        --checkpoint runs/kblampp/synth_world/final

Both generate the same number of tokens after the same prompts, one question at a time, in turn; the first is
left out. The backbone's output layer reads contiguous states in both, which is faster than it comes
(kblampp/injection_wrapper.py). The store is searched exactly or by its graph, as its size says. Memory is the
most that a process held, Python and its libraries included; the plain backbone has a process of its own.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import torch
from torch import nn

from kblampp.answer_format import AnswerFormat
from kblampp.answering import Query, QuestionAnswerer, left_padded, load_answerer
from kblampp.config import Config, add_config_flags, config_from_flags, parse_flags
from kblampp.loading import load_answer_format, load_backbone
from kblampp.questions import read_questions

PARTS = ("plain", "encode", "select", "generate", "injected")


def generate(backbone: nn.Module, answers: AnswerFormat, prompt: str, num_tokens: int) -> None:
    """Exactly `num_tokens` tokens, with the facts that are given."""
    batch = left_padded([answers.encode(prompt)], answers.tokenizer.pad_token_id, "cpu")
    backbone.generate(**batch, max_new_tokens=num_tokens, min_new_tokens=num_tokens, do_sample=False)


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
    backbone, answers = model.backbone, answerer.answers
    for query in queries:
        prompt = answers.prompt(query.question)
        with model.given(None):
            timed(seconds, "plain", lambda prompt=prompt: generate(backbone, answers, prompt, num_tokens))
        encoded = timed(seconds, "encode", lambda query=query: answerer.encode([query]))
        knowledge = timed(
            seconds,
            "select",
            lambda encoded=encoded: model.knowledge_of(
                retriever.select(model.selector, encoded, answerer.config.K_top)
            ),
        )
        with model.given(knowledge):
            timed(seconds, "generate", lambda prompt=prompt: generate(backbone, answers, prompt, num_tokens))
        seconds["injected"].append(sum(seconds[part][-1] for part in ("encode", "select", "generate")))
    return {part: values[1:] for part, values in seconds.items()}


def peak_gib() -> float:
    """The most memory that this process has held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


@torch.no_grad()
def peak_of_plain(config: Config, questions: Sequence[str], num_tokens: int) -> float:
    """GiB of a process that answers with the backbone alone."""
    answers, backbone = load_answer_format(config), load_backbone(config).eval()
    for question in questions:
        generate(backbone, answers, answers.prompt(question), num_tokens)
    return peak_gib()


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
    asked = read_questions(Path(config.test_qa_path))[: arguments.num_questions + 1]
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        texts = [it.question for it in asked]
        plain_gib = pool.submit(peak_of_plain, config, texts, arguments.num_tokens).result()
    answerer = load_answerer(config, arguments.checkpoint)
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
    print(f"peak memory {peak_gib():.2f} GiB, plain {plain_gib:.2f}: {peak_gib() / plain_gib:.2f} times")
    return 0


if __name__ == "__main__":
    sys.exit(main())
