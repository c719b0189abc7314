"""Injected facts beside every baseline, on one table.

    python -m kblampp.eval.eval_qa --config configs/synth_world.yaml --backbone configs/backbone_smollm.yaml \
        --checkpoint runs/kblampp/synth_world/final --out runs/kblampp/report

Several `--checkpoint` are several seeds: the table has their mean, and lowest and highest EM.
"""

from __future__ import annotations

import argparse
import csv
import json
import logging
import resource
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from tqdm import tqdm

from kblampp.answering import Query, QuestionAnswerer, load_answerer
from kblampp.command import require_positive, run
from kblampp.config import Config, add_config_flags, config_from_flags
from kblampp.errors import DataError
from kblampp.eval import systems
from kblampp.eval.metrics import CUTS, Judged, Scores, groups_of, judge, summarise
from kblampp.eval.table import SELECTOR, as_text
from kblampp.files import whole, write_text
from kblampp.loading import load_model
from kblampp.questions import Question, read_questions

logger = logging.getLogger(__name__)
INJECTION = "injection"
BASELINES = ("closed-book", "gold-in-prompt", "dense-in-prompt", "bm25-in-prompt")
Ask = Callable[[Sequence[Question]], list[Judged]]


@dataclass(frozen=True)
class Result:
    """A system over all questions."""

    system: str
    seed: int
    scores: Scores
    groups: dict[str, Scores]
    seconds_per_question: float
    judged: list[Judged]


def ask_all(
    name: str, seed: int, ask: Ask, questions: Sequence[Question], batch_size: int, chooses: bool
) -> Result:
    """Asks questions in batches and judges the answers."""
    judged: list[Judged] = []
    started = time.perf_counter()
    starts = range(0, len(questions), batch_size)
    for start in tqdm(starts, desc=name, unit="batch", file=sys.stderr):
        judged += ask(questions[start : start + batch_size])
    seconds = (time.perf_counter() - started) / len(questions)
    groups: dict[str, list[Judged]] = defaultdict(list)
    for it in judged:
        for group in groups_of(it.question):
            groups[group].append(it)
    return Result(
        name,
        seed,
        summarise(judged, chooses=chooses),
        {group: summarise(some, chooses=chooses) for group, some in sorted(groups.items())},
        seconds,
        judged,
    )


def ask_selector(answerer: QuestionAnswerer) -> Ask:
    """The selector alone: no answer is generated, so that large stores can be judged quickly."""

    def ask(questions: Sequence[Question]) -> list[Judged]:
        selection = answerer.select([Query(it.question, it.question_time) for it in questions])
        order = selection.log_alpha[:, :-1].argsort(-1, descending=True)
        rows = selection.facts.rows.gather(1, order).tolist()
        store = answerer.retriever.store
        return [
            judge(question, "", 0, [store.fact(row).id for row in found])
            for question, found in zip(questions, rows, strict=True)
        ]

    return ask


def baseline(name: str, answerer: QuestionAnswerer, examples: Sequence[Question], seed: int) -> Ask:
    """One of `BASELINES`."""
    store = answerer.retriever.store
    find: dict[str, Callable[[], systems.FindFacts | None]] = {
        "closed-book": lambda: None,
        "gold-in-prompt": lambda: systems.gold_facts(store),
        "dense-in-prompt": lambda: systems.dense(answerer),
        "bm25-in-prompt": lambda: systems.lexical(store),
    }
    return systems.InPrompt(answerer, find[name](), examples, seed)


def _examples(config: Config, answerer: QuestionAnswerer) -> list[Question]:
    """Training questions that demonstrations can be made of.

    Raises:
        DataError: the store, cut smaller, has the facts of none of them.
    """
    known = answerer.retriever.store.row_of
    asked = read_questions(Path(config.train_qa_path))
    found = [it for it in asked if all(fact in known for fact in it.supporting_facts)]
    if not any(it.type == "single-hop" for it in found):
        raise DataError(
            f"{config.store.path} has the facts of no training question of one hop, which baselines show; "
            "give --baselines without a name"
        )
    return found


def evaluate(
    config: Config,
    checkpoints: Sequence[Path],
    questions: Sequence[Question],
    baselines: Sequence[str],
    *,
    is_selector_only: bool = False,
    batch_size: int = 32,
) -> list[Result]:
    """All systems over all questions; the baselines once, the injection once a checkpoint."""
    results = []
    answerer = load_answerer(config, checkpoints[0] if checkpoints else None)
    examples = _examples(config, answerer) if baselines else []
    for name in baselines:
        ask = baseline(name, answerer, examples, seed=0)
        results.append(ask_all(name, 0, ask, questions, batch_size, chooses=name != "closed-book"))
    for seed, checkpoint in enumerate(checkpoints or [None]):
        if seed:
            # Encoder, store and index are the same for every seed.
            answerer.model = load_model(config, answerer.answers, checkpoint)
        if is_selector_only:
            ask, name = ask_selector(answerer), SELECTOR
        else:
            ask, name = partial(systems.injection, answerer), INJECTION
        results.append(ask_all(name, seed, ask, questions, batch_size, chooses=True))
    return results


def write_report(results: Sequence[Result], folder: Path) -> None:
    """`report.json`, `report.csv` and `answers.jsonl`, each whole or not at all."""
    records = [{key: value for key, value in asdict(it).items() if key != "judged"} for it in results]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    write_text(
        folder / "report.json", json.dumps({"peak_memory_gib": peak, "results": records}, indent=1) + "\n"
    )
    with whole(folder / "report.csv") as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["system", "seed", "group", "num_questions", "em", "f1", *(f"acc@{k}" for k in CUTS)])
        for it in results:
            for group, scores in {"all": it.scores, **it.groups}.items():
                accuracies = [scores.acc[k] for k in CUTS]
                writer.writerow(
                    [it.system, it.seed, group, scores.num_questions, scores.em, scores.f1, *accuracies]
                )
    with whole(folder / "answers.jsonl") as temporary, temporary.open("w", encoding="utf-8") as file:
        for it in results:
            for one in it.judged:
                file.write(json.dumps(_answer_record(it, one), ensure_ascii=False) + "\n")


def _answer_record(result: Result, judged: Judged) -> dict[str, Any]:
    return {
        "system": result.system,
        "seed": result.seed,
        "qid": judged.question.qid,
        "question": judged.question.question,
        "answers": list(judged.question.answers),
        "said": judged.text,
        "em": judged.em,
        "f1": judged.f1,
        "gold_rank": judged.gold_rank,
        "refusal_alpha": judged.refusal_alpha,
    }


def evaluate_from_flags(arguments: argparse.Namespace) -> None:
    """Evaluates and prints the table. Raises KblamppError."""
    require_positive(arguments, "max_questions", "batch_size")
    config = config_from_flags(arguments)
    questions = read_questions(arguments.questions or Path(config.test_qa_path))
    results = evaluate(
        config,
        arguments.checkpoint,
        questions[: arguments.max_questions],
        [] if arguments.selector_only else arguments.baselines,
        is_selector_only=arguments.selector_only,
        batch_size=arguments.batch_size,
    )
    if arguments.out:
        write_report(results, arguments.out)
    sys.stdout.write(as_text(results) + "\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Evaluates. Exit code 2 for a user's mistake."""
    parser = argparse.ArgumentParser(prog="kblampp.eval.eval_qa", description=__doc__)
    parser.add_argument(
        "--checkpoint", type=Path, action="append", default=[], help="once a seed; none: untrained"
    )
    parser.add_argument("--questions", type=Path, help="default: test_qa_path of the config")
    parser.add_argument("--max-questions", type=int, help="the first so many")
    parser.add_argument("--baselines", nargs="*", default=list(BASELINES), choices=BASELINES)
    parser.add_argument("--selector-only", action="store_true", help="judge the choice of facts, no answers")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--out", type=Path, help="folder for report.json, report.csv and answers.jsonl")
    add_config_flags(parser)
    return run(parser, evaluate_from_flags, argv, log_level=logging.WARNING)


if __name__ == "__main__":
    sys.exit(main())
