"""What each part of the prompt does for a model that was not trained here.

    python benchmarks/prompt_ablation.py --model MODEL --questions data_kg/world/questions/val.parquet \
        --base-data-path data_kg --out runs/prompts --max-questions 100

Plays the same questions with every variant named, on one engine, and prints a row each: the share of valid
queries, coverage, EM, F1 and, with several samples, pass@k, and the tokens of the prompt. The episodes
lie under `--out`, a folder a variant, as `kg-r1 eval` writes them; the same command again plays only what is
missing. Questions of more than `--max-hops` hops are left out.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from kg_r1.data.rows import read_questions
from kg_r1.eval.command import model_digest
from kg_r1.eval.episodes_file import EPISODES, EpisodesFile, Key
from kg_r1.eval.play import jobs_left, play_system
from kg_r1.eval.summary import summarise_system
from kg_r1.eval.systems import MODEL, World, build_system
from kg_r1.kg.store import GraphStore
from kg_r1.llm_agent.config import GenerationConfig
from kg_r1.llm_agent.policies_load import load_policy, load_tokenizer
from kg_r1.llm_agent.policies_vllm import EngineConfig
from kg_r1.llm_agent.question import Question
from kg_r1.search.client import InProcessKGClient
from kg_r1.search.server import KnowledgeGraphRetriever

MAX_CONTEXT = 3072
LIMITS = GenerationConfig(
    max_turns=7,
    max_start_length=1536,
    max_prompt_length=MAX_CONTEXT,
    max_response_length=160,
    max_obs_length=256,
    max_episode_tokens=1536,
)
VARIANTS: dict[str, dict[str, Any]] = {
    "compact": {"prompt_style": "compact"},
    "full-bare": {"prompt_style": "full", "worked_episode": False},
    "compact+episode": {"prompt_style": "compact", "worked_episode": True},
    "full": {"prompt_style": "full"},
    "full+think": {"prompt_style": "full", "begin_with_think": True},
    "full+handles": {"prompt_style": "full", "entity_form": "handle"},
    "full+no-think": {"prompt_style": "full", "no_think_rl": True},
    "tools": {"prompt_style": "full", "query_form": "tools"},
    "tools-bare": {"prompt_style": "full", "query_form": "tools", "worked_episode": False},
    "tools+think": {"prompt_style": "full", "query_form": "tools", "begin_with_think": True},
}
COLUMNS = ("valid_query_rate", "coverage", "em", "f1", "num_searches", "generated_tokens", "total_tokens")


def main() -> None:
    options = _parser().parse_args()
    config = replace(LIMITS, **({"actions": tuple(options.actions)} if options.actions else {}))
    variants = {name: replace(config, **VARIANTS[name]) for name in options.variants}
    asyncio.run(play(options, variants, _questions(options)))
    print(
        "| variant | hops | questions | valid | coverage | em | f1 | em pass@k | searches | prompt tokens |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|")
    for name in variants:
        for row in rows(Path(options.out) / name, name):
            print(row)


async def play(
    options: argparse.Namespace, variants: dict[str, GenerationConfig], questions: Sequence[Question]
) -> None:
    """Play every variant's missing episodes; the engine is started only where there are some."""
    files = {name: _file(options, name, config, questions) for name, config in variants.items()}
    left = {name: jobs_left(MODEL, questions, options.n_samples, file) for name, file in files.items()}
    if not any(left.values()):
        return
    tokenizer = load_tokenizer(options.model)
    engine = EngineConfig(max_model_len=MAX_CONTEXT, max_num_seqs=options.max_concurrency)
    store = GraphStore(Path(options.base_data_path))
    loaded = load_policy(options.model, tokenizer, "vllm", options.temperature, options.seed, engine)
    try:
        for name in filter(left.get, variants):
            world = World(
                config=variants[name],
                tokenizer=tokenizer,
                policy=loaded.policy,
                client=InProcessKGClient(KnowledgeGraphRetriever(store)),
                store=store,
                questions=questions,
                seed=options.seed,
                num_facts=1,
                max_fact_tokens=1,
            )
            with files[name] as file:
                await play_system(
                    build_system(MODEL, world),
                    left[name],
                    file,
                    tokenizer=tokenizer,
                    store=store,
                    max_concurrency=options.max_concurrency,
                    on_played=lambda: None,
                )
                file.finish(_order(questions, options.n_samples))
            print(f"{name}: {file.seconds[MODEL]:.0f} s", file=sys.stderr, flush=True)
    finally:
        loaded.close()


def rows(folder: Path, name: str) -> list[str]:
    """A row of the table for all questions, then one per number of hops."""
    records = [json.loads(line) for line in (folder / EPISODES).open(encoding="utf-8")]
    prompt = sum(record["num_prompt_tokens"] for record in records) / len(records)
    made = []
    for group in summarise_system(MODEL, "model", records, 0.0)["groups"]:
        if group["by"] == "type":
            continue
        means = {metric: group["metrics"][metric]["mean"] for metric in COLUMNS}
        em = group["metrics"]["em"]
        passed = {k: one["mean"] for k, one in group["pass_at_k"].get("em", {}).items()}
        told = " ".join(f"@{k} {value:.2f}" for k, value in passed.items()) or "-"
        made.append(
            f"| {name} | {group['group']} | {group['num_questions']} | {means['valid_query_rate']:.2f} | "
            f"{means['coverage']:.2f} | {em['mean']:.2f} [{em['low']:.2f}, {em['high']:.2f}] | "
            f"{means['f1']:.2f} | {told} | {means['num_searches']:.1f} | {prompt:.0f} |"
        )
    return made


def _file(
    options: argparse.Namespace, name: str, config: GenerationConfig, questions: Sequence[Question]
) -> EpisodesFile:
    settings = {
        **asdict(config),
        "model_sha256": model_digest(Path(options.model)),
        "questions": [question.question_id for question in questions],
        "temperature": options.temperature,
        "seed": options.seed,
    }
    return EpisodesFile(Path(options.out) / name, settings, [MODEL], options.n_samples)


def _order(questions: Sequence[Question], num_samples: int) -> list[Key]:
    return [
        Key(MODEL, question.question_id, sample) for question in questions for sample in range(num_samples)
    ]


def _questions(options: argparse.Namespace) -> list[Question]:
    """As many questions of at most so many hops as asked for, drawn by the seed."""
    read = [question for path in options.questions for question in read_questions(Path(path))]
    kept = [question for question in read if (question.num_hops or 1) <= options.max_hops]
    random.Random(options.seed).shuffle(kept)
    return kept[: options.max_questions]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--model", required=True, help="a model folder")
    parser.add_argument("--questions", required=True, nargs="+", help="parquet question files")
    parser.add_argument("--base-data-path", required=True, help="the folder of the KGs")
    parser.add_argument("--out", required=True, help="the folder of the results")
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=list(VARIANTS))
    parser.add_argument("--actions", nargs="+", help="the actions on offer (default: all registered ones)")
    parser.add_argument("--max-questions", type=int, default=100)
    parser.add_argument("--max-hops", type=int, default=2)
    parser.add_argument("--n-samples", type=int, default=1)
    parser.add_argument("--temperature", type=float, default=0.0)
    parser.add_argument("--max-concurrency", type=int, default=32)
    parser.add_argument("--seed", type=int, default=0)
    return parser


if __name__ == "__main__":
    main()
