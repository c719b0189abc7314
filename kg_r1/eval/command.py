"""`kg-r1 eval`: plays a model and its baselines over questions, and writes what came of it.

The table goes to stdout, progress to stderr. A mistake of the caller's is one line and exit code 2.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import logging
import random
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from kg_r1.data.files import sha256, write_text
from kg_r1.data.rows import read_questions
from kg_r1.eval.episodes_file import EPISODES, EpisodesFile, Key
from kg_r1.eval.options import check, generation_config, max_context, max_fact_tokens, parser
from kg_r1.eval.play import Job, jobs_left, play_system
from kg_r1.eval.summary import summarise_system
from kg_r1.eval.systems import (
    BASELINES,
    KINDS,
    MODEL,
    PLAYED_BY_MODEL,
    World,
    build_system,
    check_tokenizer,
    reason_against,
)
from kg_r1.eval.table import report_csv, report_table
from kg_r1.kg.errors import KGError
from kg_r1.kg.store import GraphStore
from kg_r1.llm_agent.policies_load import (
    LoadedPolicy,
    ModelNotLoaded,
    default_engine,
    engine_version,
    load_policy,
    load_tokenizer,
)
from kg_r1.llm_agent.policies_vllm import EngineConfig
from kg_r1.llm_agent.question import Question
from kg_r1.reward.evidence import DEFINITION
from kg_r1.search.access import read_key
from kg_r1.search.actions import ACTION_REGISTRY
from kg_r1.search.client import HttpKGClient, InProcessKGClient, KGClient
from kg_r1.search.offers import check_offer
from kg_r1.search.server import KnowledgeGraphRetriever

WEIGHTS = ("*.safetensors", "*.bin", "*.json", "*.jinja", "*.model")
REPORT, CSV = "report.json", "report.csv"


class UserMistake(Exception):
    """Something on the command line that cannot work, said in one line."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run an evaluation. Returns the exit code: 2 for a user's mistake, 130 when it was interrupted."""
    options = parser().parse_args(arguments)
    logging.basicConfig(
        level=logging.WARNING, stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s"
    )
    try:
        evaluation = Evaluation(options)
        asyncio.run(evaluation.play())
        report = evaluation.write_report()
    except (UserMistake, KGError, ModelNotLoaded) as error:
        sys.stderr.write(f"kg-r1 eval: {' '.join(str(error).split())}\n")
        return 2
    except KeyboardInterrupt:
        sys.stderr.write("kg-r1 eval: interrupted; what was played is kept, and the same command goes on\n")
        return 130
    sys.stdout.write(report_table(report) + "\n\n" + _where(Path(options.out)) + "\n")
    return 0


class Evaluation:
    """One run of the command: everything that can be refused is refused while it is made.

    Raises UserMistake, KGError and ModelNotLoaded.
    """

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.folder = Path(options.out)
        ACTION_REGISTRY.load_entry_points()
        try:
            check(options)
            self.config = generation_config(options)
            self.questions = _questions(options)
            self.store = None if options.base_data_path is None else GraphStore(Path(options.base_data_path))
            self.client = self._client()
            self.systems = self._systems()
            self.engine = options.engine or default_engine()
            self.engine_config = self._engine_config()
            self.settings = self._settings()
            self.episodes = EpisodesFile(self.folder, self.settings, self.systems, options.n_samples)
        except (ValueError, OSError) as error:
            raise UserMistake(str(error)) from error

    async def play(self) -> None:
        """Play what is not played yet. The model is loaded only where something of it is left."""
        jobs = {name: self._jobs(name) for name in self.systems}
        is_left = any(jobs.values())
        if not is_left and self.episodes.is_finished:
            return
        with self.episodes:
            if is_left:
                await self._play(jobs)
            self.episodes.finish(self._order())

    def write_report(self) -> dict[str, Any]:
        """Write report.json, report.csv and report.html from the episodes; returns the report."""
        from kg_r1.eval.html_report import ReportError, write_html_report

        by_system: dict[str, list[dict[str, Any]]] = {name: [] for name in self.systems}
        with (self.folder / EPISODES).open(encoding="utf-8", newline="\n") as file:
            for line in file:
                record = json.loads(line)
                by_system[record["system"]].append(_without_text(record))
        seconds = self.episodes.seconds
        report = {
            "model": self.options.model,
            "questions": list(map(str, self.options.questions)),
            "settings": self.settings,
            "num_samples": self.options.n_samples,
            "seed": self.options.seed,
            "systems": [
                summarise_system(name, KINDS[name], by_system[name], seconds.get(name, 0.0))
                for name in self.systems
            ],
        }
        write_text(self.folder / REPORT, json.dumps(report, ensure_ascii=False, indent=1) + "\n")
        write_text(self.folder / CSV, report_csv(report))
        try:
            write_html_report(self.folder)
        except ReportError as error:
            raise UserMistake(str(error)) from error
        return report

    async def _play(self, jobs: dict[str, list[Job]]) -> None:
        from tqdm import tqdm

        options = self.options
        tokenizer = load_tokenizer(options.model)
        try:  # before the model is loaded, which takes minutes
            check_tokenizer(self.config, tokenizer)
        except ValueError as error:
            raise UserMistake(str(error)) from error
        loaded: LoadedPolicy | None = None
        if any(jobs[name] for name in self.systems if name in PLAYED_BY_MODEL):
            loaded = load_policy(
                options.model, tokenizer, self.engine, options.temperature, options.seed, self.engine_config
            )
        world = World(
            config=self.config,
            tokenizer=tokenizer,
            policy=None if loaded is None else loaded.policy,
            client=self.client,
            store=self.store,
            questions=self.questions,
            seed=options.seed,
            num_facts=options.num_facts,
            max_fact_tokens=max_fact_tokens(options),
        )
        total = len(self._order())
        num_done = total - sum(map(len, jobs.values()))
        try:
            with tqdm(total=total, initial=num_done, unit="episode", file=sys.stderr) as bar:
                for name in filter(jobs.get, self.systems):
                    bar.set_description(name)
                    await play_system(
                        _built(name, world),
                        jobs[name],
                        self.episodes,
                        tokenizer=tokenizer,
                        store=self.store,
                        max_concurrency=options.max_concurrency,
                        on_played=bar.update,
                    )
        finally:
            if loaded is not None:
                loaded.close()
            await self.client.aclose()

    def _jobs(self, system: str) -> list[Job]:
        return jobs_left(system, self.questions, self.options.n_samples, self.episodes)

    def _order(self) -> list[Key]:
        return [
            Key(system, question.question_id, sample)
            for system in self.systems
            for question in self.questions
            for sample in range(self.options.n_samples)
        ]

    def _client(self) -> KGClient:
        """Raises ValueError and KGError, before anything is loaded, where the graph cannot be searched."""
        if self.store is not None:
            for name in sorted({question.dataset_name for question in self.questions}):
                self.store.is_shared(name)
            if self.options.search_url is None:
                return InProcessKGClient(KnowledgeGraphRetriever(self.store))
        key = read_key(self.options.api_key_file, None)
        check_offer(
            self.options.search_url,
            datasets=sorted({question.dataset_name for question in self.questions}),
            actions=self.config.actions or ACTION_REGISTRY,
            api_key=key,
        )
        return HttpKGClient(self.options.search_url, api_key=key)

    def _systems(self) -> list[str]:
        asked = [name for name in self.options.baselines or BASELINES if name != "none"]
        chosen = [MODEL]
        for name in dict.fromkeys(asked):
            against = reason_against(
                name, config=self.config, has_graph=self.store is not None, questions=self.questions
            )
            if against is None:
                chosen.append(name)
            elif self.options.baselines:
                raise UserMistake(f"the baseline {name} does not apply: {against}")
        return chosen

    def _engine_config(self) -> EngineConfig:
        needed = max_context(self.options)
        length = self.options.max_model_len or needed
        if length < needed:
            raise ValueError(
                f"--max-model-len {length} is less than the {needed} tokens that episodes may take"
            )
        return EngineConfig(
            max_model_len=length,
            max_num_seqs=min(256, self.options.max_concurrency),
            gpu_memory_utilization=self.options.gpu_memory_utilization,
        )

    def _settings(self) -> dict[str, Any]:
        """What decides how an episode goes and is scored: two runs that agree in it may share a folder."""
        options = self.options
        limits = asdict(self.config)
        # Where the graph is, and two fields without effect, decide nothing.
        for name in ("search_url", "num_gpus", "topk"):
            del limits[name]
        return {
            "model_sha256": model_digest(Path(options.model)),
            "engine": engine_version(self.engine),
            "dtype": self.engine_config.dtype if self.engine == "vllm" else "as stored",
            "temperature": options.temperature,
            "seed": options.seed,
            "question_files_sha256": [sha256(Path(path)) for path in options.questions],
            "max_questions": options.max_questions,
            "num_facts": options.num_facts,
            "evidence": DEFINITION,
            "max_fact_tokens": max_fact_tokens(options),
            **limits,
        }


def model_digest(folder: Path) -> str | None:
    """One digest over the weights, settings and tokenizer of a model folder; None for a hub name."""
    if not folder.is_dir():
        return None
    digest = hashlib.sha256()
    for path in sorted({path for pattern in WEIGHTS for path in folder.glob(pattern)}):
        digest.update(f"{path.name} {sha256(path)}\n".encode())
    return digest.hexdigest()


def _questions(options: argparse.Namespace) -> list[Question]:
    """The questions of all files, shuffled by the seed and cut where there are too many.

    Raises DataError for a file that cannot be read, ValueError for no question or two of one id.
    """
    questions = [question for path in options.questions for question in read_questions(Path(path))]
    if not questions:
        raise ValueError(f"there is no question in {', '.join(options.questions)}")
    ids: set[str] = set()
    for question in questions:
        if question.question_id in ids:
            raise ValueError(f"two questions have the id {question.question_id}; is a file named twice?")
        ids.add(question.question_id)
    if options.max_questions is None:
        return questions
    random.Random(options.seed).shuffle(questions)
    return questions[: options.max_questions]


def _built(name: str, world: World) -> Any:
    try:
        return build_system(name, world)
    except ValueError as error:
        raise UserMistake(str(error)) from error


def _without_text(record: dict[str, Any]) -> dict[str, Any]:
    """What the report needs of an episode: turns and texts would fill the memory of a long evaluation."""
    return {name: record[name] for name in ("question", "status", "metrics")}


def _where(folder: Path) -> str:
    return f"written: {', '.join(str(folder / name) for name in (EPISODES, REPORT, CSV, 'report.html'))}"
